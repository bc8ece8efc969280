package client

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCallsAboutTheKeyringAreThoseOfTheAPI(t *testing.T) {
	ctx := t.Context()
	const status = `{"node":"n1","keys":[{"id":"k1","nodes":["n1"],"missing":["n2"],"primary_on":["n1"],"sealed":3,"kinds":{"tokens":3},"droppable":false,"in_use":"it seals on n1"},` +
		`{"id":"k2","nodes":[],"sealed":0,"droppable":true}],"damaged":1,` +
		`"rewrap":{"key":"k1","started":"2026-01-02T03:04:05Z","total":5,"done":4,"changed":2,"failed":1,"faults":[{"kind":"tokens","which":"user 7","reason":"lost"}],"waits":"no node leads"}}`
	check := func(s KeyringStatus, err error) error {
		t.Helper()
		k, known := s.Key("k1")
		if !known || k.Sealed != 3 || k.Kinds["tokens"] != 3 || k.InUse == "" || !cmp.Equal(k.Missing, []string{"n2"}) || !cmp.Equal(k.PrimaryOn, []string{"n1"}) {
			t.Errorf("%+v", s)
		}
		if k, known := s.Key("k2"); !known || !k.Droppable {
			t.Errorf("%+v", k)
		}
		if k, known := s.Key("k3"); known || k.ID != "k3" || k.Droppable {
			t.Errorf("%+v", k)
		}
		if w := s.Rewrap; w == nil || w.Finished != nil || w.Waits != "no node leads" || w.Faults[0].Which != "user 7" || s.Damaged != 1 {
			t.Errorf("%+v", s.Rewrap)
		}
		return err
	}
	for _, tt := range []struct {
		name, answer string
		call         func(k *Keyring) error
		want         operated
	}{
		{"status", status, func(k *Keyring) error { return check(k.Status(ctx)) }, operated{"GET", "", ""}},
		{"nodes", status, func(k *Keyring) error { return check(k.Nodes(ctx)) }, operated{"GET", "?counts=false", ""}},
		{"rewrap", `{"key":"k1","finished":"2026-01-02T03:04:05Z"}`, func(k *Keyring) error {
			r, err := k.Rewrap(ctx, true)
			if r.Key != "k1" || r.Finished == nil {
				t.Errorf("%+v", r)
			}
			return err
		}, operated{"POST", "/rewrap", `{"force":true}`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, calls := operator(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(tt.answer)) })
			if err := tt.call(r.c.Keyring()); err != nil {
				t.Fatal(err)
			}
			tt.want.target = "/cluster/keyring" + tt.want.target
			if diff := cmp.Diff([]operated{tt.want}, calls(), cmp.AllowUnexported(operated{})); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
	r, _ := operator(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusPreconditionFailed) })
	if _, err := r.c.Keyring().Rewrap(ctx, false); !errors.Is(err, ErrConflict) {
		t.Errorf("a node lacks the key: %v", err)
	}
}
