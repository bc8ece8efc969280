package depot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coveydb/covey/internal/errs"
)

// suite is what every depot has to do. other is the same place, opened anew.
func suite(t *testing.T, d, other Depot) {
	ctx := t.Context()
	content := bytes.Repeat([]byte("covey "), 1<<18)
	t.Run("what was put is listed and read", func(t *testing.T) {
		for _, name := range []string{"b.covey", "a.covey.age", "small"} {
			text := content
			if name == "small" {
				text = content[:1]
			}
			if err := d.Put(ctx, name, bytes.NewReader(text)); err != nil {
				t.Fatal(err)
			}
			got, size, err := read(ctx, other, name)
			if err != nil || !bytes.Equal(got, text) || size != int64(len(text)) {
				t.Errorf("%s: %d bytes of %d, %v", name, len(got), size, err)
			}
		}
		files, err := other.List(ctx)
		if err != nil || len(files) != 3 || files[0].Name != "a.covey.age" || files[1].Size != int64(len(content)) || files[2].Name != "small" || files[0].Changed.IsZero() {
			t.Errorf("listed %+v, %v", files, err)
		}
	})
	t.Run("a name that is taken is replaced", func(t *testing.T) {
		if err := d.Put(ctx, "small", strings.NewReader("no more")); err != nil {
			t.Fatal(err)
		}
		if got, _, err := read(ctx, d, "small"); err != nil || string(got) != "no more" {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("a source that fails leaves nothing", func(t *testing.T) {
		boom := errors.New("boom")
		for _, before := range []int{0, 100, len(content)} {
			err := d.Put(ctx, "half", io.MultiReader(bytes.NewReader(content[:before]), broken{boom}))
			if !errors.Is(err, boom) {
				t.Errorf("after %d bytes: got %v", before, err)
			}
		}
		if _, _, err := d.Get(ctx, "half"); !errs.Is(err, errs.NotFound) {
			t.Errorf("it is there: %v", err)
		}
		if files, err := d.List(ctx); err != nil || len(files) != 3 {
			t.Errorf("listed %+v, %v", files, err)
		}
	})
	t.Run("a call that is given up ends", func(t *testing.T) {
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if err := d.Put(gone, "late", bytes.NewReader(content)); err == nil {
			t.Error("it was put")
		}
	})
	t.Run("what was deleted is gone", func(t *testing.T) {
		for range 2 {
			if err := d.Delete(ctx, "b.covey"); err != nil {
				t.Error(err)
			}
		}
		if _, _, err := other.Get(ctx, "b.covey"); !errs.Is(err, errs.NotFound) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a name that leads elsewhere is refused", func(t *testing.T) {
		for _, name := range []string{"", ".", "..", "../x", "a/b", ".hidden", "a b", strings.Repeat("n", maxName+1)} {
			_, _, err := d.Get(ctx, name)
			for what, err := range map[string]error{"put": d.Put(ctx, name, strings.NewReader("x")), "get": err, "delete": d.Delete(ctx, name)} {
				if !errs.Is(err, errs.Invalid) {
					t.Errorf("%s %q: got %v", what, name, err)
				}
			}
		}
	})
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func read(ctx context.Context, d Depot, name string) ([]byte, int64, error) {
	r, size, err := d.Get(ctx, name)
	if err != nil {
		return nil, 0, err
	}
	p, err := io.ReadAll(r)
	return p, size, errors.Join(err, r.Close())
}

func mustOpen(t testing.TB, url string, o Options) Depot {
	t.Helper()
	d, err := Open(url, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAFolder(t *testing.T) {
	dir := t.TempDir()
	url := "file://" + filepath.ToSlash(dir)
	suite(t, mustOpen(t, url, Options{}), mustOpen(t, url+"/", Options{}))
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
	info, err := os.Stat(filepath.Join(dir, "a.covey.age"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := mustOpen(t, url, Options{}).List(t.Context())
	if err != nil || len(files) != 2 {
		t.Errorf("listed %+v, %v", files, err)
	}
}

const planted = "planted-secret-0123"

func TestURLsThatAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys := Options{Keys{Access: "access", Secret: planted}}
	for name, url := range map[string]string{
		"nothing":                  "",
		"a path":                   "/backups",
		"another scheme":           "ftp://host/x",
		"a file that is no folder": "file://" + file,
		"a folder that is missing": "file://" + file + "-no",
		"two slashes":              "file://backups",
		"a query for a folder":     "file:///tmp?x=1",
		"no bucket":                "s3:///x",
		"keys in the URL":          "s3://access:" + planted + "@bucket/x",
		"keys in the endpoint":     "s3://bucket/x?endpoint=https://access:" + planted + "@host",
		"keys in the query":        "s3://bucket/x?secret=" + planted,
		"a broken URL with keys":   "s3://access:" + planted + "@%zz/x",
		"a fragment":               "s3://bucket/x#" + planted,
		"an endpoint with a path":  "s3://bucket/x?endpoint=https://host/path",
		"a plain endpoint":         "s3://bucket/x?endpoint=http://10.0.0.1:9000",
		"another endpoint scheme":  "s3://bucket/x?endpoint=ftp://host",
		"plain as one likes":       "s3://bucket/x?endpoint=https://host&plain=1",
		"another style":            "s3://bucket/x?style=baroque",
		"an endpoint twice":        "s3://bucket/x?endpoint=https://a&endpoint=https://b",
		"a CA that is missing":     "s3://bucket/x?ca=/no/such/file",
		"a CA that is none":        "s3://bucket/x?ca=" + file,
		"a bad query":              "s3://bucket/x?%zz",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(url, keys)
			if !errs.Is(err, errs.Invalid) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), planted) {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
	if _, err := Open("s3://bucket/x", Options{}); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "--s3-access-key-file") {
		t.Errorf("without keys: got %v", err)
	}
}

func TestPlacesAreTold(t *testing.T) {
	keys := Options{Keys{Access: "access", Secret: planted, Session: planted}}
	for url, want := range map[string]string{
		"s3://bucket":                                              "s3://bucket/ at s3.amazonaws.com",
		"s3://bucket/a/b/?region=eu-central-1":                     "s3://bucket/a/b/ at s3.amazonaws.com",
		"s3://bucket/a?endpoint=minio.example.org:9000":            "s3://bucket/a/ at minio.example.org:9000",
		"s3://bucket/a?endpoint=http://127.0.0.1:9000":             "s3://bucket/a/ at 127.0.0.1:9000",
		"s3://bucket/a?endpoint=http://10.0.0.1:9000&plain=yes":    "s3://bucket/a/ at 10.0.0.1:9000",
		"s3://bucket/a?endpoint=https://host.example&style=host":   "s3://bucket/a/ at host.example",
		"s3://bucket/a?endpoint=https://[::1]:9000&region=nowhere": "s3://bucket/a/ at [::1]:9000",
	} {
		if d := mustOpen(t, url, keys); d.String() != want {
			t.Errorf("%s: got %s, want %s", url, d, want)
		}
	}
}

func TestTheURLOfAFile(t *testing.T) {
	dir := t.TempDir()
	if err := mustOpen(t, "file://"+dir, Options{}).Put(t.Context(), "x.covey", strings.NewReader("hello")); err != nil {
		t.Fatal(err)
	}
	d, name, err := OpenFile("file://"+dir+"/x.covey", Options{})
	if err != nil || name != "x.covey" {
		t.Fatalf("%q, %v", name, err)
	}
	if got, _, err := read(t.Context(), d, name); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	d, name, err = OpenFile("s3://bucket/a/x.covey?endpoint=https://host", Options{Keys{Access: "a", Secret: "s"}})
	if err != nil || name != "x.covey" || d.String() != "s3://bucket/a/ at host" {
		t.Errorf("%v, %q, %v", d, name, err)
	}
	for _, url := range []string{"file:///tmp/", "s3://bucket", "s3://bucket/", "file:///tmp/.x"} {
		if _, _, err := OpenFile(url, Options{Keys{Access: "a", Secret: "s"}}); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: got %v", url, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add("s3://bucket/prefix?endpoint=https://h:1&region=r&style=path&plain=yes")
	f.Add("file:///nowhere-at-all/x")
	f.Fuzz(func(t *testing.T, url string) {
		if strings.HasPrefix(url, "file:") || strings.Contains(url, "ca=") {
			return // would touch files
		}
		_, err := Open(url, Options{Keys{Access: "access", Secret: planted}})
		if err != nil && (!errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), planted) && !strings.Contains(url, planted)) {
			t.Errorf("%q: %v", url, err)
		}
	})
}
