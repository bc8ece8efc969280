package admin

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coveydb/covey/backup"
	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/sealed"
)

// fakeBackups is a node that holds some records. What it "restores" are lines of
// a body, each a record.
type fakeBackups struct {
	records  uint64
	stale    []bool
	restored string
	failure  error // while the backup is written
}

func (f *fakeBackups) Backup(_ context.Context, stale bool, to func(backup.Header) (io.Writer, error)) error {
	f.stale = append(f.stale, stale)
	w, err := to(backup.Header{Cluster: strings.Repeat("ab", 16), Version: 42})
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, "the backup"); err != nil {
		return err
	}
	return f.failure
}

func (f *fakeBackups) Restore(_ context.Context, r io.Reader, review backup.Review) (backup.Summary, uint64, error) {
	p, err := io.ReadAll(r)
	if err != nil {
		return backup.Summary{}, 0, err
	}
	s := backup.Summary{Header: backup.Header{Version: 7}}
	for _, line := range bytes.Split(p, []byte("\n")) {
		key, value, _ := bytes.Cut(line, []byte("="))
		if err := review.See(backup.Record{Key: key, Value: value}); err != nil {
			return s, 0, err
		}
		s.Records++
	}
	if err := review.Agree(s); err != nil {
		return s, 0, err
	}
	f.restored = string(p)
	return s, 99, nil
}

func (f *fakeBackups) Records(_ context.Context, limit uint64) (count, version uint64, err error) {
	return min(f.records, limit), 55, nil
}

func (f *fakeBackups) RestoreProgress() (done, total uint64, underWay bool) {
	return 10, 20, f.restored != ""
}

// archive is a world of the leader n1 of three nodes, with a keyring of its own.
type archive struct {
	*world
	node *fakeBackups
	ring *seal.Keyring
	id   string
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	a := &archive{world: newWorld(t), node: &fakeBackups{}, id: strings.Repeat("cd", 16)}
	var err error
	if a.ring, err = seal.Create(filepath.Join(t.TempDir(), "ring.json")); err != nil {
		t.Fatal(err)
	}
	a.config.Backups = a.node
	a.config.Sealed = &sealed.Inventory{Keyring: a.ring, Rows: []sealed.Rows{{Name: "secrets", Lo: []byte("s"), Hi: []byte("t"), Each: func(rec kv.Record, visit sealed.Visit) ([]byte, error) {
		value := rec.Value
		visit(sealed.Thing{Kind: "secrets", Sealed: &value})
		return nil, nil
	}}}}
	a.cluster.status = cluster.Status{ID: "n1", Leader: "n1", ClusterID: a.id, Members: []cluster.Member{{ID: "n1", HTTPAddr: "n1.example:8700"}, {ID: "n2", HTTPAddr: "n2.example:8700"}}}
	return a
}

func (a *archive) call(method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+rootKey)
	if strings.HasPrefix(path, "https://") {
		r.TLS = &tls.ConnectionState{}
	}
	rec := httptest.NewRecorder()
	New(a.config).ServeHTTP(rec, r)
	return rec
}

// answers checks status and part of the body.
func (a *archive) answers(rec *httptest.ResponseRecorder, status int, text string) {
	a.t.Helper()
	if rec.Code != status || !strings.Contains(rec.Body.String(), text) {
		a.t.Errorf("got %d %s, want %d with %q", rec.Code, rec.Body, status, text)
	}
}

func TestABackupIsSentAsAFile(t *testing.T) {
	a := newArchive(t)
	rec := a.call("GET", "/cluster/backup", "")
	a.answers(rec, 200, "the backup")
	if h := rec.Header(); h.Get("Covey-Version") != "42" || h.Get("Content-Type") != "application/octet-stream" ||
		!strings.Contains(h.Get("Content-Disposition"), "covey-abababab-") || h.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", h)
	}
	a.call("GET", "/cluster/backup?consistency=stale", "")
	if len(a.node.stale) != 2 || a.node.stale[0] || !a.node.stale[1] {
		t.Errorf("stale: %v", a.node.stale)
	}
	a.answers(a.call("GET", "/cluster/backup?consistency=odd", ""), 400, "neither")
	a.answers(a.call("POST", "/cluster/backup", ""), 405, "")
	if rec := a.call("OPTIONS", "/cluster/backup", ""); rec.Code != 204 || rec.Header().Get("Allow") != "GET, OPTIONS" {
		t.Errorf("OPTIONS: %d %v", rec.Code, rec.Header())
	}
}

func TestABackupThatBreaksOffBreaksTheConnection(t *testing.T) {
	a := newArchive(t)
	a.node.failure = errs.E(errs.Unavailable, "too slow")
	defer func() {
		if p := recover(); !errors.Is(p.(error), http.ErrAbortHandler) {
			t.Errorf("got %v", p)
		}
	}()
	a.call("GET", "/cluster/backup", "")
	t.Error("the answer looks whole")
}

func TestBackupsNeedTheRootKey(t *testing.T) {
	a := newArchive(t)
	for _, path := range []string{"/cluster/backup", "/cluster/restore"} {
		for _, method := range []string{"GET", "PUT", "OPTIONS"} {
			rec := a.do(method, path)
			if rec.Code != 401 || len(a.node.stale) != 0 || a.node.restored != "" {
				t.Errorf("%s %s: %d", method, path, rec.Code)
			}
		}
	}
	a.config.Backups = nil
	a.answers(a.call("GET", "/cluster/backup", ""), 404, "")
}

func TestRestoreIntoAnEmptyClusterNeedsNoWord(t *testing.T) {
	a := newArchive(t)
	rec := a.call("PUT", "/cluster/restore", "a=1\nb=2")
	a.answers(rec, 200, `"version":99,"records":2`)
	if a.node.restored != "a=1\nb=2" || rec.Header().Get("Covey-Version") != "99" {
		t.Errorf("restored %q, %v", a.node.restored, rec.Header())
	}
	a.answers(a.call("GET", "/cluster/restore", ""), 200, `"restoring":{"done":10,"total":20}`)
}

func TestRestoreOverDataIsConfirmedWithTheClustersID(t *testing.T) {
	a := newArchive(t)
	a.node.records = 3
	a.answers(a.call("GET", "/cluster/restore", ""), 200, `"cluster_id":"`+a.id+`","node":"n1","leader":"n1","version":55,"records":3}`)
	a.answers(a.call("PUT", "/cluster/restore", "a=1"), 412, "confirm="+a.id)
	a.answers(a.call("PUT", "/cluster/restore?confirm=other", "a=1"), 412, "names another cluster")
	a.answers(a.call("PUT", "/cluster/restore?dry_run=true", "a=1"), 200, `"dry_run":true`)
	if a.node.restored != "" {
		t.Fatalf("restored %q", a.node.restored)
	}
	a.answers(a.call("PUT", "/cluster/restore?confirm="+a.id, "a=1"), 200, `"version":99`)
	a.node.records = recordsLimit + 5
	a.answers(a.call("GET", "/cluster/restore", ""), 200, `"records":1000000,"more":true`)
	a.answers(a.call("GET", "/cluster/restore?count=off", ""), 200, `"records":0`)
}

func TestSecretsThatNobodyCanOpenAreRefused(t *testing.T) {
	a := newArchive(t)
	other, err := seal.Create(filepath.Join(t.TempDir(), "other.json"))
	if err != nil {
		t.Fatal(err)
	}
	record := func(k *seal.Keyring) string {
		p, err := k.Seal([]byte("x"), []byte("place"))
		if err != nil {
			t.Fatal(err)
		}
		return "s1=" + strings.ReplaceAll(string(p), "\n", "") // a key's id stands in front
	}
	a.answers(a.call("PUT", "/cluster/restore", record(other)), 412, other.Primary())
	if a.node.restored != "" {
		t.Error("it was restored")
	}
	a.answers(a.call("PUT", "/cluster/restore?force=true", record(other)), 200, "")
	a.answers(a.call("PUT", "/cluster/restore", record(a.ring)), 200, "")
}

func TestOnlyTheLeaderRestores(t *testing.T) {
	a := newArchive(t)
	a.cluster.status.Leader = "n2"
	rec := a.call("PUT", "/cluster/restore", "a=1")
	a.answers(rec, 421, "not_the_leader")
	if got := rec.Header().Get("Covey-Leader"); got != "http://n2.example:8700" {
		t.Errorf("the leader is at %q", got)
	}
	if got := a.call("PUT", "https://n1.example/cluster/restore", "a=1").Header().Get("Covey-Leader"); got != "https://n2.example:8700" {
		t.Errorf("with TLS the leader is at %q", got)
	}
	a.cluster.status.Leader, a.cluster.status.Reason = "", "no leader: it is dark"
	a.answers(a.call("PUT", "/cluster/restore", "a=1"), 503, "it is dark")
	if a.node.restored != "" {
		t.Error("it was restored")
	}
}
