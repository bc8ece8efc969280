package server

import (
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv/kvtest"
)

// notes are what an operator is told of things that were read again.
type notes struct {
	t   *testing.T
	all []string
}

func (n *notes) note(text string) { n.all = append(n.all, text) }

// said checks that what was told since the last time is one line that holds the
// words, or nothing.
func (n *notes) said(words ...string) {
	n.t.Helper()
	want := min(len(words), 1)
	if len(n.all) != want || want == 1 && slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(n.all[0], w) }) {
		n.t.Errorf("told %q, want %d line with %q", n.all, want, words)
	}
	n.all = nil
}

func TestWhatTheWatchReadsAgainIsRemembered(t *testing.T) {
	n := &notes{t: t}
	t.Run("certificates", func(t *testing.T) {
		ca, dir := newCA(t, "a"), t.TempDir()
		c, err := openCertificate(&certificate{use: usePeer, files: nodeFiles(t, dir, "n1", ca, ca), node: "n1", log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		c.tell(n.note)
		c.poll()
		n.said()
		nodeFiles(t, dir, "n1", ca, ca)
		c.poll()
		n.said("peer certificate was read again")
		c.poll()
		n.said()
		nodeFiles(t, dir, "n2", ca, ca)
		c.poll()
		n.said() // files are replaced one after the other
		c.poll()
		n.said("was not read again", "node n2")
		c.poll()
		n.said()
		nodeFiles(t, dir, "n1", ca, ca)
		if err := c.reload(); err != nil {
			t.Fatal(err)
		}
		n.said() // who asks for it is told by Reload
		(*certificate)(nil).tell(n.note)
	})
	t.Run("the keyring", func(t *testing.T) {
		k := newKept(t, kvtest.New(t).DB)
		k.note = n.note
		n.said()
		if _, err := seal.Rotate(k.path); err != nil {
			t.Fatal(err)
		}
		k.watch(t.Context())
		n.said("keyring was read again")
		if err := os.WriteFile(k.path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		k.watch(t.Context())
		n.said("keyring was not read again", "not a JSON object")
		k.watch(t.Context())
		n.said()
	})
}
