package vault

import (
	"testing"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/auth"
)

func TestRequestsThatDifferHaveOtherIDs(t *testing.T) {
	r := Request{Method: "POST", Target: "/t", IdempotencyKey: "k", Credential: auth.Credential{Value: "c"}, Body: []byte("b")}
	first, ok := r.OnceID()
	if again, _ := r.OnceID(); !ok || again != first {
		t.Error("the same request has two ids")
	}
	seen := map[command.ID]string{first: "the first"}
	for what, change := range map[string]func(*Request){
		"method":         func(r *Request) { r.Method = "PUT" },
		"target":         func(r *Request) { r.Target = "/u" },
		"key":            func(r *Request) { r.IdempotencyKey = "l" },
		"credential":     func(r *Request) { r.Credential.Value = "d" },
		"body":           func(r *Request) { r.Body = []byte("d") },
		"a moved border": func(r *Request) { r.Target, r.IdempotencyKey = "/tk", "" },
	} {
		other := r
		change(&other)
		id, _ := other.OnceID()
		if twin, twice := seen[id]; twice {
			t.Errorf("%s has the id of %s", what, twin)
		}
		seen[id] = what
	}
	r.Credential = auth.Credential{}
	if _, ok := r.OnceID(); ok {
		t.Error("a request without a credential has an id")
	}
}
