package keynest

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/vault"
)

// list is a page of things as the client sees it, without the things.
type list struct {
	Count    int        `json:"count"`
	Next     *string    `json:"next"`
	Previous *string    `json:"previous"`
	Results  []struct{} `json:"results"`
}

// paging reads which page is asked for. A size that is no size is the default
// one, as with the service that clients know.
func (q *request) paging() (p vault.Paging, err error) {
	if size, err := strconv.Atoi(q.query.Value("page_size")); err == nil && size > 0 {
		p.Size = min(size, vault.MaxPageSize)
	}
	text, ok := q.query.Lookup("page")
	switch n, bad := strconv.Atoi(text); {
	case !ok || text == "":
	case text == "last":
		p.Last = true
	case bad != nil || n < 1:
		return p, errs.E(errs.NotFound, "Invalid page.")
	default:
		p.Number = n
	}
	return p, nil
}

// listOf is what stands around a page: the count, and links to the pages beside
// it.
func listOf[T any](q *request, p vault.Page[T]) list {
	l := list{Count: p.Count, Results: []struct{}{}}
	if p.Number*p.Size < p.Count {
		l.Next = q.link(p.Number + 1)
	}
	if p.Number > 1 {
		l.Previous = q.link(p.Number - 1)
	}
	return l
}

// link is the absolute URL of another page of the same list. The first one
// needs no number.
func (q *request) link(page int) *string {
	var b strings.Builder
	b.WriteString(q.Proxies.Base(q.r) + q.r.URL.EscapedPath())
	separator := byte('?')
	for _, pair := range q.query {
		if pair.Name == "page" {
			continue
		}
		b.WriteByte(separator)
		b.WriteString(url.QueryEscape(pair.Name) + "=" + url.QueryEscape(pair.Value))
		separator = '&'
	}
	if page > 1 {
		b.WriteByte(separator)
		b.WriteString("page=" + strconv.Itoa(page))
	}
	text := b.String()
	return &text
}
