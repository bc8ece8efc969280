package keynest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"
)

// fill imports n values of 64 KiB into an environment.
func (w *world) fill(token string, environment uint64, n int) {
	w.t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "K%03d=%s\n", i, strings.Repeat("v", 64<<10))
	}
	a := w.do("POST", at("environments", environment, "import"), "data="+b.String(), asForm, as(token))
	if a.code != 200 {
		w.t.Fatalf("import: %d %.300s", a.code, a.body)
	}
}

func TestALongListGoesOutAsItIsMade(t *testing.T) {
	w := newShared(t)
	w.fill(w.ann, 1, 40)
	for _, path := range []string{"/api/environments/1/variables/", "/api/variables/?page_size=100"} {
		a := w.get(w.ann, path)
		if a.code != 200 || a.header.Get("Content-Length") != "" {
			t.Errorf("%s: %d of %q bytes", path, a.code, a.header.Get("Content-Length"))
		}
		w.counts(40, 40, a)
		if head := w.send(w.ann, "HEAD", path, ""); head.code != 200 || head.header.Get("Content-Type") != "application/json" {
			t.Errorf("HEAD %s: %d %v", path, head.code, head.header)
		}
	}
	a := w.get(w.ann, "/api/variables/?page_size=2")
	if a.header.Get("Content-Length") != fmt.Sprint(len(a.body)) {
		t.Errorf("a short list of %d bytes has the length %q", len(a.body), a.header.Get("Content-Length"))
	}
	var v struct{ Next string }
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || !strings.HasSuffix(v.Next, "?page_size=2&page=2") {
		t.Errorf("next %q, %v", v.Next, err)
	}
}

// Who asks for many values at once waits for others who did, and leaves nothing
// behind; few values wait for nobody.
func TestLargeReadsTakeTurns(t *testing.T) {
	room := semaphore.NewWeighted(largeReads)
	share := func(s *settings) { s.api.large = room }
	w := newShared(t, share)
	w.fill(w.ann, 1, 20)
	w.environment(w.ann, 1, "small")
	w.variable(w.ann, 2, "KEY", "v")
	large := []string{"/api/environments/1/variables/", "/api/variables/?page_size=100", "/api/environments/1/export/"}
	all := func(token string, code int, paths ...string) {
		t.Helper()
		for _, path := range paths {
			if a := w.get(token, path); a.code != code {
				t.Errorf("%s: %d %.200s, want %d", path, a.code, a.body, code)
			}
		}
	}
	if !room.TryAcquire(largeReads) {
		t.Fatal("somebody reads")
	}
	all(w.ann, 200, "/api/environments/2/variables/", "/api/variables/?page_size=10", "/api/environments/2/export/")
	all(w.vic, 200, large[:2]...) // who sees no values
	w.serve(share, func(s *settings) { s.api.Wait = 300 * time.Millisecond })
	all(w.ann, 503, large...)
	w.serve(share)
	room.Release(largeReads)
	all(w.ann, 200, large...)
	// What was answered counts no more once its handler has returned.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := room.Acquire(ctx, largeReads); err != nil {
		t.Error("what was answered still counts")
	}
}
