package restdb

import (
	"context"
	"encoding/json"
	"image"
	"strings"
	"sync"
	"testing"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/collection/media"
)

func TestPreviews(t *testing.T) {
	w := newWorld(t)
	p := photo(900, 700)
	ids := w.upload(sent{"p.png", "image/png", p}, sent{"s.png", "image/png", photo(100, 100)},
		sent{"x.svg", "image/svg+xml", []byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`)},
		sent{"broken.png", "image/png", p[:len(p)/2]})
	width := func(a response) int {
		c, _, err := image.DecodeConfig(strings.NewReader(a.body))
		if err != nil {
			t.Errorf("%d: %v", a.code, err)
		}
		return c.Width
	}
	before := w.store.Commits()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if a := w.fetch("GET", "/media/"+ids[0]+"?s=t"); width(a) != 128 || a.header.Get("Content-Type") != "image/jpeg" {
				t.Errorf("thumbnail: %d wide, %v", width(a), a.header)
			}
		})
	}
	wg.Wait()
	w.fetch("GET", "/media/"+ids[0]+"?s=t")
	if n := w.store.Commits() - before; n > 3 { // whoever comes just after the first has looked before
		t.Errorf("the thumbnail was made %d times", n)
	}
	small := w.fetch("GET", "/media/"+ids[0]+"?s=w")
	if width(small) != 640 || small.header.Get("Etag") == w.fetch("HEAD", "/media/"+ids[0]).header.Get("Etag") {
		t.Errorf("web picture: %d wide, %v", width(small), small.header)
	}
	for _, path := range []string{ids[0], ids[0] + "?s=o", ids[0] + "?s=huge", ids[0] + "?s="} {
		if a := w.fetch("GET", "/media/"+path); a.body != string(p) {
			t.Errorf("%s: %d, %d bytes", path, a.code, len(a.body))
		}
	}
	if a := w.fetch("GET", "/media/"+ids[1]+"?s=t"); width(a) != 100 {
		t.Errorf("a picture was enlarged to %d", width(a))
	}
	if a := w.fetch("GET", "/media/"+ids[2]+"?s=t"); a.code != 200 || !strings.HasPrefix(a.body, "<svg") ||
		a.header.Get("Content-Security-Policy") != "sandbox" || !strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("SVG: %d %v", a.code, a.header)
	}
	for range 2 {
		if a := w.fetch("GET", "/media/"+ids[3]+"?s=t"); a.body != string(p[:len(p)/2]) {
			t.Errorf("a broken picture: %d", a.code)
		}
	}
	if rooms := w.rooms(); strings.Count(rooms, "y") != 3 {
		t.Errorf("the store holds %s", rooms)
	}
	for _, id := range ids {
		if a := w.do("DELETE", "/media/"+id, "", withKey); a.code != 200 {
			t.Errorf("delete: %d", a.code)
		}
	}
	if rooms := w.rooms(); rooms != "" {
		t.Errorf("left in the store: %s", rooms)
	}
}

func TestAPreviewThatIsNotStoredIsSent(t *testing.T) {
	w := newWorld(t)
	id := w.upload(sent{"p.png", "image/png", photo(300, 200)})[0]
	w.store.FailNext(errs.E(errs.Unavailable, "no leader"))
	if a := w.fetch("GET", "/media/"+id+"?s=t"); a.code != 200 || a.header.Get("Content-Type") != "image/jpeg" {
		t.Errorf("got %d %v", a.code, a.header)
	}
}

func TestAPreviewWaitsForRoomNoLongerThanItsClient(t *testing.T) {
	rooms := newMediaRooms()
	if !rooms.decodes.TryAcquire(maxDecodes) {
		t.Fatal("a new node has no room")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	node := &api{media: rooms}
	if _, _, err := node.decode(ctx, &media.File{}, media.Thumbnail); !errs.Is(err, errs.Unavailable) {
		t.Errorf("got %v", err)
	}
	rooms.decodes.Release(maxDecodes)
	if err := enterRoom(t.Context(), rooms.decodes, maxDecodes); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestFetchMediaData(t *testing.T) {
	w := newWorld(t)
	w.schema("people", `{"fields":[{"name":"photo","fieldtype":"image"}]}`)
	id := w.upload(sent{"p.png", "image/png", photo(20, 10)})[0]
	doc := w.insert("people", `{"photo":["`+id+`","000000000000000000000000"]}`)
	var d struct{ Photo []any }
	if err := json.Unmarshal([]byte(w.get("/rest/people/"+doc+"?fetchmediadata=true").body), &d); err != nil {
		t.Fatal(err)
	}
	m, _ := d.Photo[0].(map[string]any)
	if m["_id"] != id || m["width"] != 20.0 || m["mediatype"] != "image/png" || d.Photo[1] != "000000000000000000000000" {
		t.Errorf("got %v", d.Photo)
	}
	if a := w.get("/rest/people"); !strings.Contains(a.body, `"photo":["`+id+`",`) {
		t.Errorf("without it: %s", a.body)
	}
	narrow := "x-apikey: " + w.key(collection.KeySpec{Web: true, Paths: []string{"people"}, Methods: []string{"GET"}, Origins: []string{"*"}})
	if a := w.do("GET", "/rest/people?fetchmediadata=true", "", narrow); a.code != 200 || !strings.Contains(a.body, `"photo":["`+id+`",`) {
		t.Errorf("a key that may not read media: %d %s", a.code, a.body)
	}
}
