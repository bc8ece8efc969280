package admin

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/fleet"
)

// call is one request to the part of the API that manages data.
type call struct {
	*api
	r     *http.Request
	w     http.ResponseWriter
	vars  map[string]string // parts of the path, unescaped
	query web.Pairs
	body  []byte
}

// verb serves one method of a path. It returns the answer's document; nil
// answers 204. A POST answers 201.
type verb func(c *call) (any, error)

// verbs are the methods of a path.
type verbs map[string]verb

// Bounds of bodies: what an operator says of a collection, and documents in
// bulk.
const (
	maxBody     = 1 << 20
	maxBulkBody = 16 << 20
)

func (a *api) serve(v verbs) web.Handler {
	allow := []string{http.MethodOptions}
	for method := range v {
		allow = append(allow, method)
		if method == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
	}
	slices.Sort(allow)
	allowed := strings.Join(allow, ", ")
	return func(w http.ResponseWriter, r *http.Request) error {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		do := v[method]
		switch {
		case method == http.MethodOptions:
			w.Header().Set("Allow", allowed)
			w.WriteHeader(http.StatusNoContent)
			return nil
		case do == nil:
			return web.WrongMethod(allowed)
		}
		c := &call{api: a, r: r, w: w, query: web.SplitPairs(r.URL.RawQuery)}
		answer, err := c.run(do)
		if err != nil {
			return err
		}
		switch {
		case answer == nil:
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusNoContent)
			return nil
		case method == http.MethodPost:
			return writeJSON(w, http.StatusCreated, answer)
		}
		return writeJSON(w, http.StatusOK, answer)
	}
}

func (c *call) run(do verb) (any, error) {
	c.vars = mux.Vars(c.r)
	for name, escaped := range c.vars {
		text, err := url.PathUnescape(escaped)
		if err != nil {
			return nil, errs.E(errs.Invalid, "the path is not well escaped")
		}
		c.vars[name] = text
	}
	limit := maxBody
	if strings.HasSuffix(c.r.URL.EscapedPath(), "/documents") {
		limit = maxBulkBody
	}
	var err error
	if c.body, err = web.ReadBody(c.r, limit); err != nil {
		return nil, err
	}
	return do(c)
}

// decode reads the body, one JSON document without members that v lacks.
func (c *call) decode(v any) error {
	dec := json.NewDecoder(bytes.NewReader(c.body))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more text after the document")
		}
	}
	if err != nil {
		return errs.E(errs.Invalid, "the body: %w", err)
	}
	return nil
}

// view runs fn on one state: the newest, or with ?consistency=stale the node's
// own.
func (c *call) view(fn func(ctx context.Context, tx *kv.Tx) error) error {
	return c.viewFor(c.Wait, fn)
}

// viewFor is view with the time that it may take.
func (c *call) viewFor(most time.Duration, fn func(ctx context.Context, tx *kv.Tx) error) error {
	var level kv.Consistency
	switch c.query.Value("consistency") {
	case "", "linearizable":
	case "stale":
		level.Stale = true
	default:
		return errs.E(errs.Invalid, "consistency is neither linearizable nor stale")
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), most)
	defer cancel()
	info, err := c.DB.View(ctx, level, func(tx *kv.Tx) error { return fn(ctx, tx) })
	if err == nil {
		c.version(info.Version)
	}
	return err
}

// update is commit for an operator. The key of the request is judged again by
// what the transaction reads: a node that is behind does not know yet that it
// was dropped.
func (c *call) update(part int, fn func(tx *kv.Tx) error) (kv.Result, error) {
	cred := web.Credential(c.r, nil)
	return c.commit(part, func(tx *kv.Tx) error {
		set, err := fleet.ReadRootKeys(tx)
		if err != nil {
			return err
		}
		if _, ok := c.Root.WhichUnder(set, cred); !ok {
			return errs.E(errs.Unauthenticated, "the root key that this request was made with has been dropped")
		}
		return fn(tx)
	})
}

// commit runs fn and commits it. A request that is repeated with the same
// Idempotency-Key takes effect once; part tells apart the commits that one
// request makes.
func (c *call) commit(part int, fn func(tx *kv.Tx) error) (kv.Result, error) {
	once, err := c.once(part)
	if err != nil {
		return kv.Result{}, err
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), c.Wait)
	defer cancel()
	var res kv.Result
	if once == nil {
		res, err = c.DB.Update(ctx, fn)
	} else {
		res, err = c.DB.UpdateOnce(ctx, *once, fn)
	}
	if err == nil && res.Version != 0 {
		c.version(res.Version)
	}
	return res, err
}

// change is update for a request that has no answer but that it is done.
func (c *call) change(fn func(tx *kv.Tx) error) (any, error) {
	_, err := c.update(0, fn)
	return nil, err
}

func (c *call) version(v uint64) {
	c.w.Header().Set("Covey-Version", strconv.FormatUint(v, 10))
}

// once returns the identity that the request's Idempotency-Key gives to a part
// of what it does, nil if it has none. A repeat must agree in everything that
// decides what is done. Identities are stored in clear, and bodies may hold
// passwords and other secrets, so nobody without the root key can compute one to
// try a guess.
func (c *call) once(part int) (*kv.Once, error) {
	key, since, err := web.IdempotencyKey(c.r)
	if err != nil || key == "" {
		return nil, err
	}
	once := &kv.Once{Since: since}
	h := hmac.New(sha256.New, []byte(web.Credential(c.r, nil).Value))
	for _, p := range []string{"covey operator request 2", c.r.Method, c.r.URL.EscapedPath(), key, strconv.Itoa(part), string(c.body)} {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p)))) // so that no two lists of parts are one text
		_, _ = h.Write([]byte(p))
	}
	once.ID = command.ID(h.Sum(nil)[:len(command.ID{})])
	return once, nil
}
