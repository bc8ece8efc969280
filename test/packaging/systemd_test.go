package packaging

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/freeport"
)

func TestSystemdHearsFromTheNode(t *testing.T) {
	dir := t.TempDir()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	cmd := exec.Command(binary, "serve", "--id", "n1", "--data-dir", filepath.Join(dir, "data"), "--bootstrap-expect", "1",
		"--http-addr", freeport.Addr(t), "--peer-addr", freeport.Addr(t), "--gossip-addr", freeport.Addr(t))
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(dir, "notify"), "WATCHDOG_USEC=900000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }() // nothing when it has ended
	alive := 0
	hear := func(want string) {
		t.Helper()
		if err := socket.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		for {
			n, err := socket.Read(buf)
			if err != nil {
				t.Fatalf("%q was not heard: %v", want, err)
			}
			text := string(buf[:n])
			alive += strings.Count(text, "WATCHDOG=1")
			if strings.Contains(text, want) {
				return
			}
		}
	}
	hear("READY=1")
	hear("WATCHDOG=1")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hear("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if alive < 2 {
		t.Errorf("%d signs of life", alive)
	}
}

func TestUnitIsSound(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	// The unit names the installed binary: here it is that of the test.
	unit := filepath.Join(t.TempDir(), "covey.service")
	text := strings.ReplaceAll(read(t, "deploy/systemd/covey.service"), "/usr/bin/covey", binary)
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", unit).CombinedOutput(); err != nil || strings.Contains(string(out), unit) {
		t.Errorf("%v %s", err, out)
	}
	// 2.0 is what systemd calls OK; 9.6 is a unit without any hardening.
	if out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=20", unit).CombinedOutput(); err != nil {
		t.Errorf("%v %s", err, out)
	}
}
