package collection

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"slices"

	"github.com/tidwall/gjson"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv/feed"
)

// RealtimePath is the Caller.Path of who listens and publishes. The events and
// channels of a web key are its scope there, its paths are not asked.
const RealtimePath = "_realtime"

// Ears is what a caller may hear of one database, as the door has judged it in
// one transaction. It is good until a change that Decides tells of, and until
// Until. It does not change. Safe for concurrent use.
type Ears struct {
	// Version is that of the state it was judged on.
	Version uint64
	// Now is the time of that state, and Until when a key or a token expires, 0 =
	// never. Unix milliseconds.
	Now, Until int64

	rows    [][]byte // prefixes of the keys of rows that decide
	gone    []byte   // prefix of the deletions
	said    []byte   // prefix of the messages
	catalog *catalog
	key     *accessRow // nil for a user
	user    *hearer    // nil for a key
}

// hearer is what is kept of a user while it listens.
type hearer struct {
	member
	id    OID
	users uint64 // the number of the users collection
	scope []string
}

// maxOwnSpans is up to how many collections a listener follows each by itself;
// with more it is shown the documents of all, and drops what it may not hear.
const maxOwnSpans = 32

// Listen returns what the caller may hear. A web key without events and
// channels is errs.Forbidden.
func (e *Session) Listen() (*Ears, error) {
	if e.refuse != nil {
		return nil, e.refuse
	}
	all, err := e.store.catalog(e.tx, e.db)
	if err != nil {
		return nil, err
	}
	l := &Ears{Version: e.tx.Version(), Now: e.tx.Now(), catalog: all, key: e.key, gone: deletionPrefix(e.db, 0), said: messagePrefix(e.db, 0)}
	names, _ := below(collectionByte, e.db)
	l.rows = [][]byte{clusterKey(), databaseKey(e.db), names}
	for _, c := range []auth.Credential{e.caller.Key, e.caller.Page} {
		if !c.None() {
			hash := sha256.Sum256([]byte(c.Value))
			l.rows = append(l.rows, accessKey(e.db, hash[:]))
		}
	}
	if e.user != nil {
		l.rows = append(l.rows, settingKey(e.db, jwtSetting))
		l.user = &hearer{
			member: member{email: e.user.email, roles: e.user.roles}, // not the document, which may be long
			id:     e.user.document.ID(), scope: realtimeScope(e.user.document, "sub"),
		}
		if users := all.find(UsersCollection); users != nil {
			l.user.users = users.row.Number
		}
		l.expires(e.caller.User.expires)
	}
	for _, k := range []*accessRow{e.key, e.page} {
		if k != nil {
			l.expires(k.Expires)
		}
	}
	if e.key != nil && e.key.Web && len(e.key.Realtime)+len(e.key.Channels) == 0 {
		return nil, errs.E(errs.Forbidden, "the API key has no realtime events and no channels")
	}
	return l, nil
}

func (l *Ears) expires(at int64) {
	if at != 0 && (l.Until == 0 || at < l.Until) {
		l.Until = at
	}
}

// Bounds of what a user's document may list.
const (
	maxUserScope = 1_000
	realtimeName = "realtime"
)

// realtimeScope reads a list of a user's document: of events and channels that
// the user may hear (sub), or of channels that it may publish to (pub).
func realtimeScope(d Document, list string) (scope []string) {
	found := gjson.GetBytes(d.JSON, realtimeName+"."+list)
	if found.Type == gjson.String {
		return []string{found.Str}
	}
	if !found.IsArray() {
		return nil
	}
	found.ForEach(func(_, entry gjson.Result) bool {
		if entry.Type == gjson.String && len(entry.Str) <= maxScopeText {
			scope = append(scope, entry.Str)
		}
		return len(scope) < maxUserScope
	})
	return scope
}

// Prefixes returns those of all keys whose changes a listener needs, in a fixed
// order.
func (l *Ears) Prefixes() [][]byte {
	list := append(slices.Clone(l.rows), l.gone, l.said)
	var own [][]byte
	for _, s := range l.catalog.seats {
		if l.user != nil && l.user.users == s.row.Number || l.hears(http.MethodPost, s) || l.hears(http.MethodPut, s) {
			if len(own) == maxOwnSpans {
				return append(list, key(documentByte, 0))
			}
			lo, _ := documentSpan(s.row.Number)
			own = append(own, lo)
		}
	}
	return append(list, own...)
}

// Decides reports whether a change may make another Ears of this one. What
// came before Version does not.
func (l *Ears) Decides(e *feed.Event) bool {
	if e.Version <= l.Version {
		return false
	}
	for _, prefix := range l.rows {
		if touches(e, prefix) {
			return true
		}
	}
	if l.user == nil || l.user.users == 0 {
		return false
	}
	if lo, _ := documentSpan(l.user.users); !touches(e, lo) {
		return false
	}
	if e.Kind == feed.DeleteSpan || e.Long || documentID(e.Key) == l.user.id {
		return true
	}
	d, err := openDocument(e.Value) // it may be another with the same e-mail
	return e.Kind == feed.Set && (err != nil || gjson.GetBytes(d.JSON, emailField).Str == l.user.email)
}

// touches reports whether a change is of a key that begins with prefix.
func touches(e *feed.Event, prefix []byte) bool {
	if bytes.HasPrefix(e.Key, prefix) {
		return true
	}
	return e.Kind == feed.DeleteSpan && bytes.Compare(e.Key, prefix) <= 0 && (e.Hi == nil || bytes.Compare(prefix, e.Hi) < 0)
}

// hears reports whether the caller may hear of what a method does in a
// collection. Of a POST that is some of its documents at least.
func (l *Ears) hears(method string, s *seat) bool {
	if l.user != nil {
		return inScope(l.user.scope, method, s.name) && l.user.may(s.row.Roles, Read)
	}
	if !l.key.Web {
		return true
	}
	// Only an event of a new document shows it.
	return inScope(l.key.Realtime, method, s.name) && (method != http.MethodPost || l.key.allowsMethod(http.MethodGet))
}

// inScope reports whether a list has METHOD:collection. A PATCH is told as the
// PUT that it comes to.
func inScope(scope []string, method, name string) bool {
	return slices.ContainsFunc(scope, func(entry string) bool {
		for _, m := range []string{method, http.MethodPatch} {
			if m != method && method != http.MethodPut {
				continue
			}
			if len(entry) > len(m) && entry[:len(m)] == m && entry[len(m)] == ':' {
				rest := entry[len(m)+1:]
				return rest == name || rest == "*"
			}
		}
		return false
	})
}

// shows reports whether the caller could GET a document of a collection.
func (l *Ears) shows(s *seat, id OID) bool {
	if l.key == nil || !l.key.Web {
		return true
	}
	return l.key.allowsPath(s.name) || l.key.allowsPath(s.name+"/"+id.String())
}

// mine reports whether the caller sees only what it has created there.
func (l *Ears) mine(s *seat) bool { return l.user != nil && s.row.Roles.Private }

// tunes reports whether the caller may hear a channel.
func (l *Ears) tunes(channel string) bool {
	switch {
	case l.user != nil:
		return inChannels(l.user.scope, channel)
	case l.key.Web:
		return inChannels(l.key.Channels, channel)
	}
	return true
}

// inChannels reports whether a list has a channel; * stands for all.
func inChannels(list []string, channel string) bool {
	return slices.Contains(list, channel) || slices.Contains(list, "*")
}

// place says what a key of the feed holds for listeners.
func (l *Ears) place(e *feed.Event) (kind byte, s *seat) {
	if e.Kind != feed.Set {
		return 0, nil
	}
	switch k := e.Key; {
	case bytes.HasPrefix(k, l.gone):
		return deletionByte, l.seat(k[len(l.gone):])
	case bytes.HasPrefix(k, l.said):
		return messageByte, nil
	case len(k) > 2 && k[0] == layerByte && k[1] == documentByte:
		return documentByte, l.seat(k[2:])
	}
	return 0, nil
}

// seat returns the collection whose number and a document's id are in p, nil if
// it is none of the database.
func (l *Ears) seat(p []byte) *seat {
	number, rest, err := tuple.Uint(p)
	if err != nil || len(rest) != len(OID{}) {
		return nil
	}
	return l.catalog.byNumber[number]
}
