package client

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

const backupRoot = "root-key-of-the-backup-tests"

func backupClient(t *testing.T, consistency string, urls ...string) *Client {
	t.Helper()
	c, err := New(Config{Endpoints: urls, RootKey: backupRoot, Consistency: consistency})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestBackupGivesTheWholeFile(t *testing.T) {
	file := bytes.Repeat([]byte("piece"), 300_000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.String() != "/cluster/backup?consistency=stale" || r.Header.Get("Authorization") != "Bearer "+backupRoot {
			t.Errorf("got %s %s", r.Method, r.URL)
		}
		w.Header().Set("Covey-Version", "42")
		_, _ = w.Write(file)
	}))
	defer s.Close()
	var got bytes.Buffer
	version, err := backupClient(t, "stale", "http://127.0.0.1:1", s.URL).Backup(t.Context(), &got)
	if err != nil || version != 42 || !bytes.Equal(got.Bytes(), file) {
		t.Errorf("version %d, %d bytes, %v", version, got.Len(), err)
	}
}

func TestABackupThatBreaksOffIsAnError(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Covey-Version", "42")
		_, _ = w.Write(make([]byte, 1<<20))
		panic(http.ErrAbortHandler)
	}))
	defer s.Close()
	_, err := backupClient(t, "", s.URL).Backup(t.Context(), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "broken off") {
		t.Errorf("got %v", err)
	}
	full := errors.New("no room")
	if _, err := backupClient(t, "", s.URL).Backup(t.Context(), failing{full}); !errors.Is(err, full) {
		t.Errorf("an error of the writer: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func opener(body string, opened *atomic.Int64) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		opened.Add(1)
		return io.NopCloser(strings.NewReader(body)), nil
	}
}

func TestRestoreGoesToTheLeader(t *testing.T) {
	var taken string
	leader := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := io.ReadAll(r.Body)
		taken = r.URL.RawQuery + " " + string(p)
		if err != nil || r.ContentLength != 6 {
			t.Errorf("%d bytes, %v", r.ContentLength, err)
		}
		_, _ = io.WriteString(w, `{"version":9,"records":2,"backup":{"node":"n1"}}`)
	}))
	defer leader.Close()
	follower := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Covey-Leader", leader.URL)
		w.WriteHeader(http.StatusMisdirectedRequest)
	}))
	defer follower.Close()
	var opened atomic.Int64
	done, err := backupClient(t, "", follower.URL).Restore(t.Context(), 6, opener("backup", &opened), RestoreOptions{Confirm: "ab", Force: true})
	if err != nil || done.Version != 9 || done.Records != 2 || taken != "confirm=ab&force=true backup" || opened.Load() != 2 {
		t.Errorf("got %+v, %v; the leader took %q, opened %d times", done, err, taken, opened.Load())
	}
}

func TestHowARestoreFails(t *testing.T) {
	tests := map[string]struct {
		status int
		o      RestoreOptions
		want   error
		not    error
	}{
		"refused":                           {412, RestoreOptions{}, ErrConflict, ErrUnknown},
		"damaged":                           {400, RestoreOptions{}, ErrInvalid, ErrUnknown},
		"perhaps done":                      {504, RestoreOptions{}, ErrUnknown, nil},
		"a dry run that does not come back": {504, RestoreOptions{DryRun: true}, ErrUnavailable, ErrUnknown},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var tries atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tries.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, `{"error":{"message":"because"}}`)
			}))
			defer s.Close()
			var opened atomic.Int64
			_, err := backupClient(t, "", s.URL).Restore(t.Context(), 6, opener("backup", &opened), tt.o)
			if !errors.Is(err, tt.want) || tt.not != nil && errors.Is(err, tt.not) || tries.Load() != 1 || !strings.Contains(err.Error(), "because") {
				t.Errorf("got %v after %d tries", err, tries.Load())
			}
		})
	}
}

func TestRestorable(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "count=off" {
			_, _ = io.WriteString(w, `{"cluster_id":"ab","restoring":{"done":3,"total":4}}`)
			return
		}
		_, _ = io.WriteString(w, `{"cluster_id":"ab","version":5,"records":7,"more":true}`)
	}))
	defer s.Close()
	c := backupClient(t, "", s.URL)
	if got, err := c.Restorable(t.Context()); err != nil || got.ClusterID != "ab" || got.Records != 7 || !got.More || got.Restoring != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := c.RestoreProgress(t.Context()); err != nil || got.Restoring == nil || got.Restoring.Done != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
}
