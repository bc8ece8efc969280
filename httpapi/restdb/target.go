package restdb

import (
	"net/url"
	"strings"

	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/layer/collection"
)

// place is what a path names.
type place uint8

const (
	atNothing        place = iota // nothing that is served, below a segment that is
	atCollection                  // /rest/{collection}
	atAll                         // /rest/{collection}/*
	atDocument                    // /rest/{collection}/{id}
	atChildren                    // /rest/{collection}/{id}/{field}
	atChild                       // /rest/{collection}/{id}/{field}/{id}
	atJWT                         // /auth/jwt
	atToken                       // /auth/token
	atUserinfo                    // /auth/userinfo
	atUploads                     // /media
	atMedia                       // /media/{id or file name}
	atMediaMeta                   // /media/{id}/meta
	atMail                        // /mail
	atUnsubscribe                 // /mail/unsubscribe/{token}
	atRealtime                    // /realtime
	atMeta                        // /rest/_meta
	atCollectionMeta              // /rest/{collection}/_meta
	atOpenAPI                     // /rest/_swagger.json
	atScript                      // /rest/_jsapi.js
	atScriptDoc                   // /rest/_jsapi.doc
)

// target is a path, taken apart.
type target struct {
	place      place
	path       string // what a key's scope is compared with: items/ID; "" not below /rest/
	collection string
	id         string // as it was sent, perhaps no id at all
	field      string
	child      string // an id, as it was sent
	suffix     string // html of /rest/items.html
	file       string // the id or name of a media file, or the token of a mail's receiver, as it was sent
}

// parseTarget takes an escaped path apart, segment by segment, as it was sent:
// nothing is cleaned, and a slash at the end is as good as none. It reports
// false for paths that need no key to be told that they lead nowhere.
func parseTarget(escaped string) (t target, ok bool) {
	escaped = strings.TrimSuffix(strings.TrimPrefix(escaped, "/"), "/")
	first, rest, _ := strings.Cut(escaped, "/")
	switch first {
	case "rest":
		return parseRest(rest), true
	case "auth":
		places := map[string]place{"jwt": atJWT, "token": atToken, "userinfo": atUserinfo}
		return target{place: places[rest]}, true
	case "media":
		return parseMedia(rest), true
	case "mail":
		return parseMail(rest), true
	case "realtime":
		if rest == "" {
			return target{place: atRealtime, path: "_realtime"}, true
		}
		return target{}, true
	}
	return target{}, false
}

// system is what is below /rest/ and no collection, with what a key's scope
// calls it.
var system = map[string]target{
	"_meta":         {place: atMeta, path: "_meta"},
	"_swagger.json": {place: atOpenAPI, path: "_swagger"},
	"_jsapi.js":     {place: atScript, path: "_jsapi"},
	"_jsapi.doc":    {place: atScriptDoc, path: "_jsapi"},
}

func parseMedia(escaped string) (t target) {
	if escaped == "" {
		return target{place: atUploads, path: "_media"}
	}
	name, rest, more := strings.Cut(escaped, "/")
	plain, err := url.PathUnescape(name)
	if err != nil || plain == "" || more && rest != "meta" {
		return target{path: "_media"}
	}
	t = target{place: atMedia, path: "_media/" + plain, file: plain}
	if more {
		t.place = atMediaMeta
	}
	return t
}

func parseMail(escaped string) (t target) {
	if escaped == "" {
		return target{place: atMail, path: "_mail"}
	}
	if token, ok := strings.CutPrefix(escaped, "unsubscribe/"); ok && token != "" && !strings.Contains(token, "/") {
		return target{place: atUnsubscribe, path: "_mail", file: token}
	}
	return target{path: "_mail"}
}

func parseRest(escaped string) (t target) {
	if t, ok := system[escaped]; ok {
		return t
	}
	t.path = escaped
	var parts []string
	for part := range strings.SplitSeq(escaped, "/") {
		// A slash in a segment would let one path pass for another before the
		// scope of a key.
		plain, err := url.PathUnescape(part)
		if err != nil || plain == "" || strings.Contains(plain, "/") || len(parts) == 4 {
			return t
		}
		parts = append(parts, plain)
	}
	if name, suffix, _ := strings.Cut(parts[0], "."); suffix != "" && len(parts) == 1 {
		parts[0], t.suffix = name, suffix
	}
	if !collection.ValidName(parts[0]) {
		return t
	}
	t.path = strings.Join(parts, "/")
	t.collection = parts[0]
	t.place = []place{atCollection, atDocument, atChildren, atChild}[len(parts)-1]
	if len(parts) > 1 {
		t.id = parts[1]
		switch {
		case len(parts) > 2:
		case t.id == "*":
			t.place = atAll
		case t.id == "_meta":
			t.place = atCollectionMeta
		}
	}
	if len(parts) > 2 {
		t.field = parts[2]
	}
	if len(parts) > 3 {
		t.child = parts[3]
	}
	return t
}

// pathWords are the parts of paths that may be logged: names of collections,
// ids and the tokens of mails' receivers are not among them.
func pathWords() map[string]bool {
	return web.Words("rest/_meta/_swagger.json/_jsapi.js/_jsapi.doc/*", "auth/jwt/token/userinfo", "media/meta", "mail/unsubscribe", "realtime")
}
