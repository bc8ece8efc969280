package bucket

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv/feed"
)

func (w *world) watch(id, credential string, q WatchQuery) (right *Watch, err error) {
	need := List
	if q.Values {
		need = ListValues
	}
	err = w.view(id, credential, need, func(b *Bucket) (err error) {
		right, err = b.Watch(q)
		return err
	})
	return right, err
}

// Who may list may watch, and the other way round.
func TestWhoMayWatch(t *testing.T) {
	w := newWorld(t)
	for _, keys := range []string{"", "S", "W", "R", "SW", "SR", "SWR", "SWRG"} {
		id := w.create(fields(keys))
		credentials := []string{"", "secret", "write", "read", "wrong", rootText}
		if strings.Contains(keys, "G") {
			for _, p := range []Permissions{PermRead, PermEnumerate, PermRead | PermEnumerate, PermWrite | PermDelete} {
				credentials = append(credentials, w.mustMint(id, "", p, TTL{}))
			}
		}
		for _, credential := range credentials {
			for _, values := range []bool{false, true} {
				_, listed := w.list(id, credential, ListQuery{Values: values})
				_, watched := w.watch(id, credential, WatchQuery{Values: values})
				if errs.KindOf(listed) != errs.KindOf(watched) || (listed == nil) != (watched == nil) {
					t.Errorf("keys %q, credential %.8q, values %v: list %v, watch %v", keys, credential, values, listed, watched)
				}
			}
		}
	}
}

func TestWatchIsADoor(t *testing.T) {
	w := newWorld(t)
	id := w.create(fields("SWRG"))
	version := w.set(id, "secret", "k", "v", TTL{}).Version
	for _, tt := range []struct {
		credential string
		may        bool
	}{{"read", false}, {"secret", true}, {rootText, true}} {
		for _, q := range []WatchQuery{{}, {Values: true}} {
			err := w.view(id, tt.credential, Read, func(b *Bucket) error {
				_, err := b.Watch(q)
				return err
			})
			if (err == nil) != tt.may || err != nil && !errs.Is(err, errs.Forbidden) {
				t.Errorf("opened to read, %.5s watches %+v: %v", tt.credential, q, err)
			}
		}
		err := w.view(id, tt.credential, Read, func(b *Bucket) error {
			_, _, err := b.Follow(&Seen{Key: []byte("k"), Version: version})
			return err
		})
		if (err == nil) != tt.may || err != nil && !errs.Is(err, errs.Forbidden) {
			t.Errorf("opened to read, %.5s follows: %v", tt.credential, err)
		}
	}
}

func TestATokenWatchesBelowItsPrefix(t *testing.T) {
	w := newWorld(t)
	id := w.create(fields("SWRG"))
	token := w.mustMint(id, "u:", PermRead|PermEnumerate, seconds(t, 60))
	for prefix, may := range map[string]bool{"": true, "u:": true, "u:1": true, "u": false, "v:": false} {
		right, err := w.watch(id, token, WatchQuery{Prefix: []byte(prefix), Values: true})
		if (err == nil) != may || err != nil && !errs.Is(err, errs.Forbidden) {
			t.Errorf("prefix %q: %v", prefix, err)
		}
		if err == nil && right.Expires() != w.Now()+60_000 {
			t.Errorf("prefix %q: ends at %d, now is %d", prefix, right.Expires(), w.Now())
		}
	}
	err := w.view(id, token, ListValues, func(b *Bucket) error {
		_, _, err := b.Follow(&Seen{Key: []byte("v:1"), Version: 1})
		return err
	})
	wantKind(t, err, errs.Forbidden)
	_, err = w.watch(id, "secret", WatchQuery{Prefix: make([]byte, MaxKey+1)})
	wantKind(t, err, errs.Invalid)
	if right, err := w.watch(id, "secret", WatchQuery{}); err != nil || right.Expires() != 0 {
		t.Errorf("the secret key's watch ends at %d, %v", right.Expires(), err)
	}
}

// seen follows right from a version on, to the given number of events.
func (w *world) seen(right *Watch, after uint64, n int) (got []string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	f, err := feed.New(w.Store).Watch(feed.Options{Prefixes: right.Prefixes(), After: feed.After(after)})
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	for len(got) < n {
		e, err := f.Next(ctx)
		if err != nil {
			w.t.Fatalf("after %q: %v", got, err)
		}
		s := right.Read(&e)
		text := fmt.Sprintf("%d", s.Kind)
		if s.Key != nil {
			text += " " + string(s.Key)
		}
		if s.Kind == KeySet {
			v, ok, err := s.Value()
			if err != nil {
				w.t.Fatal(err)
			}
			text += fmt.Sprintf(" %s %v %v %v %d", v.Bytes(), v.IsJSON(), ok, s.Created, s.Expiry)
		}
		got = append(got, text)
	}
	return got
}

func TestWatchReadsEvents(t *testing.T) {
	w := newWorld(t)
	id, other := w.create(fields("S")), w.create(fields("S"))
	pattern, err := ParsePattern("^a")
	if err != nil {
		t.Fatal(err)
	}
	right, err := w.watch(id, "secret", WatchQuery{Pattern: pattern})
	if err != nil {
		t.Fatal(err)
	}
	begin := w.set(other, "", "a", "", TTL{}).Version
	never := seconds(t, 0)
	w.set(id, "", "b", "1", never)
	w.set(id, "", "a", "12", never)
	w.set(id, "", "ab", "text", seconds(t, 1))
	w.set(id, "", "a", strings.Repeat("x", MaxValue), never)
	if _, err := w.update(id, "", Delete, func(b *Bucket) error { return b.Delete([]byte("a"), Condition{}) }); err != nil {
		t.Fatal(err)
	}
	w.Advance(2 * time.Second)
	if err := w.Reap(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.change(id, "secret", Fields{Read: key("read")}); err != nil {
		t.Fatal(err)
	}
	if err := w.drop(id, "secret"); err != nil {
		t.Fatal(err)
	}
	want := []string{
		fmt.Sprintf("%d a 12 true true true 0", KeySet),
		fmt.Sprintf("%d ab text false true true %d", KeySet, w.Now()-1000),
		fmt.Sprintf("%d a  false false false 0", KeySet), // with its mark it is too long for the history
		fmt.Sprintf("%d a", KeyDeleted),
		fmt.Sprintf("%d ab", KeyExpired),
		fmt.Sprintf("%d", PolicyChanged),
		fmt.Sprintf("%d", Nothing), // all keys of the bucket, whose deletion follows
		fmt.Sprintf("%d", BucketDeleted),
	}
	if got := w.seen(right, begin, len(want)); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Nobody deletes a part of a bucket as a span today; a watcher would notice.
func TestWatchReadsSpans(t *testing.T) {
	right, lo, hi := watchOf(t, "bucket-1", "m")
	for name, tt := range map[string]struct {
		lo, hi []byte
		want   ChangeKind
	}{
		"all keys":         {lo, hi, Nothing},
		"some keys":        {dataKey("bucket-1", []byte("k")), dataKey("bucket-1", []byte("n")), KeysDeleted},
		"from some key on": {dataKey("bucket-1", []byte("k")), hi, KeysDeleted},
		"the whole layer":  {[]byte{layerByte}, []byte{layerByte + 1}, BucketDeleted},
		"everything":       {nil, nil, BucketDeleted},
	} {
		e := feed.Event{Kind: feed.DeleteSpan, Key: tt.lo, Hi: tt.hi}
		if got := right.Read(&e).Kind; got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

func watchOf(t *testing.T, id, prefix string) (right *Watch, lo, hi []byte) {
	t.Helper()
	w := newWorld(t)
	w.createNamed(id, rootText, Fields{})
	right, err := w.watch(id, "", WatchQuery{Prefix: []byte(prefix)})
	if err != nil {
		t.Fatal(err)
	}
	lo, hi = tuple.Span(dataKey(id, nil))
	return right, lo, hi
}

func TestWatchKnowsHowOldItsPolicyIs(t *testing.T) {
	w := newWorld(t)
	id := w.create(fields("S"))
	before, err := w.watch(id, "secret", WatchQuery{})
	if err != nil {
		t.Fatal(err)
	}
	res, err := w.change(id, "secret", Fields{Write: key("write")})
	if err != nil {
		t.Fatal(err)
	}
	w.set(id, "secret", "k", "v", TTL{})
	after, err := w.watch(id, "secret", WatchQuery{})
	if err != nil || after.Since() != res.Version || before.Since() >= after.Since() {
		t.Errorf("since %d, then %d (%v), the change was %d", before.Since(), after.Since(), err, res.Version)
	}
}

func TestFollowFindsOnlyWhatIsStillThere(t *testing.T) {
	w := newWorld(t)
	id := w.create(Fields{})
	first := w.set(id, "", "k", "1", TTL{}).Version
	second := w.set(id, "", "k", "2", TTL{}).Version
	follow := func(k string, version uint64) (text string) {
		err := w.view(id, "", ListValues, func(b *Bucket) error {
			v, ok, err := b.Follow(&Seen{Kind: KeySet, Key: []byte(k), Version: version})
			text = fmt.Sprintf("%s %v", v.Bytes(), ok)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if got := follow("k", second); got != "2 true" {
		t.Errorf("got %q", got)
	}
	for _, gone := range []string{follow("k", first), follow("none", first)} {
		if gone != " false" {
			t.Errorf("got %q", gone)
		}
	}
}

// A value whose stored form is damaged is no empty text.
func TestWatchRefusesADamagedValue(t *testing.T) {
	w := newWorld(t)
	id := w.create(Fields{})
	right, err := w.watch(id, "", WatchQuery{})
	if err != nil {
		t.Fatal(err)
	}
	s := right.Read(&feed.Event{Kind: feed.Set, Key: dataKey(id, []byte("k")), Value: []byte{0x7f}})
	_, ok, err := s.Value()
	wantKind(t, err, errs.Internal)
	if ok {
		t.Error("it counts as a value")
	}
}
