package keynest

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/coveydb/covey/layer/vault"
)

// nobody is the id of nothing.
const nobody = math.MaxUint64

// filterID reads a parameter that narrows a list down to what belongs to one
// thing, 0 if it is missing or empty. A whole number that is no id is one that
// nothing has; what is no whole number is not ok.
func (q *request) filterID(name string) (id uint64, ok bool) {
	text := strings.TrimSpace(q.query.Value(name))
	if text == "" {
		return 0, true
	}
	if !whole(text) {
		return 0, false
	}
	if id, err := strconv.ParseUint(text, 10, 64); err == nil && id > 0 {
		return id, true
	}
	return nobody, true
}

// filterNumber is filterID where anything but a number is wrong, which is noted
// among the fields.
func (q *request) filterNumber(name string) uint64 {
	id, ok := q.filterID(name)
	if !ok {
		q.wrong(name, "A valid integer is required.")
	}
	return id
}

// paged reports whether the request asks for a page, of lists that are whole
// without that.
func (q *request) paged() bool {
	return q.query.Value("page") != "" || q.query.Value("page_size") != ""
}

// wholePage is a page of all there is.
func wholePage[T any](all []T) vault.Page[T] {
	return vault.Page[T]{Count: len(all), Number: 1, Size: len(all), Items: all}
}

// whole reports whether the body is to say everything about a thing, not only
// what changes.
func (q *request) whole() bool { return q.r.Method == http.MethodPut }

// one serves GET of one thing.
func (q *request) one(show func(*vault.Session, uint64) (any, error)) error {
	var shown any
	err := q.view(func(s *vault.Session) (err error) {
		shown, err = show(s, q.id)
		return err
	})
	if err != nil {
		return err
	}
	return q.reply(http.StatusOK, shown)
}
