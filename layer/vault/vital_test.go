package vault

import (
	"context"
	"testing"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/kv"
)

// watched is a backend that shows the commands that pass it.
type watched struct {
	kv.Backend
	ops [][]command.Op
}

func (w *watched) Commit(ctx context.Context, c *command.Command) (command.Result, error) {
	w.ops = append(w.ops, c.Ops)
	return w.Backend.Commit(ctx, c)
}

func TestALoginWritesOnlyVitalRecords(t *testing.T) {
	w := newWorld(t)
	_, token := w.register("ann")
	if err := w.with(token, (*Session).Logout); err != nil { // so that the login makes a token
		t.Fatal(err)
	}
	seen := &watched{Backend: w.Store}
	w.DB = kv.New(seen)
	if _, err := w.login("ann@example.com", goodPassword); err != nil {
		t.Fatal(err)
	}
	sets := 0
	for _, ops := range seen.ops {
		for _, o := range ops {
			if o.Kind == command.Set {
				sets++
				if !Vital(o.Key) {
					t.Errorf("a login sets %q", o.Key)
				}
			}
		}
	}
	if sets == 0 {
		t.Error("the login wrote nothing")
	}
}

func TestWhatIsNotVital(t *testing.T) {
	for name, key := range map[string][]byte{
		"nothing": nil, "one byte": {layerByte}, "another layer's": {'b', auditByte},
		"a variable": byIDText(variableByte, 1, "KEY"), "an old version": pastKey(1, 2, 3), "an account's address": byText(emailByte, "a@b"),
	} {
		if Vital(key) {
			t.Errorf("%s is vital", name)
		}
	}
}
