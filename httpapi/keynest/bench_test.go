package keynest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkVariables measures requests on an environment of 500 variables over
// HTTP, on one replica in memory: a list of them and a page, which are recorded
// in the audit log too, and an export.
func BenchmarkVariables(b *testing.B) {
	w := newWorld(b)
	ann := w.register("ann")
	env := w.environment(ann, w.project(ann, 1, "Web"), "live")
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, "KEY_%d=%0100d\n", i, i)
	}
	body := string(encode(map[string]any{"data": text.String()}))
	if a := w.send(ann, "POST", at("environments", env, "import"), body); a.code != 200 {
		b.Fatal(a.code, a.body)
	}
	do := func(b *testing.B, path, has string) {
		req, err := http.NewRequestWithContext(b.Context(), "GET", w.srv.URL+path, nil)
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Authorization", "Token "+ann)
		resp, err := noRedirects.Do(req)
		if err != nil {
			b.Error(err)
			return
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 || !strings.Contains(string(got), has) {
			b.Errorf("%s: %d, %d bytes, %v", path, resp.StatusCode, len(got), err)
		}
	}
	for name, c := range map[string]struct{ path, has string }{
		"list":   {at("environments", env, "variables"), `"KEY_499"`},
		"page":   {at("environments", env, "variables") + "?page=25&page_size=20", `"KEY_499"`},
		"export": {at("environments", env, "export"), "KEY_499="},
	} {
		b.Run(name+" alone", func(b *testing.B) {
			for b.Loop() {
				do(b, c.path, c.has)
			}
		})
		b.Run(name+" by 200 clients", func(b *testing.B) {
			b.SetParallelism(100)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					do(b, c.path, c.has)
				}
			})
		})
	}
}
