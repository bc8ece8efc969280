package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/coveydb/covey/backup"
	"github.com/coveydb/covey/kv"
)

// saved is a cluster of which the command line makes and restores backups.
type saved struct {
	*world
	dir     string
	file    []byte // the backup that it gives
	records int    // that it holds
	cut     int    // bytes that it leaves out
	puts    []string
	taken   []byte
}

func newSaved(t *testing.T) *saved {
	t.Helper()
	s := &saved{world: newWorld(t), dir: t.TempDir()}
	if _, err := s.store.DB.Update(t.Context(), func(tx *kv.Tx) error {
		tx.Set([]byte("k"), []byte("secret-less value"), 0)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	v, _, err := s.store.View(t.Context(), kv.Consistency{Stale: true})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Release()
	h := backup.Describe(v.State)
	h.Cluster, h.Node, h.Created = strings.Repeat("ab", 16), "n1", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var b bytes.Buffer
	if err := backup.Write(&b, h, v.WriteData); err != nil {
		t.Fatal(err)
	}
	s.file = b.Bytes()
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *saved) serve(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /cluster/backup":
		w.Header().Set("Covey-Version", "1")
		_, _ = w.Write(s.file[:len(s.file)-s.cut])
	case "GET /cluster/restore":
		_, _ = fmt.Fprintf(w, `{"cluster_id":"%s","node":"n1","leader":"n1","version":8,"records":%d}`, strings.Repeat("ab", 16), s.records)
	case "PUT /cluster/restore":
		s.taken, _ = io.ReadAll(r.Body)
		s.puts = append(s.puts, r.URL.RawQuery)
		_, _ = io.WriteString(w, `{"version":9,"records":1,"backup":{}}`)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *saved) path(name string) string { return filepath.Join(s.dir, name) }

func (s *saved) write(name, text string) string {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return s.path(name)
}

func (s *saved) want(o outcome, code int, text string) {
	s.t.Helper()
	if o.code != code || !strings.Contains(o.out+o.errOut, text) {
		s.t.Errorf("exit code %d, want %d with %q:\n%s%s", o.code, code, text, o.out, o.errOut)
	}
}

func TestBackupCreateWritesAFileOnce(t *testing.T) {
	s := newSaved(t)
	file := s.path("a.covey")
	s.want(s.run("backup", "create", file, "-o", "json"), 0, `"version": 1`)
	if p, err := os.ReadFile(file); err != nil || !bytes.Equal(p, s.file) {
		t.Errorf("%d bytes, %v", len(p), err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	s.want(s.run("backup", "create", file), 5, "overwrites nothing")
	o := s.run("backup", "create", "-")
	if o.out != string(s.file) || o.code != 0 {
		t.Errorf("exit code %d, %d bytes", o.code, len(o.out))
	}
	s.want(s.runIn(o.out, nil, "backup", "verify", "-"), 0, "1")
}

func TestBackupCreateLeavesNothingOfABadOne(t *testing.T) {
	s := newSaved(t)
	s.cut = 1
	s.want(s.run("backup", "create", s.path("a.covey")), 1, "cut off")
	s.cut, s.file[len(s.file)/2] = 0, s.file[len(s.file)/2]^1
	s.want(s.run("backup", "create", s.path("a.covey")), 1, "damaged")
	if left, err := os.ReadDir(s.dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestBackupsAreEncryptedForRecipients(t *testing.T) {
	s := newSaved(t)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to, key := s.write("to", id.Recipient().String()+"\n"), s.write("key", id.String()+"\n")
	file := s.path("a.covey.age")
	s.want(s.run("backup", "create", file, "--age-recipients", to), 0, "age")
	if p, err := os.ReadFile(file); err != nil || bytes.Contains(p, []byte("secret-less")) || !bytes.HasPrefix(p, []byte("age-encryption.org")) {
		t.Errorf("it is not encrypted, %v", err)
	}
	s.want(s.run("backup", "verify", file), 1, "--age-identities")
	s.want(s.run("backup", "verify", file, "--age-identities", key), 0, "is whole")
	s.want(s.run("backup", "show", file, "--age-identities", key, "-o", "json"), 0, `"encrypted": true`)
	s.want(s.run("backup", "create", s.path("b"), "--age-recipients", to, "--passphrase-file", to), 2, "exclude each other")
	s.want(s.run("backup", "create", s.path("b"), "--age-recipients", key), 1, "age recipients")
	s.want(s.run("restore", file, "--age-identities", key), 0, "9")
	if !bytes.Equal(s.taken, s.file) {
		t.Errorf("%d bytes were sent, not the decrypted %d", len(s.taken), len(s.file))
	}
}

func TestRestoreAsksBeforeDataGoes(t *testing.T) {
	s := newSaved(t)
	file := s.write("a.covey", string(s.file))
	s.want(s.run("restore", file), 0, "holds 1 records at version 9")
	s.records = 12
	s.want(s.run("restore", file), 2, "12 records at version 8, and lose its last 7 versions")
	if len(s.puts) != 1 || s.puts[0] != "" {
		t.Fatalf("sent %q", s.puts)
	}
	s.want(s.run("restore", file, "--dry-run"), 0, "nothing was changed")
	s.want(s.run("restore", file, "--yes", "--force"), 0, "done")
	id := "confirm=" + strings.Repeat("ab", 16)
	if got := strings.Join(s.puts[1:], " "); got != id+"&dry_run=true "+id+"&force=true" {
		t.Errorf("sent %q", got)
	}
	var doc []struct {
		Version uint64 `json:"version"`
	}
	if err := json.Unmarshal([]byte(s.run("restore", file, "--yes", "-o", "json").out), &doc); err != nil || len(doc) != 1 || doc[0].Version != 9 {
		t.Errorf("got %+v, %v", doc, err)
	}
}

func TestRestoreSendsNothingThatIsNotWhole(t *testing.T) {
	s := newSaved(t)
	bad := bytes.Clone(s.file)
	bad[len(bad)/2] ^= 1
	s.want(s.run("restore", s.write("bad", string(bad)), "--yes"), 1, "damaged")
	s.want(s.run("restore", s.write("other", "PK not a backup at all, but an archive of sorts"), "--yes"), 1, "not a Covey backup")
	s.want(s.run("restore", "-", "--yes"), 2, "save it to a file first")
	s.want(s.run("restore", s.path("none"), "--yes"), 1, "no such file")
	if len(s.puts) != 0 {
		t.Errorf("sent %q", s.puts)
	}
}
