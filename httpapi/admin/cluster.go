package admin

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/bucket"
)

// status answers what this node knows of the cluster: a cluster.Status. It
// works without a leader, when it is needed most.
func (a *api) status(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), a.Wait)
	defer cancel()
	s, err := a.Cluster.Status(ctx)
	if err != nil {
		return err
	}
	if s.Members == nil {
		s.Members = []cluster.Member{} // a list, also when it is empty
	}
	return writeJSON(w, http.StatusOK, s)
}

const (
	defaultPage = 100
	maxPage     = 1000
)

// bucketInfo is one bucket in the answer of /cluster/buckets.
type bucketInfo struct {
	ID         string    `json:"id"`
	Created    time.Time `json:"created"`
	DefaultTTL int64     `json:"default_ttl"` // seconds, 0 = never
	Keys       []string  `json:"keys"`        // which of its keys are set
}

// bucketPage is the answer of /cluster/buckets.
type bucketPage struct {
	Buckets []bucketInfo `json:"buckets"`
	Next    string       `json:"next,omitempty"` // ?after= of the next page; absent on the last
}

// buckets lists the KVdb buckets in the order of their ids, from the first id
// after ?after=, ?limit= of them (100, at most 1000).
func (a *api) buckets(w http.ResponseWriter, r *http.Request) error {
	query := web.SplitPairs(r.URL.RawQuery)
	limit, err := pageLimit(query)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.Wait)
	defer cancel()
	var infos []bucket.Info
	info, err := a.DB.View(ctx, kv.Consistency{}, func(tx *kv.Tx) (err error) {
		infos, err = a.Buckets.List(tx, web.Credential(r, nil), query.Value("after"), limit)
		return err
	})
	if err != nil {
		return err
	}
	page := bucketPage{Buckets: make([]bucketInfo, 0, len(infos))}
	for _, i := range infos {
		page.Buckets = append(page.Buckets, describe(i))
	}
	if len(infos) == limit {
		page.Next = infos[limit-1].ID
	}
	w.Header().Set("Covey-Version", strconv.FormatUint(info.Version, 10))
	return writeJSON(w, http.StatusOK, page)
}

// pageLimit reads ?limit=, which may be absent.
func pageLimit(query web.Pairs) (int, error) {
	text, ok := query.Lookup("limit")
	if !ok {
		return defaultPage, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 || n > maxPage {
		return 0, errs.E(errs.Invalid, "limit is not a whole number between 1 and %d", maxPage)
	}
	return int(n), nil
}

func describe(i bucket.Info) bucketInfo {
	d := bucketInfo{ID: i.ID, Created: time.UnixMilli(i.Created).UTC(), DefaultTTL: i.DefaultTTL, Keys: []string{}}
	for _, k := range [...]struct {
		name string
		set  bool
	}{{"secret", i.HasSecret}, {"write", i.HasWrite}, {"read", i.HasRead}, {"signing", i.HasSigning}} {
		if k.set {
			d.Keys = append(d.Keys, k.name)
		}
	}
	return d
}
