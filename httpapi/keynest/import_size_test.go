package keynest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coveydb/covey/layer/vault"
)

func TestFilesThatAreTooLarge(t *testing.T) {
	w := newShared(t)
	comments := strings.Repeat("# a comment, over and over\n", vault.MaxImport/27+1)
	w.imported(1, 0, w.upload(".env", comments[:vault.MaxImport-4]+"\nA=1"))
	w.imported(0, 1, w.raw("env", comments[:vault.MaxImport-4]+"\nA=1")) // each line break takes two bytes there
	const text = "File too large. Maximum size is 10MB."
	for name, do := range map[string]func() response{
		"a file":                     func() response { return w.upload(".env", comments[:vault.MaxImport-3]+"\nA=1") },
		"data":                       func() response { return w.raw("env", comments[:vault.MaxImport-3]+"\nA=1") },
		"over all bounds":            func() response { return w.upload(".env", strings.Repeat(comments, 3)) },
		"bytes that are all escaped": func() response { return w.raw("env", strings.Repeat("#\x01", vault.MaxImport/3)) },
		"a body that hides its length": func() response {
			body, header := form(t, ".env", strings.Repeat(comments, 3))
			req, err := http.NewRequestWithContext(t.Context(), "POST", w.srv.URL+importPath, io.MultiReader(strings.NewReader(body)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Token "+w.ann)
			req.Header.Set("Content-Type", strings.TrimPrefix(header, "Content-Type: "))
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			p, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return response{resp.StatusCode, string(p), resp.Header}
		},
	} {
		t.Log(name)
		w.fails(400, "VALIDATION_ERROR", text, do())
	}
	w.holds("A=1")
}

// The longest file whose bytes are all values, in and out.
func TestTheLargestImport(t *testing.T) {
	w := newShared(t)
	var file strings.Builder
	value := strings.Repeat("v", vault.MaxValue)
	for i := range 159 {
		fmt.Fprintf(&file, "KEY%d=%s\n", i, value)
	}
	if file.Len() > vault.MaxImport || file.Len() < vault.MaxImport-vault.MaxValue {
		t.Fatalf("the file has %d bytes", file.Len())
	}
	w.imported(159, 0, w.upload(".env", file.String()))
	if a := w.get(w.ann, exportPath); a.code != 200 || len(a.body) != len(head)+file.Len() {
		t.Errorf("exported %d with %d bytes, want %d", a.code, len(a.body), len(head)+file.Len())
	}
}
