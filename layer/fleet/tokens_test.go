package fleet

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
)

// token makes a token with the secret s3cret.
func (w *world) token(id string, t Token, life time.Duration) {
	w.t.Helper()
	t.ID, t.Secret = id, HashToken("s3cret")
	w.must(func(tx *kv.Tx) error { _, err := CreateToken(tx, t, life); return err })
}

func (w *world) redeem(r Redemption) error {
	w.t.Helper()
	return w.update(func(tx *kv.Tx) error { _, err := RedeemToken(tx, r); return err })
}

func TestATokenIsGoodOnceForOneNode(t *testing.T) {
	w := newWorld(t)
	w.token("t1", Token{}, time.Hour)
	r := Redemption{ID: "t1", Secret: "s3cret", Node: "n4", Key: []byte("key"), Hosts: []string{"h4"}}
	if err := w.redeem(r); err != nil {
		t.Fatal(err)
	}
	w.state.Advance(time.Minute)
	if err := w.redeem(r); err != nil {
		t.Errorf("the same node with the same key, whose answer was lost, is refused: %v", err)
	}
	other := r
	other.Key = []byte("another")
	refused(t, "the same node with another key", w.redeem(other), errs.Conflict, "was used by node n4 at 2023-")
	other = r
	other.Node = "n5"
	refused(t, "another node", w.redeem(other), errs.Conflict, "was used by node n4")
	w.state.Advance(time.Hour)
	refused(t, "the same node when the token has expired", w.redeem(r), errs.Forbidden, "expired")
	var all []Token
	var joined Called
	w.view(func(tx *kv.Tx) (err error) {
		if joined, err = FindJoined(tx, "n4"); err != nil {
			return err
		}
		all, err = Tokens(tx)
		return err
	})
	if len(all) != 1 || all[0].UsedBy != "n4" || all[0].UsedAt != kvtest.Start {
		t.Errorf("%+v", all)
	}
	if diff := cmp.Diff(Called{Node: "n4", Hosts: []string{"h4"}}, joined); diff != "" {
		t.Error(diff)
	}
}

func TestATokenThatIsNoGoodSaysWhy(t *testing.T) {
	w := newWorld(t)
	w.token("mine", Token{Node: "n4"}, time.Hour)
	w.token("old", Token{}, time.Minute)
	w.token("gone", Token{}, time.Hour)
	w.must(func(tx *kv.Tx) error { return RevokeToken(tx, "gone") })
	w.state.Advance(2 * time.Minute)
	for name, c := range map[string]struct {
		id, secret string
		kind       errs.Kind
		says       string
	}{
		"no token":       {"", "s3cret", errs.Unauthenticated, "not a join token"},
		"unknown":        {"what", "s3cret", errs.Unauthenticated, "is not known"},
		"a wrong secret": {"mine", "s3creT", errs.Unauthenticated, "secret of the join token mine is not right"},
		"another's":      {"mine", "s3cret", errs.Forbidden, "is for node n4 and not for node n5"},
		"expired":        {"old", "s3cret", errs.Forbidden, "expired at"},
		"revoked":        {"gone", "s3cret", errs.Forbidden, "was revoked at"},
	} {
		refused(t, name, w.redeem(Redemption{ID: c.id, Secret: c.secret, Node: "n5"}), c.kind, c.says)
	}
	refused(t, "one that is there", w.update(func(tx *kv.Tx) error {
		_, err := CreateToken(tx, Token{ID: "mine"}, time.Hour)
		return err
	}), errs.Exists, "mine")
	refused(t, "for too long", w.update(func(tx *kv.Tx) error {
		_, err := CreateToken(tx, Token{ID: "x"}, MaxTokenLife+1)
		return err
	}), errs.Invalid, "good for")
	refused(t, "revoke what is not there", w.update(func(tx *kv.Tx) error { return RevokeToken(tx, "x") }), errs.NotFound, "x")
	refused(t, "another secret for what is revoked", w.update(func(tx *kv.Tx) error {
		_, err := ReplaceToken(tx, "gone", HashToken("new"))
		return err
	}), errs.Conflict, "gone")
	w.state.Advance(8 * 24 * time.Hour)
	refused(t, "long after its time", w.redeem(Redemption{ID: "old", Secret: "s3cret", Node: "n5"}), errs.Unauthenticated, "long gone")
}

func TestTwoNodesWithOneTokenAtTheSameMoment(t *testing.T) {
	w := newWorld(t)
	w.token("t1", Token{}, time.Hour)
	ctx := context.Background()
	runs := 0
	_, err := w.state.DB.Update(ctx, func(tx *kv.Tx) error {
		if runs++; runs == 1 { // the other one comes first
			if _, err := w.state.DB.Update(ctx, func(tx *kv.Tx) error {
				_, err := RedeemToken(tx, Redemption{ID: "t1", Secret: "s3cret", Node: "n5", Key: []byte("5")})
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		_, err := RedeemToken(tx, Redemption{ID: "t1", Secret: "s3cret", Node: "n4", Key: []byte("4")})
		return err
	})
	refused(t, "the second", err, errs.Conflict, "was used by node n5")
	if runs != 2 {
		t.Errorf("it ran %d times, want 2", runs)
	}
}

func TestATokenDecidesWhatItsNodeIs(t *testing.T) {
	w := newWorld(t)
	w.must(func(tx *kv.Tx) error { return SetWish(tx, "n5", WishRemoved) })
	w.token("reader", Token{NonVoter: true}, time.Hour)
	w.token("voter", Token{}, time.Hour)
	for id, node := range map[string]string{"reader": "n4", "voter": "n5"} {
		if err := w.redeem(Redemption{ID: id, Secret: "s3cret", Node: node}); err != nil {
			t.Fatal(err)
		}
	}
	w.view(func(tx *kv.Tx) error {
		for node, want := range map[string]Wish{"n4": WishNonVoter, "n5": WishNone} {
			if got, err := WishOf(tx, node); got != want || err != nil {
				t.Errorf("%s: got %q, %v, want %q", node, got, err, want)
			}
		}
		return nil
	})
}

func TestTokenTextIsReadAsItWasWritten(t *testing.T) {
	want := TokenText{Endpoints: []string{"https://10.0.0.1:8700"}, CA: [][]byte{{1, 2}}, ID: "t1", Secret: auth.GenerateKey()}
	got, err := ParseToken(" " + want.Encode() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	text := want.Encode()
	for name, bad := range map[string]string{
		"nothing": "", "another text": "hello", "a newer one": "covey-join-2." + text[len(tokenPrefix):], "cut short": text[:len(text)-9],
		"too long": tokenPrefix + strings.Repeat("A", maxTokenText), "without nodes": TokenText{ID: "t", Secret: "s"}.Encode(),
		"without a secret":    TokenText{ID: "t", Endpoints: want.Endpoints}.Encode(),
		"with what is no URL": TokenText{ID: "t", Secret: "s", Endpoints: []string{"ftp://a"}}.Encode(),
	} {
		_, err := ParseToken(bad)
		refused(t, name, err, errs.Unauthenticated, "")
		if err != nil && len(bad) > 20 && strings.Contains(err.Error(), bad[13:20]) {
			t.Errorf("%s: the error shows the token: %v", name, err)
		}
	}
	if strings.Contains(want.String(), want.Secret) {
		t.Error("a token prints its secret")
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(TokenText{Endpoints: []string{"https://a:1"}, CA: [][]byte{{1}}, ID: "t", Secret: "s"}.Encode())
	f.Add(tokenPrefix + "e30")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseToken(text)
		if err != nil {
			return
		}
		if again, err := ParseToken(got.Encode()); err != nil || !cmp.Equal(got, again) {
			t.Errorf("%q is read as %+v, and that as %+v, %v", text, got, again, err)
		}
	})
}
