package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/backup"
	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/node"
	"github.com/coveydb/covey/store"
)

// saved is a backup that m writes.
func (m *member) saved(stale bool) ([]byte, backup.Summary) {
	m.t.Helper()
	var b bytes.Buffer
	if err := m.Backup(context.Background(), stale, func(backup.Header) (io.Writer, error) { return &b, nil }); err != nil {
		m.t.Fatalf("backup of %s: %v", m.config.ID, err)
	}
	s, err := backup.Verify(bytes.NewReader(b.Bytes()))
	if err != nil {
		m.t.Fatal(err)
	}
	return b.Bytes(), s
}

// restore puts file in place through whoever leads.
func restore(t *testing.T, members []*member, file []byte) uint64 {
	t.Helper()
	var version uint64
	members[0].waitFor("restored", func() (err error) {
		_, version, err = leaderOf(t, members).Restore(context.Background(), bytes.NewReader(file), backup.Review{})
		switch errs.KindOf(err) {
		case errs.Unavailable, errs.Unknown: // a leader that lost the lead: once more
		default:
			if err != nil {
				t.Fatal(err)
			}
		}
		return err
	})
	return version
}

// all is every record that m has, read at a read point.
func (m *member) all() map[string]string {
	m.t.Helper()
	got := map[string]string{}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := m.db.View(ctx, kv.Consistency{}, func(tx *kv.Tx) error {
		for rec, err := range tx.Scan(nil, nil) {
			if err != nil {
				return err
			}
			got[string(rec.Key)] = string(rec.Value)
		}
		return nil
	}); err != nil {
		m.t.Fatal(err)
	}
	return got
}

// fill writes n records of size bytes.
func (m *member) fill(prefix string, n, size int) map[string]string {
	m.t.Helper()
	want := map[string]string{}
	rnd := rand.NewChaCha8([32]byte{1})
	for i := 0; i < n; i += 50 {
		batch := map[string]string{}
		for j := i; j < min(n, i+50); j++ {
			p := make([]byte, size)
			_, _ = rnd.Read(p)
			batch[fmt.Sprintf("%s%05d", prefix, j)] = string(p)
		}
		maps.Copy(want, batch)
		if _, err := m.db.Update(context.Background(), func(tx *kv.Tx) error {
			for k, v := range batch {
				tx.Set([]byte(k), []byte(v), 0)
			}
			return nil
		}); err != nil {
			m.t.Fatal(err)
		}
	}
	return want
}

func TestABackupOfAnyNodeComesBackOnAllOfAnotherCluster(t *testing.T) {
	old := newCluster(t, 3)
	want := old[0].fill("k", 300, 8<<10) // several pieces
	follower := old[0]
	if follower.IsLeader() {
		follower = old[1]
	}
	file, s := follower.saved(false)
	if s.Header.Node != follower.config.ID || s.Records != uint64(len(want)) || s.Header.Release != "test" {
		t.Errorf("got %+v", s.Header)
	}
	fresh := newCluster(t, 3)
	fresh[0].set("here", "before")
	version := restore(t, fresh, file)
	if version <= s.Header.Version {
		t.Errorf("version %d, the backup has %d", version, s.Header.Version)
	}
	for _, m := range fresh {
		if diff := cmp.Diff(want, m.all()); diff != "" {
			t.Errorf("%s differs", m.config.ID)
		}
	}
	fresh[1].set("here", "after")
	for _, m := range fresh {
		m.stop()
	}
	for _, m := range fresh {
		m.start()
	}
	want["here"] = "after"
	for _, m := range fresh {
		m.waitReady()
		if diff := cmp.Diff(want, m.all()); diff != "" {
			t.Errorf("%s differs after a restart", m.config.ID)
		}
	}
}

// TestABackupUnderLoadIsOneVersion has writers add to two counters in one
// transaction each; a backup in which they differ is of no one version.
func TestABackupUnderLoadIsOneVersion(t *testing.T) {
	members := newCluster(t, 3)
	members[0].fill("pad", 200, 4<<10)
	ctx, stop := context.WithCancel(context.Background())
	count := func(m *member) error {
		_, err := m.db.Update(ctx, func(tx *kv.Tx) error {
			tx.Add([]byte("a"), command.Int(1), 0)
			tx.Add([]byte("z"), command.Int(1), 0)
			return nil
		})
		return err
	}
	if err := count(members[0]); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := count(members[i%3]); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 6 {
		m := members[i%3]
		before := m.get("a")
		var b bytes.Buffer
		if err := m.Backup(ctx, i >= 3, func(backup.Header) (io.Writer, error) { return &b, nil }); err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		s, err := backup.Inspect(&b, func(r fsm.Record) error {
			if len(r.Key) == 1 {
				found[string(r.Key)] = string(r.Value)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if found["a"] != found["z"] || i < 3 && found["a"] == "" {
			t.Errorf("backup %d: a is %s, z is %s", i, found["a"], found["z"])
		}
		if i < 3 && number(found["a"]) < number(before) {
			t.Errorf("backup %d of version %d holds %s, which was %s before it began", i, s.Header.Version, found["a"], before)
		}
	}
	stop()
	wg.Wait()
}

func number(s string) (n int) {
	_, _ = fmt.Sscan(s, &n) // 0 for what is no number
	return n
}

func TestRestoreUnderLoadLosesNothingThatCameAfterIt(t *testing.T) {
	members := newCluster(t, 3)
	members[0].set("epoch", "old")
	members[0].fill("pad", 200, 4<<10)
	file, _ := members[1].saved(false)
	members[0].set("epoch", "new")
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var mu sync.Mutex
	written := map[string]uint64{} // versions at which writes were acknowledged
	var unclear atomic.Int64
	for i := range 6 {
		wg.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				key := fmt.Sprintf("w%d-%d", i, k)
				res, err := members[i%3].db.Update(context.Background(), func(tx *kv.Tx) error {
					if i%2 == 0 {
						if _, _, err := tx.Get([]byte("epoch")); err != nil {
							return err
						}
					}
					tx.Set([]byte(key), []byte("x"), 0)
					return nil
				})
				switch {
				case errs.Is(err, errs.Unknown):
					unclear.Add(1)
				case err != nil:
					t.Errorf("%s: %v", key, err)
				default:
					mu.Lock()
					written[key] = res.Version
					mu.Unlock()
				}
			}
		})
	}
	members[0].waitFor("busy", func() error {
		mu.Lock()
		defer mu.Unlock()
		if len(written) < 50 {
			return errors.New("few writes")
		}
		return nil
	})
	version := restore(t, members, file)
	mu.Lock()
	so := len(written)
	mu.Unlock()
	members[0].waitFor("busy again", func() error {
		mu.Lock()
		defer mu.Unlock()
		if len(written) < so+50 {
			return errors.New("few writes")
		}
		return nil
	})
	stop()
	wg.Wait()
	for _, m := range members {
		got := m.all()
		if got["epoch"] != "old" {
			t.Errorf("%s: epoch is %q", m.config.ID, got["epoch"])
		}
		for key, at := range written {
			if _, ok := got[key]; ok != (at > version) {
				t.Errorf("%s: %s, written at %d, is there: %v; the restore was at %d", m.config.ID, key, at, ok, version)
			}
		}
	}
	if n := unclear.Load(); n > 6 {
		t.Errorf("%d writes with an unknown outcome, at most one of each writer can be", n)
	}
}

func TestRecordsOfTheClusterItselfStay(t *testing.T) {
	own := func(c *node.Config) { c.Own = []command.Span{{Lo: []byte("f"), Hi: []byte("g")}} }
	members := newCluster(t, 1, own)
	m := members[0]
	m.set("a", "1")
	m.set("f1", "then")
	file, _ := m.saved(false)
	m.set("f1", "now")
	m.set("f2", "now")
	m.set("b", "2")
	if n, _, err := m.Records(context.Background(), 100); n != 2 || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
	restore(t, members, file)
	if diff := cmp.Diff(map[string]string{"a": "1", "f1": "now", "f2": "now"}, m.all()); diff != "" {
		t.Error(diff)
	}
}

func TestARefusedRestoreChangesNothing(t *testing.T) {
	members := newCluster(t, 1)
	m := members[0]
	m.set("a", "1")
	file, _ := m.saved(false)
	m.set("a", "2")
	damaged := bytes.Clone(file)
	damaged[len(file)-40] ^= 1
	no := errors.New("no, thanks")
	ahead := rewritten(t, file, time.Now().Add(48*time.Hour).UnixMilli())
	tests := map[string]struct {
		file   io.Reader
		review backup.Review
		kind   errs.Kind
		text   string
	}{
		"damaged":             {bytes.NewReader(damaged), backup.Review{}, errs.Invalid, "damaged"},
		"cut":                 {bytes.NewReader(file[:len(file)-1]), backup.Review{}, errs.Invalid, "cut off"},
		"foreign":             {strings.NewReader(strings.Repeat("x", 1000)), backup.Review{}, errs.Invalid, "not a Covey backup"},
		"not agreed to":       {bytes.NewReader(file), backup.Review{Agree: func(backup.Summary) error { return no }}, errs.Internal, "no, thanks"},
		"a record not wanted": {bytes.NewReader(file), backup.Review{See: func(fsm.Record) error { return no }}, errs.Internal, "no, thanks"},
		"a broken connection": {io.MultiReader(bytes.NewReader(file[:99]), broken{}), backup.Review{}, errs.Unavailable, "did not arrive whole"},
		"a clock far ahead":   {bytes.NewReader(ahead), backup.Review{}, errs.Invalid, "ahead of this cluster"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := m.Restore(context.Background(), tt.file, tt.review)
			if errs.KindOf(err) != tt.kind || err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v: %v", errs.KindOf(err), err)
			}
			if got := m.get("a"); got != "2" {
				t.Errorf("a is %s", got)
			}
		})
	}
	if _, _, underWay := m.RestoreProgress(); underWay {
		t.Error("a restore is still under way")
	}
	restore(t, members, file)
	if got := m.get("a"); got != "1" {
		t.Errorf("a is %s", got)
	}
}

// rewritten is the backup of a state that is like that of file, with another clock.
func rewritten(t *testing.T, file []byte, clock int64) []byte {
	t.Helper()
	s, err := backup.Verify(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	r, err := backup.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	m := memoryMachine(t)
	if err := m.Restore(bytes.NewReader(stream)); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Apply([]fsm.Entry{{Index: s.State.Index + 1, Data: command.AppendEntry(nil, clock)}}); err != nil {
		t.Fatal(err)
	}
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Release()
	var b bytes.Buffer
	if err := backup.Write(&b, backup.Describe(v.State), v.WriteData); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestOneRestoreAtATimeAndOnlyByTheLeader(t *testing.T) {
	members := newCluster(t, 3)
	members[0].set("a", "1")
	file, _ := members[0].saved(false)
	leader := leaderOf(t, members)
	for _, m := range members {
		if m != leader {
			if _, _, err := m.Restore(context.Background(), bytes.NewReader(file), backup.Review{}); !errs.Is(err, errs.Unavailable) {
				t.Errorf("follower %s: %v", m.config.ID, err)
			}
		}
	}
	_, _, err := leader.Restore(context.Background(), bytes.NewReader(file), backup.Review{Agree: func(backup.Summary) error {
		_, _, err := leader.Restore(context.Background(), bytes.NewReader(file), backup.Review{})
		return err
	}})
	if !errs.Is(err, errs.Conflict) {
		t.Errorf("a second one: %v", err)
	}
}

func TestBackupsEndWithTheirReaders(t *testing.T) {
	members := newCluster(t, 1)
	members[0].set("a", "1")
	ctx, cancel := context.WithCancel(context.Background())
	gone := errors.New("gone")
	if err := members[0].Backup(ctx, true, func(backup.Header) (io.Writer, error) { return nil, gone }); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	// Two that are under way are enough.
	err := members[0].Backup(ctx, true, func(backup.Header) (io.Writer, error) {
		return io.Discard, members[0].Backup(ctx, true, func(backup.Header) (io.Writer, error) {
			if err := members[0].Backup(ctx, true, nil); !errs.Is(err, errs.Unavailable) {
				t.Errorf("a third one: %v", err)
			}
			return io.Discard, nil
		})
	})
	if err != nil {
		t.Error(err)
	}
	cancel()
	if err := members[0].Backup(ctx, true, func(backup.Header) (io.Writer, error) { return io.Discard, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("after its end: %v", err)
	}
}

// TestALeaderThatStopsInARestoreLeavesOneStateEverywhere stops the leader before
// every part of a restore, and while the last one is on its way, and looks at all
// three nodes when it is back.
func TestALeaderThatStopsInARestoreLeavesOneStateEverywhere(t *testing.T) {
	members := newCluster(t, 3)
	want := members[0].fill("k", 130, 20<<10)
	file, s := members[0].saved(false)
	parts := (s.Stream + command.ChunkBytes - 1) / command.ChunkBytes
	if parts < 4 {
		t.Fatalf("%d parts are too few", parts)
	}
	for at := range parts + 1 {
		t.Run(fmt.Sprintf("part %d of %d", at+1, parts), func(t *testing.T) {
			members[0].set("k00000", "later")
			var leader *member
			var stopped bool
			var err error
			for tries := 0; !stopped; tries++ {
				leader = leaderOf(t, members)
				// On a busy machine an election may come first.
				if stopped, err = leader.stopsInRestore(file, at, parts); !stopped && (tries > 20 || !errs.Is(err, errs.Unavailable)) {
					t.Fatalf("the restore ended before: %v", err)
				}
			}
			if at < parts && !errs.Is(err, errs.Unavailable) {
				t.Errorf("got %v: %v", errs.KindOf(err), err)
			}
			leader.start()
			stands := map[bool]int{} // on how many nodes the old state stands
			for _, m := range members {
				m.waitReady()
				got := m.all()
				stands[got["k00000"] == "later"]++
				got["k00000"] = want["k00000"]
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s holds neither state", m.config.ID)
				}
			}
			if len(stands) != 1 || err == nil && stands[true] > 0 || errs.Is(err, errs.Unavailable) && stands[true] != 3 {
				t.Errorf("the restore ended with %v; the old state stands on %d nodes, the new one on %d", err, stands[true], stands[false])
			}
		})
	}
}

// stopsInRestore restores file through m and stops m before part at, or after the
// last of parts was sent. It returns what the restore ended with; false if that
// was before.
func (m *member) stopsInRestore(file []byte, at, parts uint64) (bool, error) {
	reached, stopped, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	m.BeforeParts(func(part uint64) {
		switch {
		case part == at:
			close(reached)
			<-stopped
		case at == parts && part == parts-1:
			close(reached)
		}
	})
	go func() {
		_, _, err := m.Restore(context.Background(), bytes.NewReader(file), backup.Review{})
		done <- err
	}()
	select {
	case <-reached:
		m.stop()
		close(stopped)
		return true, <-done
	case err := <-done:
		m.BeforeParts(nil)
		select {
		case <-reached: // and ended at once
			m.stop()
			return true, err
		default:
			return false, err
		}
	}
}

func memoryMachine(t *testing.T) *fsm.Machine {
	t.Helper()
	db, err := store.Open(store.Options{Dir: "s", FS: store.MemFS()})
	if err != nil {
		t.Fatal(err)
	}
	m, err := fsm.Open(db, fsm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}
