package transport

import (
	"context"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
)

func TestACallToItselfOrOfNoKindIsInvalid(t *testing.T) {
	a := listen(t, "a", func(c *Config) { c.MaxFrame = 100 })
	if _, err := a.Call(context.Background(), "a", Term, nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("to itself: %v", err)
	}
	if _, err := a.Call(context.Background(), "b", 77, nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("of no kind: %v", err)
	}
	if _, err := a.Call(context.Background(), "b", Term, make([]byte, 92)); !errs.Is(err, errs.TooLarge) {
		t.Errorf("of 92 bytes where 91 fit: %v", err)
	}
}

func TestConfigIsRefusedWithASentence(t *testing.T) {
	a := listen(t, "a", nil)
	cases := map[string]struct {
		cfg  Config
		kind errs.Kind
		want string
	}{
		"no node id":   {Config{Addr: "127.0.0.1:0"}, errs.Invalid, "node id"},
		"long node id": {Config{Addr: "127.0.0.1:0", NodeID: strings.Repeat("x", 129)}, errs.Invalid, "node id"},
		"port in use":  {Config{Addr: a.Addr().String(), NodeID: "b"}, errs.Unavailable, "--peer-addr"},
		"huge frames":  {Config{Addr: "127.0.0.1:0", NodeID: "b", MaxFrame: 2 << 30}, errs.Invalid, "frame"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Listen(c.cfg)
			if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want kind %v, naming %q", err, c.kind, c.want)
			}
		})
	}
}

func TestANodeNeverChangesItsCluster(t *testing.T) {
	a := listen(t, "a", func(c *Config) { c.ClusterID = [16]byte{} })
	for _, id := range [][16]byte{clusterA, clusterA} {
		if err := a.SetClusterID(id); err != nil {
			t.Error(err)
		}
	}
	if err := a.SetClusterID(clusterB); !errs.Is(err, errs.Invalid) {
		t.Errorf("got %v, want invalid", err)
	}
}
