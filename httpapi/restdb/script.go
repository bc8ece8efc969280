package restdb

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for the client and its help page
	"encoding/hex"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
)

// scriptText is the client for JavaScript. It is the same for all databases and
// names nothing of them, so it needs no key; db.anything is a collection. The
// form without jQuery, ?plainjs=true, is this very text.
//
//go:embed embed/jsapi.js
var scriptText string

//go:embed embed/jsapi.html
var scriptDocText string

var (
	scriptTag   = []string{`"` + hashOf(scriptText) + `"`}
	scriptType  = []string{"application/javascript; charset=utf-8"}
	scriptCache = []string{"public, max-age=300"}
	scriptHelp  = template.Must(template.New("jsapi").Parse(scriptDocText))
)

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// script serves GET /rest/_jsapi.js, to everyone.
func (q *request) script() error {
	h := q.w.Header()
	h["Content-Type"] = scriptType
	h["Cache-Control"] = scriptCache
	h["Etag"] = scriptTag
	h["Cross-Origin-Resource-Policy"] = crossOrigin
	http.ServeContent(q.w, q.r, "", time.Time{}, strings.NewReader(scriptText))
	return nil
}

// help is what the page about the client shows.
type help struct {
	Database    string
	Base        string
	Collections []collection.Metadata
}

// scriptDoc serves GET /rest/_jsapi.doc.
func (q *request) scriptDoc() error {
	var page help
	info, err := q.view(q.consistency(), func(_ *kv.Tx, s *collection.Session) (err error) {
		if q.bad != nil {
			return q.bad
		}
		page.Database, page.Base = s.Database(), q.Proxies.Base(q.r)
		page.Collections, err = s.Metadata()
		return err
	})
	if err != nil {
		return err
	}
	var body bytes.Buffer
	if err := scriptHelp.Execute(&body, page); err != nil {
		return err
	}
	q.achieved(info)
	q.w.Header()["Content-Security-Policy"] = sandbox
	return q.send(http.StatusOK, contentTypes[formatPage], body.Bytes())
}
