package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

func TestANodeIsCertifiedForNoHostOfAnotherMember(t *testing.T) {
	members := []Called{
		{Node: "n1", Hosts: []string{"10.0.0.1", "n1.example"}},
		{Node: "n2", Hosts: []string{"10.0.0.2"}},
		{Node: "n3", Hosts: []string{"10.0.0.9"}}, {Node: "n4", Hosts: []string{"10.0.0.9", "n4.example"}},
		{Node: "n6"},
	}
	for name, c := range map[string]struct {
		node  string
		pins  []string
		hosts []string
		says  string // "" = it may join
	}{
		"its own":                        {"n5", nil, []string{"10.0.0.5", "n5.example", "localhost", "127.0.0.1", "::1"}, ""},
		"a member's address":             {"n5", nil, []string{"10.0.0.5", "10.0.0.1"}, "10.0.0.1 is a host of member n1"},
		"a member's name":                {"n5", nil, []string{"N1.Example"}, "host of member n1"},
		"the same, written otherwise":    {"n5", nil, []string{"::ffff:10.0.0.2"}, "host of member n2"},
		"one that two members share":     {"n5", nil, []string{"10.0.0.9"}, ""},
		"a member's own":                 {"n1", nil, []string{"10.0.0.1", "n1.example"}, ""},
		"what a member is certified for": {"n5", nil, []string{"joined.example"}, "host of member n6"},
		"that of one who is no member":   {"n5", nil, []string{"left.example"}, ""},
		"what its token names":           {"n5", []string{"10.0.0.5"}, []string{"10.0.0.5", "localhost"}, ""},
		"a member's, which it names":     {"n5", []string{"10.0.0.1"}, []string{"10.0.0.1"}, ""},
		"what its token does not name":   {"n5", []string{"10.0.0.5", "n5.example"}, []string{"10.0.0.5", "n7.example"}, "called 10.0.0.5, n5.example and nothing else, not n7.example"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for node, host := range map[string]string{"n6": "joined.example", "n8": "left.example"} {
				w.token("of-"+node, Token{}, time.Hour)
				if err := w.redeem(Redemption{ID: "of-" + node, Secret: "s3cret", Node: node, Hosts: []string{host}, Members: members}); err != nil {
					t.Fatal(err)
				}
			}
			w.token("t", Token{Hosts: c.pins}, time.Hour)
			err := w.redeem(Redemption{ID: "t", Secret: "s3cret", Node: c.node, Hosts: c.hosts, Members: members})
			if c.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused(t, name, err, errs.Forbidden, c.says)
			w.view(func(tx *kv.Tx) error {
				if _, err := FindJoined(tx, c.node); !errs.Is(err, errs.NotFound) {
					t.Errorf("what was refused is kept: %v", err)
				}
				return nil
			})
		})
	}
}

func TestATokenIsRedeemedAgainForTheSameHostsOnly(t *testing.T) {
	w := newWorld(t)
	w.token("t1", Token{}, time.Hour)
	r := Redemption{ID: "t1", Secret: "s3cret", Node: "n4", Key: []byte("key"), Hosts: []string{"n4.example", "10.0.0.4"}}
	if err := w.redeem(r); err != nil {
		t.Fatal(err)
	}
	r.Hosts = []string{"10.0.0.4", "N4.example"}
	if err := w.redeem(r); err != nil {
		t.Errorf("the same hosts in another order: %v", err)
	}
	for name, hosts := range map[string][]string{"another one": {"n5.example", "10.0.0.4"}, "one more": {"n4.example", "10.0.0.4", "n5.example"}, "fewer": {"n4.example"}} {
		r.Hosts = hosts
		refused(t, name, w.redeem(r), errs.Conflict, "to be called n4.example, 10.0.0.4")
	}
	w.view(func(tx *kv.Tx) error {
		if c, err := FindJoined(tx, "n4"); err != nil || strings.Join(c.Hosts, " ") != "n4.example 10.0.0.4" {
			t.Errorf("its certificates are renewed for %v, %v", c.Hosts, err)
		}
		return nil
	})
}

func TestATokenNamesHosts(t *testing.T) {
	w := newWorld(t)
	create := func(hosts ...string) error {
		return w.update(func(tx *kv.Tx) error {
			_, err := CreateToken(tx, Token{ID: "t", Hosts: hosts}, time.Hour)
			return err
		})
	}
	if err := create("n4.example", "10.0.0.4", "fd00::4"); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "10.0.0.4:8700", "n4:8700", "https://n4", "*.example", "0.0.0.0", "::", "a b", strings.Repeat("a", 254)} {
		refused(t, bad, create("n4.example", bad), errs.Invalid, "is no host")
	}
	refused(t, "too many", create(make([]string, MaxHosts+1)...), errs.Invalid, "at most 16 hosts")
}
