package cli

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/coveydb/covey/cmd/covey/demo"
)

func TestServeStopsWhenItsParentIsGone(t *testing.T) {
	var out, errOut bytes.Buffer
	code := Main(t.Context(), []string{
		"serve", "--id", "n1", "--data-dir", t.TempDir(), "--http-addr", "127.0.0.1:0", "--peer-addr", "127.0.0.1:0",
		"--gossip-addr", "127.0.0.1:0", "--log-format", "json", "--" + demo.StopWithStdin,
	}, Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errOut})
	if code != 0 || !strings.Contains(errOut.String(), `"msg":"serving"`) {
		t.Errorf("exit code %d, %s", code, errOut.String())
	}
}

func TestServeSaysWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	for says, args := range map[string][]string{
		"--log-level":  {"--log-level", "loud"},
		"--log-format": {"--log-format", "xml"},
		"--insecure":   {"--peer-addr", "0.0.0.0:0"},
		"--heartbeat":  {"--heartbeat", "1ns"},
		"--advertise":  {"--peer-addr", "0.0.0.0:0", "--insecure"},
	} {
		o := w.run(append([]string{"serve", "--id", "n1", "--data-dir", dir, "--http-addr", "127.0.0.1:0"}, args...)...)
		if o.code != exitUsage || !strings.Contains(o.errOut, says) {
			t.Errorf("%q: %+v", args, o)
		}
	}
	// A file that is not there may come, so a supervisor is to try again.
	o := w.run("serve", "--id", "n1", "--data-dir", dir, "--http-addr", "127.0.0.1:0", "--root-key-file", filepath.Join(dir, "none"))
	if o.code != exitFailed || !strings.Contains(o.errOut, "--root-key-file") {
		t.Errorf("a file that is missing: %+v", o)
	}
}

func TestServeReadsTheKeyringFromTheEnvironment(t *testing.T) {
	w := newWorld(t)
	args := []string{"serve", "--id", "n1", "--data-dir", t.TempDir(), "--http-addr", "127.0.0.1:0"}
	const secret = "bm90IGEga2V5"
	o := w.runIn("", []string{envKeyring + `={"primary":"a","keys":[{"id":"a","key":"` + secret + `"}]}`}, args...)
	if o.code != exitUsage || !strings.Contains(o.errOut, "key a is not 32 bytes long") || strings.Contains(o.errOut, secret) {
		t.Errorf("%+v", o)
	}
}

func TestHangupReadsTheLogLevelAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "covey.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := &app{args: []string{"serve", "--id", "n1", "-o", "json", "--config", path}, file: path}
	a.root = a.newRoot()
	a.file = path // newRoot binds the flag, whose default is none
	var level slog.LevelVar
	var idle files
	log := slog.New(slog.DiscardHandler)
	for text, want := range map[string]slog.Level{"log_level: debug": slog.LevelDebug, "log_level: error": slog.LevelError} {
		write(text)
		if a.reload(&idle, &level, log); level.Level() != want {
			t.Errorf("%q: the level is %v", text, level.Level())
		}
	}
	before := level.Level()
	write("log_level: loud")
	if a.reload(&idle, &level, log); level.Level() != before {
		t.Errorf("a bad file changed the level to %v", level.Level())
	}
	if idle.read != 3 {
		t.Errorf("certificates and keyring were read %d times, the signal came 3 times", idle.read)
	}
}

// stopAt is a writer that ends a context when it has seen enough.
type stopAt struct {
	bytes.Buffer
	text string
	seen func(all string)
}

func (s *stopAt) Write(p []byte) (int, error) {
	n, err := s.Buffer.Write(p)
	if strings.Contains(s.String(), s.text) {
		s.seen(s.String())
	}
	return n, err
}

func TestDevServesShowsItsRootKeyOnceAndStops(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "dev")
	for _, shown := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		status := 0
		out := &stopAt{text: "Ctrl-C stops the node.", seen: func(all string) {
			if resp, err := http.Get(regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(all) + "/readyz"); err == nil {
				status = resp.StatusCode
				resp.Body.Close()
			}
			cancel()
		}}
		var errOut bytes.Buffer
		code := Main(ctx, []string{"dev", "--data-dir", dir, "--http-addr", "127.0.0.1:0"}, Env{
			Stdout: out, Stderr: &errOut, Environ: []string{envKOTPassword + "=for-kot"},
		})
		cancel()
		if text := out.String(); !strings.Contains(text, "/controller/set") || strings.Contains(text, "for-kot") {
			t.Errorf("KOT is not told of, or its password is: %s", text)
		}
		if code != 0 || status != http.StatusOK {
			t.Fatalf("exit code %d, ready %d, %s", code, status, errOut.String())
		}
		key, err := os.ReadFile(filepath.Join(dir, "root.key"))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out.String(), strings.TrimSpace(string(key))); got != shown {
			t.Errorf("the root key is shown: %v, want %v", got, shown)
		}
	}
}

// files counts how often they are read again.
type files struct{ read int }

func (f *files) Reload() error {
	f.read++
	return nil
}
