package depot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/freeport"
)

var full = flag.Bool("full", false, "build an S3 server program and test with it")

// The S3 server that tests run against: github.com/versity/versitygw, a program
// of its own that keeps objects as files.
const (
	serverModule = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
	serverVar    = "COVEY_TEST_VERSITYGW" // path of a binary
)

var testKeys = Keys{Access: "test-access", Secret: "test-secret-0123456789"}

// serverBinary returns the path of an S3 server program, or skips the test.
func serverBinary(t *testing.T) string {
	t.Helper()
	if path := os.Getenv(serverVar); path != "" {
		return path
	}
	if path, err := exec.LookPath("versitygw"); err == nil {
		return path
	}
	if !*full {
		t.Skipf("no S3 server program: set %s to a versitygw binary, or run with -full, which builds %s", serverVar, serverModule)
	}
	dir := t.TempDir()
	cmd := exec.Command("go", "install", serverModule)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-mod=mod")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", serverModule, err, out)
	}
	return filepath.Join(dir, "versitygw")
}

// startServer runs an S3 server with one bucket and returns the bucket's URL, to
// which ca=FILE is to be added if the server speaks TLS.
func startServer(t *testing.T, args ...string) (url string) {
	t.Helper()
	scheme := "http://"
	if len(args) > 0 {
		scheme = "https://"
	}
	binary := serverBinary(t)
	addr, dir := freeport.Addr(t), t.TempDir()
	var log bytes.Buffer
	cmd := exec.Command(binary, append(slices.Concat([]string{"--port", addr}, args), "posix", "--sidecar", t.TempDir(), dir)...)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+testKeys.Access, "ROOT_SECRET_KEY="+testKeys.Secret)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("the S3 server's log:\n%s", log.String())
		}
	})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the S3 server does not answer: %v\n%s", err, log.String())
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "bucket"), 0o700); err != nil { // which is how it keeps one
		t.Fatal(err)
	}
	return "s3://bucket/nightly/east?endpoint=" + scheme + addr
}

func TestABucketBehindTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	own := httptest.NewTLSServer(nil) // for its certificate
	own.Close()
	pair := own.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	url := startServer(t, "--cert", cert, "--key", key)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := mustOpen(t, url, Options{testKeys}).List(ctx); !errs.Is(err, errs.Unavailable) {
		t.Errorf("without the CA: got %v", err)
	}
	suite(t, mustOpen(t, url+"&ca="+cert, Options{testKeys}), mustOpen(t, url+"&style=path&ca="+cert, Options{testKeys}))
}

func TestABucketOfARealServer(t *testing.T) {
	url := startServer(t)
	d := mustOpen(t, url, Options{testKeys})
	suite(t, d, mustOpen(t, url, Options{testKeys}))

	severalParts(t, d)
	t.Run("files elsewhere in the bucket are not seen", func(t *testing.T) {
		other := mustOpen(t, strings.Replace(url, "nightly/east", "nightly", 1), Options{testKeys})
		if files, err := other.List(t.Context()); err != nil || len(files) != 0 {
			t.Errorf("listed %+v, %v", files, err)
		}
	})
	t.Run("what is wrong is told without the keys", func(t *testing.T) {
		for name, c := range map[string]struct {
			url  string
			keys Keys
			want errs.Kind
		}{
			"a wrong secret":        {url, Keys{Access: testKeys.Access, Secret: planted}, errs.Forbidden},
			"an unknown access key": {url, Keys{Access: "nobody", Secret: planted}, errs.Unavailable}, // 404 XAdminUserNotFound, of this server
			"no such bucket":        {strings.Replace(url, "bucket", "pail", 1), testKeys, errs.NotFound},
		} {
			bad := mustOpen(t, c.url, Options{c.keys})
			_, listErr := bad.List(t.Context())
			for what, err := range map[string]error{"put": bad.Put(t.Context(), "x", strings.NewReader("x")), "list": listErr} {
				if !errs.Is(err, c.want) || strings.Contains(fmt.Sprint(err), planted) || strings.Contains(fmt.Sprint(err), testKeys.Secret) {
					t.Errorf("%s, %s: got %v", name, what, err)
				}
			}
		}
	})
}

// severalParts is what a bucket has to do with files that go up in pieces.
func severalParts(t *testing.T, d Depot) {
	t.Run("a file of several parts", func(t *testing.T) {
		const size = 2*partBytes + 12345
		sum := sha256.New()
		random := io.LimitReader(rand.NewChaCha8([32]byte{1}), size)
		if err := d.Put(t.Context(), "large", io.TeeReader(random, sum)); err != nil {
			t.Fatal(err)
		}
		r, n, err := d.Get(t.Context(), "large")
		if err != nil || n != size {
			t.Fatalf("%d bytes, %v", n, err)
		}
		defer r.Close()
		got := sha256.New()
		if n, err := io.Copy(got, r); err != nil || n != size || !bytes.Equal(got.Sum(nil), sum.Sum(nil)) {
			t.Errorf("%d bytes, another content, %v", n, err)
		}
	})
	t.Run("an upload of several parts that fails", func(t *testing.T) {
		boom := errors.New("boom")
		random := io.LimitReader(rand.NewChaCha8([32]byte{2}), partBytes+100)
		if err := d.Put(t.Context(), "never", io.MultiReader(random, broken{boom})); !errors.Is(err, boom) {
			t.Errorf("got %v", err)
		}
		if _, _, err := d.Get(t.Context(), "never"); !errs.Is(err, errs.NotFound) {
			t.Errorf("it is there: %v", err)
		}
		for u := range d.(*bucket).client.ListIncompleteUploads(t.Context(), "bucket", "nightly/east/", true) {
			t.Errorf("left over: %s, %v", u.Key, u.Err)
		}
	})
}

// A server in this process stands in for a real one where there is none.
func TestABucketInProcess(t *testing.T) {
	memory := s3mem.New()
	// With TLS, as it does not know the signed pieces that clients send without.
	server := httptest.NewTLSServer(gofakes3.New(memory).Server())
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := memory.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	url := "s3://bucket/nightly/east?endpoint=" + server.URL + "&ca=" + ca
	d := mustOpen(t, url, Options{testKeys})
	suite(t, d, mustOpen(t, url, Options{testKeys}))
	severalParts(t, d)
}

func TestAServerThatIsNotThere(t *testing.T) {
	d := mustOpen(t, "s3://bucket/x?endpoint=http://"+freeport.Addr(t), Options{testKeys})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := d.List(ctx); !errs.Is(err, errs.Unavailable) || strings.Contains(err.Error(), testKeys.Secret) {
		t.Errorf("got %v", err)
	}
}
