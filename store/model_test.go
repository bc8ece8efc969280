package store

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is the store as a plain map.
type model map[string]string

func (m model) span(lo, hi []byte) []string {
	got := []string{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if k >= string(lo) && (hi == nil || k < string(hi)) {
			got = append(got, k+"="+m[k])
		}
	}
	return got
}

func (m model) deleteSpan(lo, hi []byte) {
	maps.DeleteFunc(m, func(k, _ string) bool { return k >= string(lo) && (hi == nil || k < string(hi)) })
}

func genKey() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		return rapid.SliceOfN(rapid.SampledFrom([]byte{0, 'a', 'b', 0xff}), 1, 4).Draw(t, "key")
	})
}

// genEdge returns what may bound a span, also the empty key.
func genEdge() *rapid.Generator[[]byte] {
	return rapid.SliceOfN(rapid.SampledFrom([]byte{0, 'a', 'b', 0xff}), 0, 4)
}

func genHi() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		if rapid.IntRange(0, 4).Draw(t, "open") == 0 {
			return nil
		}
		return append([]byte{}, genEdge().Draw(t, "hi")...)
	})
}

// frozen is a snapshot with the model of its moment.
type frozen struct {
	s *Snapshot
	m model
}

// pair is a store and the map that it is compared with.
type pair struct {
	o       Options
	db      *DB
	b       *Batch
	m       model // what is committed
	inBatch model // what b shows
	snaps   []frozen
}

// TestAgainstAMap runs random operations on a store and on a map and compares
// all that can be read, through the store, a batch and snapshots.
func TestAgainstAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &pair{o: testOptions(MemFS(), "s"), m: model{}, inBatch: model{}}
		p.db = check(Open(p.o))
		p.b = p.db.Batch()
		defer p.close()
		t.Repeat(map[string]func(*rapid.T){
			"set": p.set, "delete": p.delete, "delete span": p.deleteSpan,
			"commit": p.commit, "discard": p.discard,
			"flush":    func(*rapid.T) { ok(p.db.Flush()) },
			"snapshot": p.snapshot, "reopen": p.reopen, "replace": p.replace,
			"": p.compare,
		})
	})
}

func (p *pair) close() {
	for _, f := range p.snaps {
		ok(f.s.Close())
	}
	p.snaps = nil
	ok(p.b.Close())
	ok(p.db.Close())
}

func (p *pair) set(t *rapid.T) {
	k, v := genKey().Draw(t, "key"), rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "value")
	p.b.Set(k, v)
	p.inBatch[string(k)] = string(v)
}

func (p *pair) delete(t *rapid.T) {
	k := genKey().Draw(t, "key")
	p.b.Delete(k)
	delete(p.inBatch, string(k))
}

func (p *pair) deleteSpan(t *rapid.T) {
	lo, hi := genEdge().Draw(t, "lo"), genHi().Draw(t, "hi")
	p.b.DeleteSpan(lo, hi)
	p.inBatch.deleteSpan(lo, hi)
}

func (p *pair) commit(t *rapid.T) {
	ok(p.b.Commit())
	p.m = p.inBatch
	p.discard(t)
}

// discard starts a new batch.
func (p *pair) discard(*rapid.T) {
	ok(p.b.Close())
	p.b, p.inBatch = p.db.Batch(), maps.Clone(p.m)
}

func (p *pair) snapshot(*rapid.T) {
	if len(p.snaps) < 4 {
		p.snaps = append(p.snaps, frozen{p.db.Snapshot(), maps.Clone(p.m)})
	}
}

func (p *pair) reopen(*rapid.T) {
	p.close()
	p.db = check(Open(p.o))
	p.b, p.inBatch = p.db.Batch(), maps.Clone(p.m)
}

func (p *pair) replace(t *rapid.T) {
	next := model{}
	for range rapid.IntRange(0, 5).Draw(t, "n") {
		next[string(genKey().Draw(t, "key"))] = "replaced"
	}
	ok(p.db.Replace(func(set func(k, v []byte) error) error {
		for _, k := range slices.Sorted(maps.Keys(next)) {
			ok(set([]byte(k), []byte(next[k])))
		}
		return nil
	}))
	p.m = next
	p.discard(t)
}

func (p *pair) compare(t *rapid.T) {
	s := p.db.Snapshot()
	defer s.Close()
	compare(t, "store", s, p.m)
	compare(t, "batch", p.b, p.inBatch)
	for i, f := range p.snaps {
		compare(t, fmt.Sprintf("snapshot %d", i), f.s, f.m)
	}
}

// compare reads a random span, both ways, and a random key.
func compare(t *rapid.T, what string, r Reader, m model) {
	lo, hi, key := genEdge().Draw(t, "lo"), genHi().Draw(t, "hi"), genKey().Draw(t, "key")
	want := m.span(lo, hi)
	if got := drain(r.Scan(lo, hi)); !slices.Equal(got, want) {
		t.Fatalf("%s: Scan(%q, %q) = %q, want %q", what, lo, hi, got, want)
	}
	slices.Reverse(want)
	if got := drain(r.ScanBack(lo, hi)); !slices.Equal(got, want) {
		t.Fatalf("%s: ScanBack(%q, %q) = %q, want %q", what, lo, hi, got, want)
	}
	wantValue, wantOK := m[string(key)]
	got, found, err := r.Get(key)
	ok(err)
	if found != wantOK || !bytes.Equal(got, []byte(wantValue)) {
		t.Fatalf("%s: Get(%q) = %q, %v, want %q, %v", what, key, got, found, wantValue, wantOK)
	}
}

func drain(it *Iter) []string {
	got := []string{}
	for it.Next() {
		got = append(got, string(it.Key())+"="+string(it.Value()))
	}
	ok(it.Close())
	return got
}

// ok panics at an error, which rapid reports like a failure.
func ok(err error) {
	if err != nil {
		panic(err)
	}
}

func check[T any](v T, err error) T {
	ok(err)
	return v
}
