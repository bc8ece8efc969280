package collection

import (
	"fmt"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// described returns what a caller sees of all collections, in short.
func (g *gate) described(c Caller) (text string, err error) {
	c.Method = "GET"
	err = g.view(func(tx *kv.Tx) error {
		e, err := g.s.Enter(g.t.Context(), tx, c)
		if err != nil {
			return err
		}
		list, err := e.Metadata()
		var parts []string
		for _, m := range list {
			one, err := e.CollectionMetadata(m.Name)
			if err != nil || fmt.Sprint(one.Name, one.Description, one.Count != nil, one.Fields) != fmt.Sprint(m.Name, m.Description, m.Count != nil, m.Fields) {
				g.t.Errorf("%+v alone is %+v (%v)", m, one, err)
			}
			count := "-"
			if m.Count != nil {
				count = fmt.Sprint(*m.Count)
			}
			parts = append(parts, fmt.Sprintf("%s/%d/%s", m.Name, len(m.Fields), count))
		}
		text = strings.Join(parts, " ")
		return err
	})
	return text, err
}

func TestMetadata(t *testing.T) {
	g := newGate(t)
	g.tokens("")
	full, _ := g.key(DefaultDatabase, KeySpec{})
	byKey := func(key string) Caller { return Caller{Key: auth.Credential{Value: key}, Path: "_meta"} }
	see := func(c Caller, want string) {
		t.Helper()
		if got, err := g.described(c); err != nil || got != want {
			t.Errorf("got %q (%v), want %q", got, err, want)
		}
	}
	see(byKey(full), "email_inbound/0/0 email_outbound/0/0 email_unsubscribed/0/0 system_jobs/0/0 system_log/0/0 users/0/0")

	g.insert("items", `[{},{},{}]`)
	g.insert("zoo", `{}`)
	g.insert(UsersCollection, `{"email":"`+ada+`","active":true,"roles":["reader"]}`)
	g.update(func(tx *kv.Tx) error {
		return g.s.SetSchema(tx, DefaultDatabase, "zoo", Schema{Fields: []Field{{Name: "a", Type: "text"}, {Name: "b", Type: "number"}}})
	})
	see(byKey(full), "email_inbound/0/0 email_outbound/0/0 email_unsubscribed/0/0 items/0/3 system_jobs/0/0 system_log/0/0 users/0/1 zoo/2/1")

	web := KeySpec{Web: true, Methods: []string{"GET"}, Origins: []string{"*"}}
	for paths, want := range map[string]string{
		"_meta zoo system_log": "system_log/0/0 zoo/2/1", "_meta items/*": "", "_meta z*": "zoo/2/1",
		"**": "email_inbound/0/0 email_outbound/0/0 email_unsubscribed/0/0 items/0/3 system_jobs/0/0 system_log/0/0 users/0/1 zoo/2/1",
	} {
		web.Paths = strings.Fields(paths)
		key, _ := g.key(DefaultDatabase, web)
		see(byKey(key), want)
	}
	web.Paths = []string{"zoo"}
	key, _ := g.key(DefaultDatabase, web)
	_, err := g.described(byKey(key))
	wantKind(t, err, errs.Forbidden)

	user, err := g.verify(hs256(t, clientSecret, good(jwt.MapClaims{"email": ada})))
	if err != nil {
		t.Fatal(err)
	}
	see(Caller{User: user, Path: "_meta"}, "")
	for name, private := range map[string]bool{"items": true, "zoo": false} {
		g.update(func(tx *kv.Tx) error {
			return g.s.SetRoles(tx, DefaultDatabase, name, &Roles{Read: []string{"reader"}, Private: private})
		})
	}
	see(Caller{User: user, Path: "_meta"}, "items/0/- zoo/2/1") // how many items others have is not told
	for name, kind := range map[string]errs.Kind{UsersCollection: errs.Forbidden, "system_log": errs.Forbidden, "none": errs.NotFound, "no name": errs.NotFound} {
		wantKind(t, g.view(func(tx *kv.Tx) error {
			e, err := g.s.Enter(t.Context(), tx, Caller{User: user, Method: "GET", Path: name + "/_meta"})
			if err != nil {
				return err
			}
			_, err = e.CollectionMetadata(name)
			return err
		}), kind)
	}
}
