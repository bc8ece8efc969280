package kvdb

import (
	"context"
	"net/http"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/kv"
)

// Values of the Allow header. A key's path is also where its bucket's tokens
// are minted, under a method that keys have anyway.
const (
	rootMethods   = "GET, HEAD, POST, OPTIONS"
	bucketMethods = "GET, HEAD, POST, PATCH, DELETE, OPTIONS"
	keyMethods    = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
)

// route calls the one function that serves the request's path and method.
func (q *request) route() error {
	switch q.place {
	case atRoot:
		return q.routeRoot()
	case atBucket:
		return q.routeBucket()
	}
	return q.routeKey()
}

func (q *request) routeRoot() error {
	switch q.r.Method {
	case http.MethodPost:
		return q.create()
	case http.MethodGet, http.MethodHead:
		return q.landing()
	}
	return web.WrongMethod(rootMethods)
}

func (q *request) routeBucket() error {
	switch q.r.Method {
	case http.MethodGet, http.MethodHead:
		if isSet(q.query.Value("watch")) {
			return q.watch()
		}
		return q.list()
	case http.MethodPost:
		return q.transact()
	case http.MethodPatch:
		return q.changePolicy()
	case http.MethodDelete:
		return q.drop()
	}
	return q.wrongMethod(bucketMethods)
}

func (q *request) routeKey() error {
	switch q.r.Method {
	case http.MethodGet, http.MethodHead:
		return q.get()
	case http.MethodPost:
		if q.tokens {
			return q.mint()
		}
		return q.set()
	case http.MethodPut:
		return q.set()
	case http.MethodPatch:
		return q.increment()
	case http.MethodDelete:
		return q.remove()
	}
	return q.wrongMethod(keyMethods)
}

// wrongMethod is 405, but 404 for a bucket that does not exist.
func (q *request) wrongMethod(allow string) error {
	ctx, cancel := context.WithTimeout(q.r.Context(), q.Wait)
	defer cancel()
	_, err := q.DB.View(ctx, kv.Consistency{}, func(tx *kv.Tx) error {
		exists, err := q.Buckets.Exists(tx, q.bucket)
		if err == nil && !exists {
			err = errNoBucket
		}
		return err
	})
	if err != nil {
		return err
	}
	return web.WrongMethod(allow)
}

const landingText = `Covey serves the KVdb API here.

  POST /               create a bucket, answers its id
  POST /BUCKET/KEY     set a key
  GET  /BUCKET/KEY     get a key
  GET  /BUCKET/        list keys
`

func (q *request) landing() error {
	return q.reply(contentTypes[formatText], []byte(landingText))
}
