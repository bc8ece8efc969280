package bucket

import (
	"context"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// The letters of the tables below, in the order of the needs.
const needLetters = "rwdlvpxm"

// allowed tries every need at the door and returns the letters of those
// granted, or "401".
func (w *world) allowed(id, credential string) string {
	w.t.Helper()
	var granted strings.Builder
	for need := Read; need < needs; need++ {
		switch err := w.view(id, credential, need, func(*Bucket) error { return nil }); {
		case err == nil:
			granted.WriteByte(needLetters[need])
		case errs.Is(err, errs.Unauthenticated):
			return "401"
		case !errs.Is(err, errs.Forbidden):
			w.t.Fatalf("need %v: %v", need, err)
		}
	}
	return granted.String()
}

// The contract's table "who may do what", for every set of keys.
func TestWhoMayDoWhat(t *testing.T) {
	const all = "rwdlvpx"
	w := newWorld(t)
	for _, c := range []struct{ keys, none, secret, write, read string }{
		// A bucket without a key ignores credentials.
		{keys: "", none: "rwdlvx", secret: "rwdlvx", write: "rwdlvx", read: "rwdlvx"},
		{keys: "S", none: "rwd", secret: all, write: "401", read: "401"},
		{keys: "W", none: "rlv", secret: "401", write: "rwdlvx", read: "401"},
		{keys: "R", none: "wdl", secret: "401", write: "401", read: "rwdlvx"},
		{keys: "WR", none: "l", secret: "401", write: "wdlx", read: "rlv"},
		{keys: "SW", none: "r", secret: all, write: "rwd", read: "401"},
		{keys: "SR", none: "wd", secret: all, write: "401", read: "rwd"},
		{keys: "SWR", none: "", secret: all, write: "wd", read: "r"},
		{keys: "G", none: "rwdlvx", secret: "401", write: "401", read: "401"},
		{keys: "SG", none: "rwd", secret: all + "m", write: "401", read: "401"},
		{keys: "WG", none: "rlv", secret: "401", write: "rwdlvx", read: "401"},
		{keys: "SWRG", none: "", secret: all + "m", write: "wd", read: "r"},
	} {
		t.Run("keys "+c.keys, func(t *testing.T) {
			id := w.create(fields(c.keys))
			wrong := "401"
			if c.keys == "" {
				wrong = c.none
			}
			root := all
			if strings.Contains(c.keys, "G") {
				root += "m"
			}
			for _, who := range []struct{ name, credential, want string }{
				{"nobody", "", c.none}, {"the secret key", "secret", c.secret}, {"the write key", "write", c.write},
				{"the read key", "read", c.read}, {"a wrong key", "wrong", wrong}, {"the signing key", "signing", wrong},
				{"no token", "cvt1_AAAA", wrong}, {"the root key", rootText, root},
			} {
				if got := w.allowed(id, who.credential); got != who.want {
					t.Errorf("%s may %q, want %q", who.name, got, who.want)
				}
			}
		})
	}
}

func TestWhatTokensMayDo(t *testing.T) {
	w := newWorld(t)
	closed, public := w.create(fields("SWRG")), w.create(fields("SWG"))
	for _, c := range []struct {
		list           string
		closed, public string
	}{
		{"read", "r", "r"},
		{"write", "wd", "rwd"},
		{"delete", "d", "rd"},
		{"enumerate", "l", "rlv"},
		{"read,enumerate", "rlv", "rlv"},
		{"read, write,enumerate,delete", "rwdlv", "rwdlv"},
	} {
		t.Run(c.list, func(t *testing.T) {
			p, err := ParsePermissions(c.list)
			if err != nil {
				t.Fatal(err)
			}
			if got := w.allowed(closed, w.mustMint(closed, "", p, TTL{})); got != c.closed {
				t.Errorf("may %q in a closed bucket, want %q", got, c.closed)
			}
			if got := w.allowed(public, w.mustMint(public, "", p, TTL{})); got != c.public {
				t.Errorf("may %q where reading is public, want %q", got, c.public)
			}
		})
	}
	for _, list := range []string{"", ",", "read,", "reed", "READ", "read write"} {
		if _, err := ParsePermissions(list); !errs.Is(err, errs.Invalid) {
			t.Errorf("permissions %q: %v, want invalid", list, err)
		}
	}
}

func TestOneTextCanBeSeveralKeys(t *testing.T) {
	w := newWorld(t)
	id := w.create(Fields{Write: key("both"), Read: key("both")})
	if got := w.allowed(id, "both"); got != "rwdlvx" {
		t.Errorf("a write key that is the read key too may %q", got)
	}
}

// Whatever a Bucket was opened for, its methods check the rights again.
func TestEveryMethodIsADoor(t *testing.T) {
	w := newWorld(t)
	id := w.create(fields("SWRG"))
	change, err := w.bs.Change(id, Fields{DefaultTTL: seconds(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	k := []byte("k")
	methods := map[Need]map[string]func(*Bucket) error{
		Read: {"Get": func(b *Bucket) error {
			_, err := b.Get(k)
			if errs.Is(err, errs.NotFound) {
				return nil
			}
			return err
		}},
		Write: {
			"Set":  func(b *Bucket) error { return b.Set(k, Value{}, TTL{}, Condition{}) },
			"Incr": func(b *Bucket) error { return b.Incr([]byte("n"), one(t), TTL{}, Condition{}) },
			"Txn":  func(b *Bucket) error { return b.Txn(nil) },
		},
		Delete: {"Delete": func(b *Bucket) error { return b.Delete(k, Condition{}) }},
		List: {"List": func(b *Bucket) error {
			_, err := b.List(context.Background(), ListQuery{})
			return err
		}},
		ListValues: {"List with values": func(b *Bucket) error {
			_, err := b.List(context.Background(), ListQuery{Values: true})
			return err
		}},
		ChangePolicy: {"ChangePolicy": func(b *Bucket) error { return b.ChangePolicy(change) }},
		DeleteBucket: {"Drop": (*Bucket).Drop},
		Mint: {"Mint": func(b *Bucket) error {
			_, err := b.Mint(Grant{Permissions: PermRead})
			return err
		}},
	}
	if len(methods) != int(needs) {
		t.Fatalf("%d needs are covered, want %d", len(methods), needs)
	}
	// Nothing that is tried is kept, so that each try meets the same bucket.
	tried := errs.E(errs.Internal, "tried")
	for _, who := range []struct {
		credential string
		opens      Need
		may        string
	}{{"read", Read, "r"}, {"write", Delete, "wd"}, {"secret", Read, needLetters}, {rootText, Read, needLetters}} {
		for need, tries := range methods {
			for name, try := range tries {
				want := strings.IndexByte(who.may, needLetters[need]) >= 0
				_, err := w.update(id, who.credential, who.opens, func(b *Bucket) error {
					if err := try(b); err != nil {
						return err
					}
					return tried
				})
				if got := err == error(tried); got != want || !got && !errs.Is(err, errs.Forbidden) {
					t.Errorf("%s with the %s key: %v, want allowed = %v", name, who.credential, err, want)
				}
			}
		}
	}
}

func TestUnknownBucketComesBeforeTheCredential(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{NewID(), "short", "database", strings.Repeat("x", 5000), "", "no such!!"} {
		for _, credential := range []string{"", "wrong", rootText} {
			err := w.view(id, credential, ChangePolicy, func(*Bucket) error { return nil })
			if !errs.Is(err, errs.NotFound) || len(err.Error()) > 200 {
				t.Errorf("bucket %.20q with %q: %v, want a short not found", id, credential, err)
			}
		}
		if w.exists(id) {
			t.Errorf("bucket %.20q exists", id)
		}
	}
	if id := w.create(Fields{}); !w.exists(id) {
		t.Error("a created bucket does not exist")
	}
}

func TestErrorsNeverShowACredential(t *testing.T) {
	w := newWorld(t)
	id := w.create(fields("SWRG"))
	const presented = "cvt1_presented-by-the-caller"
	for _, credential := range []string{presented, strings.TrimPrefix(presented, tokenHead)} {
		err := w.view(id, credential, Read, func(*Bucket) error { return nil })
		wantKind(t, err, errs.Unauthenticated)
		if strings.Contains(err.Error(), "presented") {
			t.Errorf("the error shows the credential: %v", err)
		}
	}
}

// The policy that counts is the one at the commit.
func TestWriteIsJudgedAgainAfterAPolicyChange(t *testing.T) {
	w := newWorld(t)
	id := w.create(fields("S"))
	runs := 0
	_, err := w.update(id, "", Write, func(b *Bucket) error {
		if runs++; runs == 1 {
			if _, err := w.change(id, "secret", Fields{Write: key("write")}); err != nil {
				t.Fatal(err)
			}
		}
		return b.Set([]byte("k"), Value{}, TTL{}, Condition{})
	})
	wantKind(t, err, errs.Forbidden)
	if got := w.get(id, "", "k"); runs != 1 || got != "[not found]" {
		t.Errorf("after %d runs of the write the key holds %q", runs, got)
	}
}

func TestRootKeyIsNothingWithoutOne(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Root = nil })
	id := w.create(fields("S"))
	if got := w.allowed(id, rootText); got != "401" {
		t.Errorf("may %q", got)
	}
	_, err := w.db.View(context.Background(), kv.Consistency{}, func(tx *kv.Tx) error {
		_, err := w.bs.List(tx, cred(rootText), "", 10)
		return err
	})
	wantKind(t, err, errs.Unauthenticated)
}
