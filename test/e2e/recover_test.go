package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// covey runs one command line and returns its output and its exit code.
func covey(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, messages bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &messages
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("covey %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), messages.String(), cmd.ProcessState.ExitCode()
}

// mustCovey is covey for what has to succeed.
func mustCovey(t testing.TB, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, code := covey(t, args...)
	if code != 0 {
		t.Fatalf("covey %s: exit code %d\n%s", strings.Join(args, " "), code, stderr)
	}
	return stdout, stderr
}

// numbered is a load of clients that each write their own keys, through one node
// each, until that node fails.
type numbered struct {
	wg    sync.WaitGroup
	acked []atomic.Int64 // the last number that each client was acknowledged
	total atomic.Int64
}

func startNumbering(servers []*server, bucket string, each int) *numbered {
	w := &numbered{acked: make([]atomic.Int64, len(servers)*each)}
	for c := range w.acked {
		w.wg.Go(func() {
			s := servers[c/each]
			for i := int64(1); ; i++ {
				if code, _, err := s.do("PUT", fmt.Sprintf("/%s/c%d-%d", bucket, c, i), fmt.Sprint(i), nil); err != nil || code != 200 {
					return
				}
				w.acked[c].Store(i)
				w.total.Add(1)
			}
		})
	}
	return w
}

// check reads back all that client c was acknowledged.
func (w *numbered) check(t *testing.T, s *server, bucket string, c int) {
	t.Helper()
	for i := int64(1); i <= w.acked[c].Load(); i++ {
		if code, got, err := s.do("GET", fmt.Sprintf("/%s/c%d-%d", bucket, c, i), "", nil); err != nil || code != 200 || got != fmt.Sprint(i) {
			t.Fatalf("client %d was acknowledged %d writes, number %d reads %d %q, %v", c, w.acked[c].Load(), i, code, got, err)
		}
	}
}

// Two of three nodes are destroyed under load. Whatever the survivor has
// acknowledged it still has after its recovery; a destroyed node that returns with
// its old data is refused, and told why; with empty folders both come back as new
// nodes, and then the survivor can go in its turn.
func TestTheSurvivorOfALostQuorumIsBroughtBack(t *testing.T) {
	t.Parallel()
	servers := newCluster(t, 3)
	keep, lost := servers[2], servers[:2]
	bucket := keep.must("POST", "/", "")
	const each = 3
	load := startNumbering(servers, bucket, each)
	more(t, &load.total, int64(size(500, 20_000)))
	for _, s := range lost {
		s.kill()
	}
	keep.kill() // it could not write any more; like this it has lost its memory too
	load.wg.Wait()

	report := recoverFrom(t, keep)
	for _, want := range []string{"voters: n1, n2, n3", "1 of them survive", "known to be committed", "unknown: what n1, n2 committed", "danger: n1, n2 must be destroyed"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report does not say %q:\n%s", want, report)
		}
	}
	keep.start()
	keep.waitReady(patience)
	for c := 2 * each; c < 3*each; c++ {
		load.check(t, keep, bucket, c)
	}
	keep.must("PUT", "/"+bucket+"/after", "1")

	returnsAndIsRefused(t, keep, lost[0])
	mustCovey(t, "cluster", "recover", "rejoin", "--data-dir", lost[0].dir, "--yes")
	if err := os.RemoveAll(lost[1].dir); err != nil {
		t.Fatal(err)
	}
	for _, s := range lost {
		s.join, s.expect = keep.gossip, 0
		s.start()
	}
	for _, s := range lost {
		s.waitReady(patience)
	}
	keep.waitFor("one of three voters", 60*time.Second, func() error {
		st, err := keep.status()
		voters := 0
		for _, m := range st.Members {
			if m.Role == "voter" {
				voters++
			}
		}
		if err == nil && voters != 3 {
			err = fmt.Errorf("%d voters", voters)
		}
		return err
	})
	keep.kill()
	lost[0].waitFor("able to write", patience, func() error {
		code, body, err := lost[0].do("PUT", "/"+bucket+"/after", "2", nil)
		if err == nil && code != 200 {
			err = fmt.Errorf("%d %s", code, body)
		}
		return err
	})
	if got := lost[1].must("GET", "/"+bucket+"/after", ""); got != "2" {
		t.Errorf("read %q", got)
	}
	load.check(t, lost[1], bucket, 3*each-1)
}

// recoverFrom recovers a killed node as an operator would, and returns what he
// is told.
func recoverFrom(t *testing.T, keep *server) (report string) {
	t.Helper()
	if _, stderr, code := covey(t, "cluster", "recover", "--data-dir", keep.dir); code != 2 || !strings.Contains(stderr, "--yes") {
		t.Errorf("recover without --yes: exit code %d\n%s", code, stderr)
	}
	file, _ := mustCovey(t, "cluster", "recover", "inspect", "--data-dir", keep.dir, "-o", "json")
	path := filepath.Join(t.TempDir(), "n3.json")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := covey(t, "cluster", "recover", "--data-dir", keep.dir, "--survivor", path, "--yes"); code != 1 || !strings.Contains(stderr, "given twice") {
		t.Errorf("its own file as another survivor's: exit code %d\n%s", code, stderr)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(file, `"known_committed": `, `"known_committed": 1`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := covey(t, "cluster", "recover", "--data-dir", keep.dir, "--survivor", path, "--yes"); code != 1 || !strings.Contains(stderr, "altered") {
		t.Errorf("an altered file: exit code %d\n%s", code, stderr)
	}
	_, report = mustCovey(t, "cluster", "recover", "--data-dir", keep.dir, "--yes")
	return report
}

// returnsAndIsRefused starts a node of the superseded cluster on its old data.
func returnsAndIsRefused(t *testing.T, keep, lost *server) {
	t.Helper()
	lost.join = keep.gossip
	lost.start()
	for _, s := range []*server{keep, lost} {
		s.waitFor("aware that the other is of another time", patience, func() error {
			if !strings.Contains(s.log.String(), "superseded") {
				return errors.New("its log does not say so")
			}
			return nil
		})
	}
	lost.waitFor("refused at the peer port", patience, func() error {
		if !strings.Contains(lost.log.String(), "holds data of before") {
			return errors.New("its log does not say so")
		}
		return nil
	})
	if code, body, err := lost.do("PUT", "/kept/x", "1", nil); err == nil && code < 400 {
		t.Errorf("the lost node takes a write: %d %s", code, body)
	}
	keep.must("GET", "/readyz", "")
	lost.terminate()
}
