package restdb

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/collection/media"
)

// sent is a file as a test uploads it.
type sent struct {
	name, kind string
	data       []byte
}

// form writes files as a browser does, with a field before them.
func form(files ...sent) (contentType string, body []byte) {
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	_ = m.WriteField("note", "no file") // to memory
	for i, f := range files {
		h := textproto.MIMEHeader{}
		h.Set("Content-Disposition", mime.FormatMediaType("form-data", map[string]string{"name": fmt.Sprint("f", i), "filename": f.name}))
		h.Set("Content-Type", f.kind)
		w, _ := m.CreatePart(h)
		_, _ = w.Write(f.data)
	}
	_ = m.Close()
	return m.FormDataContentType(), b.Bytes()
}

// post uploads a body.
func (w *world) post(contentType string, body []byte, headers ...string) response {
	w.t.Helper()
	return w.do("POST", "/media", string(body), append(headers, "Content-Type: "+contentType)...)
}

// upload uploads files and returns their ids.
func (w *world) upload(files ...sent) []string {
	w.t.Helper()
	kind, body := form(files...)
	a := w.post(kind, body, withKey)
	var up uploaded
	if err := json.Unmarshal([]byte(a.body), &up); err != nil || a.code != 201 || up.Msg != "OK" || len(up.UploadID) != 32 || len(up.IDs) != len(files) {
		w.t.Fatalf("upload: %d %s", a.code, a.body)
	}
	var ids []string
	for _, id := range up.IDs {
		ids = append(ids, id.String())
	}
	return ids
}

// fetch gets a file without a key.
func (w *world) fetch(method, path string, headers ...string) response {
	w.t.Helper()
	req, err := http.NewRequest(method, w.srv.URL+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	p, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		w.t.Error("an answer without nosniff")
	}
	return response{resp.StatusCode, string(p), resp.Header}
}

func noise(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(rand.Uint32())
	}
	return p
}

// photo is a PNG that no thumbnail is longer than.
func photo(w, h int) []byte {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = byte(rand.Uint32()) | 0x80
	}
	for i := 3; i < len(m.Pix); i += 4 {
		m.Pix[i] = 255
	}
	m.Set(0, 0, color.White)
	var b bytes.Buffer
	_ = png.Encode(&b, m) // to memory
	return b.Bytes()
}

// rooms counts what of media lies in the store, by the letter of its room.
func (w *world) rooms() string {
	w.t.Helper()
	var found strings.Builder
	_, err := w.store.DB.View(context.Background(), kv.Consistency{}, func(tx *kv.Tx) error {
		for _, kind := range "mfuky" {
			for _, err := range tx.Scan([]byte{'c', byte(kind)}, []byte{'c', byte(kind) + 1}) {
				if err != nil {
					return err
				}
				found.WriteRune(kind)
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return found.String()
}

func TestMediaComeBackToAnybody(t *testing.T) {
	w := newWorld(t)
	big := noise(700_000)
	ids := w.upload(sent{"../a b%.bin", "text/html", big}, sent{"a.txt", "text/plain", []byte("hello")}, sent{"a.txt", "", nil})
	a := w.fetch("GET", "/media/"+ids[0])
	if a.code != 200 || a.body != string(big) || a.header.Get("Content-Type") != "application/octet-stream" ||
		a.header.Get("Content-Disposition") != `attachment; filename="a b_.bin"; filename*=UTF-8''a%20b%25.bin` ||
		a.header.Get("Content-Security-Policy") != "sandbox" || a.header.Get("Cache-Control") != "public, max-age=86400" || len(a.header.Get("Etag")) != 66 {
		t.Errorf("got %d, %d bytes, %v", a.code, len(a.body), a.header)
	}
	if a := w.fetch("GET", "/media/"+ids[1], "Authorization: Bearer of.no.use", "Origin: https://a.test"); a.body != "hello" ||
		!strings.HasPrefix(a.header.Get("Content-Disposition"), "inline") || a.header.Get("Access-Control-Allow-Origin") != "https://a.test" {
		t.Errorf("got %d %s %v", a.code, a.body, a.header)
	}
	if a := w.fetch("GET", "/media/"+ids[2]); a.code != 200 || a.body != "" {
		t.Errorf("a file of no bytes: %d %q", a.code, a.body)
	}
	if a := w.fetch("HEAD", "/media/"+ids[0]+"/"); a.code != 200 || a.header.Get("Content-Length") != "700000" {
		t.Errorf("HEAD: %d %v", a.code, a.header)
	}
	var list []map[string]any
	if err := json.Unmarshal([]byte(w.get("/media/"+ids[0]+"/meta").body), &list); err != nil || len(list) != 1 {
		t.Fatal(err, list)
	}
	m := list[0]
	file, _ := m["file"].(string)
	if m["_id"] != ids[0] || m["_createdby"] != "api" || m["app"] != "default" || m["origname"] != "a b%.bin" || m["filesize"] != 7e5 ||
		m["mediatype"] != "application/octet-stream" || fmt.Sprint(m["exif"]) != "map[]" || !strings.HasSuffix(file, "a b_.bin") || m["_created"] != "2023-11-14T22:13:20.000Z" {
		t.Errorf("meta: %v", m)
	}
	if a := w.fetch("GET", "/media/"+strings.ReplaceAll(file, " ", "%20")); a.body != string(big) {
		t.Errorf("by its name: %d", a.code)
	}
}

func TestMediaRanges(t *testing.T) {
	w := newWorld(t)
	p := noise(600_000)
	path := "/media/" + w.upload(sent{"a", "", p})[0]
	tag := w.fetch("HEAD", path).header.Get("Etag")
	for _, c := range []struct {
		headers string
		code    int
		body    string
	}{
		{"Range: bytes=0-9", 206, string(p[:10])},
		{"Range: bytes=262140-262150", 206, string(p[262140:262151])},
		{"Range: bytes=-5", 206, string(p[len(p)-5:])},
		{"Range: bytes=599990-999999", 206, string(p[599990:])},
		{"Range: bytes=0-1|If-Range: " + tag, 206, string(p[:2])},
		{`Range: bytes=0-1|If-Range: "old"`, 200, string(p)},
		{"Range: bytes=" + strings.Repeat("1-1,", 20) + "2-2", 200, string(p)},
		{"If-None-Match: " + tag, 304, ""},
	} {
		a := w.fetch("GET", path, strings.Split(c.headers, "|")...)
		if a.code != c.code || a.body != c.body {
			t.Errorf("%s: %d with %d bytes, want %d with %d", c.headers, a.code, len(a.body), c.code, len(c.body))
		}
	}
	if a := w.fetch("GET", path, "Range: bytes=0-1,300000-300001"); a.code != 206 || !strings.Contains(a.body, string(p[300000:300002])) {
		t.Errorf("two ranges: %d %q", a.code, a.body)
	}
	a := w.fetch("GET", path, "Range: bytes=600000-")
	w.fails(416, "RangeNotSatisfiable", a)
	if a.header.Get("Content-Range") != "bytes */600000" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Etag") != "" {
		t.Errorf("416 with %v", a.header)
	}
	w.fails(412, "PreconditionFailed", w.fetch("GET", path, `If-Match: "other"`))
}

// RFC 9110, section 14.2: a unit that is not understood is ignored.
func TestARangeOfAnotherUnitIsIgnored(t *testing.T) {
	w := newWorld(t)
	id := w.upload(sent{"a.txt", "text/plain", []byte("hello")})[0]
	if a := w.fetch("GET", "/media/"+id, "Range: items=0-1"); a.code != 200 || a.body != "hello" {
		t.Errorf("got %d %s", a.code, a.body)
	}
}

func TestMediaDoor(t *testing.T) {
	w := newWorld(t)
	id := w.upload(sent{"a", "", []byte("x")})[0]
	scoped := func(methods, path string) string {
		return "x-apikey: " + w.key(collection.KeySpec{Web: true, Paths: []string{path}, Methods: strings.Split(methods, " "), Origins: []string{"*"}})
	}
	writer, reader, elsewhere := scoped("POST DELETE", "_media/**"), scoped("GET", "_media/**"), scoped("GET POST DELETE", "items")
	kind, body := form(sent{"a", "", []byte("y")})
	w.fails(401, "Unauthorized", w.post(kind, body))
	w.fails(403, "Forbidden", w.post(kind, body, reader))
	w.fails(403, "Forbidden", w.post(kind, body, elsewhere))
	if a := w.post(kind, body, writer); a.code != 201 {
		t.Errorf("a web key's upload: %d %s", a.code, a.body)
	}
	w.fails(401, "Unauthorized", w.do("GET", "/media/"+id+"/meta", ""))
	w.fails(403, "Forbidden", w.do("GET", "/media/"+id+"/meta", "", writer))
	if a := w.do("GET", "/media/"+id+"/meta", "", reader); a.code != 200 {
		t.Errorf("a web key's look at metadata: %d %s", a.code, a.body)
	}
	w.fails(401, "Unauthorized", w.do("DELETE", "/media/"+id, ""))
	w.fails(403, "Forbidden", w.do("DELETE", "/media/"+id, "", reader))
	w.fails(403, "Forbidden", w.do("POST", "/media/"+id, "", elsewhere, "X-HTTP-Method-Override: DELETE"))
	w.is(200, `{"result":["`+id+`"]}`, w.do("POST", "/media/"+id, "", writer, "X-HTTP-Method-Override: delete"))
	w.fails(404, "NotFound", w.do("DELETE", "/media/"+id, "", withKey))
	w.fails(404, "NotFound", w.do("DELETE", "/media/nothing", "", withKey))
	w.fails(404, "NotFound", w.get("/media/"+id+"/meta"))
	w.fails(404, "NotFound", w.fetch("GET", "/media/"+id))
	w.fails(404, "NotFound", w.fetch("GET", "/media/..%2f..%2fetc%2fpasswd"))
	w.fails(404, "NotFound", w.fetch("GET", "/media/"+strings.Repeat("x", 9000)))
	w.fails(405, "MethodNotAllowed", w.do("PUT", "/media/"+id, "", withKey))
	w.fails(405, "MethodNotAllowed", w.get("/media"))
	if rooms := w.rooms(); rooms != "mfk" {
		t.Errorf("the store holds %s, want the one upload of the web key", rooms)
	}
}

func TestBadUploadsStoreNothing(t *testing.T) {
	w := newWorld(t)
	w.set(collection.SettingMediaMax, "500000")
	kind, whole := form(sent{"a", "", noise(400_000)}, sent{"b", "", noise(400_000)})
	_, long := form(sent{"a", "", noise(400_000)}, sent{"b", "", noise(500_001)})
	longKind, _, _ := strings.Cut(string(long), "\r\n")
	longKind = "multipart/form-data; boundary=" + strings.TrimPrefix(longKind, "--")
	b := "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n"
	for name, c := range map[string]struct {
		kind, body string
		code       int
		headers    []string
	}{
		"no form":                 {kind: "application/json", body: "{}", code: 400},
		"no boundary":             {kind: "multipart/form-data", body: "--b", code: 400},
		"another boundary":        {kind: "multipart/form-data; boundary=b", body: string(whole), code: 413},
		"no file":                 {kind: "multipart/form-data; boundary=b", body: "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nx\r\n--b--", code: 400},
		"nothing at all":          {kind: "multipart/form-data; boundary=b", code: 400},
		"an end that is missing":  {kind: kind, body: string(whole[:len(whole)-30]), code: 400},
		"half of it":              {kind: kind, body: string(whole[:len(whole)/2]), code: 400},
		"a head that has no end":  {kind: "multipart/form-data; boundary=b", body: "--b\r\nX: " + strings.Repeat("y", 200_000), code: 413},
		"a field that is no file": {kind: "multipart/form-data; boundary=b", body: "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n" + strings.Repeat("x", 200_000) + "\r\n--b--", code: 413},
		"101 files":               {kind: "multipart/form-data; boundary=b", body: strings.Repeat(b+"\r\nx\r\n", 101) + "--b--", code: 413},
		"a file over the limit":   {kind: longKind, body: string(long), code: 413},
		"an Idempotency-Key":      {kind: kind, body: string(whole), code: 400, headers: []string{"Idempotency-Key: 0123456789abcdef"}},
		"Accept without JSON":     {kind: kind, body: string(whole), code: 406, headers: []string{"Accept: image/png"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.do("POST", "/media", c.body, append(c.headers, withKey, "Content-Type: "+c.kind)...)
			if a.code != c.code {
				t.Errorf("got %d %s, want %d", a.code, a.body, c.code)
			}
			if rooms := w.rooms(); rooms != "" {
				t.Errorf("left in the store: %s", rooms)
			}
		})
	}
	if a := w.post(kind, whole, withKey); a.code != 201 {
		t.Errorf("the whole: %d %s", a.code, a.body)
	}
}

// An upload is whole or absent whichever of its commits breaks.
func TestBrokenUploadsAreWholeOrAbsent(t *testing.T) {
	kind, body := form(sent{"a", "", noise(600_000)}, sent{"b", "", noise(300_000)})
	for at := 1; ; at++ {
		w := newWorld(t)
		w.serve(func(s *settings) { s.api.DB, s.api.Wait = (&breaking{Store: w.store, at: at}).db(), time.Second })
		a := w.post(kind, body, withKey)
		if rooms := w.rooms(); strings.ContainsAny(rooms, "mf") != (a.code == 201) {
			t.Errorf("broken at commit %d: %d, the store holds %s", at, a.code, rooms)
		}
		if a.code == 201 {
			if at < 5 {
				t.Errorf("an upload of two files took %d commits", at-1)
			}
			return
		}
		w.fails(503, "ServiceUnavailable", a)
	}
}

// connect opens a connection and writes to it.
func (w *world) connect(text string) *net.TCPConn {
	w.t.Helper()
	c, err := net.Dial("tcp", w.srv.Listener.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		w.t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func TestAStalledUploadIsCutOff(t *testing.T) {
	w := newWorld(t, func(s *settings) { s.api.pace = 50 * time.Millisecond })
	kind, body := form(sent{"a", "", noise(600_000)})
	c := w.connect(fmt.Sprintf("POST /media HTTP/1.1\r\nHost: x\r\nx-apikey: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		fullKey, kind, len(body), body[:500_000]))
	answer, err := io.ReadAll(c) // until the server closes
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") || !strings.Contains(string(answer), "too slowly") {
		t.Errorf("got %s (%v)", answer, err)
	}
	if rooms := w.rooms(); rooms != "" {
		t.Errorf("left in the store: %s", rooms)
	}
}

func TestAClientThatReadsNothingIsCutOff(t *testing.T) {
	w := newWorld(t)
	w.set(collection.SettingMediaMax, "100000000")
	id := w.upload(sent{"a", "", noise(24 << 20)})[0] // more than connections hold
	w.serve(func(s *settings) { s.api.pace = 50 * time.Millisecond })
	c := w.connect("GET /media/" + id + " HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil { // it has begun
		t.Fatal(err)
	}
	w.srv.Close() // waits for the handler, which ends though nothing more is read
	if n, _ := io.Copy(io.Discard, c); n >= 24<<20 {
		t.Errorf("%d bytes arrived", n)
	}
}

func TestADeletionBreaksADownloadOff(t *testing.T) {
	w := newWorld(t)
	w.set(collection.SettingMediaMax, "100000000")
	id := w.upload(sent{"a", "", noise(24 << 20)})[0]
	resp, err := http.Get(w.srv.URL + "/media/" + id)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	w.update(func(tx *kv.Tx) error {
		oid, _ := collection.ParseOID(id)
		return media.Delete(tx, collection.DefaultDatabase, oid)
	})
	if n, err := io.Copy(io.Discard, resp.Body); err == nil || n >= 24<<20 {
		t.Errorf("%d bytes arrived, and then %v", n, err)
	}
}
