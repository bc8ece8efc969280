package schedule

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/backup"
	"github.com/coveydb/covey/backup/depot"
	"github.com/coveydb/covey/internal/errs"
)

func TestBackupsAreMadeAtTheirTimesAndTheNewestAreKept(t *testing.T) {
	w := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		w.lead("n1")
		_, stop := w.start(w.config("n1"))
		defer stop()
		time.Sleep(time.Minute)
		if n := w.begun(); n != 1 || w.last().Slot == 0 {
			t.Fatalf("%d backups in the first minute, the last: %+v", n, w.last())
		}
		first := w.last().Slot
		time.Sleep(6 * every)
		if n := w.begun(); n != 7 {
			t.Errorf("%d backups in six hours", n)
		}
		last := w.last()
		if last.Slot != first+6*int64(every/time.Second) || last.At < last.Slot || last.At > last.Slot+60 || last.Node != "n1" || last.Failures != 0 {
			t.Errorf("the first was for %d, the last is %+v", first, last)
		}
		kept := w.kept()
		if len(kept) != 3 || kept[0].File != last.Name || !kept[2].Verified {
			t.Errorf("kept:\n%s", text(kept))
		}
		verify(t, w.depot(), last.Name)
	})
}

func verify(t *testing.T, d depot.Depot, name string, ids ...age.Identity) {
	t.Helper()
	f, _, err := d.Get(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, encrypted, err := backup.Open(f, ids...)
	if err != nil || encrypted != (len(ids) > 0) {
		t.Fatalf("encrypted %v, %v", encrypted, err)
	}
	if s, err := backup.Verify(plain); err != nil || s.Records != 5 {
		t.Errorf("%d records, %v", s.Records, err)
	}
}

func TestAChangeOfTheLeaderNeitherSkipsNorDoublesABackup(t *testing.T) {
	w := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		w.lead("n1")
		for _, node := range []string{"n1", "n2", "n3"} {
			_, stop := w.start(w.config(node))
			defer stop()
		}
		time.Sleep(time.Minute)
		first := w.last().Slot
		for i := range 12 {
			w.lead([]string{"n2", "n3", "n1"}[i%3])
			time.Sleep(every / 2)
		}
		if n := w.begun(); n != 7 {
			t.Errorf("%d backups for 7 times", n)
		}
		if last := w.last(); last.Slot != first+6*int64(every/time.Second) {
			t.Errorf("the last is for %d, the first was for %d", last.Slot, first)
		}
	})
}

func TestALeaderThatGoesDuringABackupLeavesItToTheNext(t *testing.T) {
	w := newWorld(t)
	w.takes = 10 * time.Minute
	synctest.Test(t, func(t *testing.T) {
		w.lead("n1")
		for _, node := range []string{"n1", "n2"} {
			_, stop := w.start(w.config(node))
			defer stop()
		}
		time.Sleep(5 * time.Minute)
		w.lead("n2")
		time.Sleep(2 * time.Minute)
		if w.begun() != 2 || w.last().Slot != 0 {
			t.Fatalf("%d begun, %+v", w.begun(), w.last())
		}
		time.Sleep(15 * time.Minute)
		if last, kept := w.last(), w.kept(); last.Node != "n2" || last.Failures != 0 || len(kept) != 1 {
			t.Errorf("%+v, kept:\n%s", last, text(kept))
		}
	})
}

func TestABackupThatAnotherLeaderHasRecordedIsNotKeptTwice(t *testing.T) {
	w := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		w.lead("n1")
		w.refuse = errs.E(errs.Conflict, "served")
		_, stop := w.start(w.config("n1"))
		time.Sleep(5 * time.Second)
		stop()
		if files, err := w.depot().List(context.Background()); err != nil || len(files) != 0 || w.last().Failures != 0 {
			t.Errorf("left: %v, %v, %+v", files, err, w.last())
		}
	})
}

func TestAMissedTimeIsMadeUpForOnce(t *testing.T) {
	w := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		_, stop := w.start(w.config("n1"))
		defer stop()
		time.Sleep(5 * every)
		if n := w.begun(); n != 0 {
			t.Errorf("%d backups without a leader", n)
		}
		w.lead("n1")
		time.Sleep(time.Minute)
		if n := w.begun(); n != 1 {
			t.Errorf("%d backups were made up for", n)
		}
	})
}

func TestABackupThatFailsIsTriedAgainEverLater(t *testing.T) {
	w := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		w.lead("n1")
		boom := errors.New("boom")
		w.fail = boom
		registry := prometheus.NewRegistry()
		cfg := w.config("n1")
		cfg.Metrics = registry
		_, stop := w.start(cfg)
		defer stop()
		time.Sleep(every / 2) // after 0, 1, 3, 7, 15 minutes
		last := w.last()
		if n := w.begun(); n != 5 || last.Failures != 5 || last.Slot != 0 || !strings.Contains(last.Error, "boom") {
			t.Errorf("%d tries in half an hour, %+v", n, last)
		}
		if got := value(t, registry, "covey_backup_failures_total"); got != 5 {
			t.Errorf("the metric counts %v failures", got)
		}
		if files, err := w.depot().List(context.Background()); err != nil || len(files) != 0 {
			t.Errorf("left: %v, %v", files, err)
		}
		w.set(func() { w.fail = nil })
		time.Sleep(every - time.Minute) // the next is due then
		last = w.last()
		if last.Failures != 0 || last.Slot == 0 {
			t.Errorf("it goes on: %+v", last)
		}
		if got := value(t, registry, "covey_backup_last_success_timestamp_seconds"); got != float64(last.At) {
			t.Errorf("the metric says %v, the ledger %d", got, last.At)
		}
	})
}

// value returns one metric.
func value(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// forgetful changes one byte of every backup that it is given.
type forgetful struct{ depot.Depot }

func (f forgetful) Put(ctx context.Context, name string, r io.Reader) error {
	p, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	p[len(p)/2] ^= 1
	return f.Depot.Put(ctx, name, bytes.NewReader(p))
}

func TestABackupThatDoesNotReadBackDoesNotCount(t *testing.T) {
	w := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		w.lead("n1")
		cfg := w.config("n1")
		cfg.Depot = forgetful{cfg.Depot}
		_, stop := w.start(cfg)
		time.Sleep(10 * time.Second)
		stop()
		if last := w.last(); last.Slot != 0 || last.Failures != 1 || !strings.Contains(last.Error, "read back") {
			t.Errorf("%+v", last)
		}
		if files, err := w.depot().List(context.Background()); err != nil || len(files) != 0 {
			t.Errorf("left: %v, %v", files, err)
		}
	})
}

func TestEncryptedBackupsOpenWithTheIdentity(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		w.lead("n1")
		cfg := w.config("n1")
		cfg.Recipients = []age.Recipient{id.Recipient()}
		_, stop := w.start(cfg)
		time.Sleep(10 * time.Second)
		stop()
		kept := w.kept()
		if len(kept) != 1 || !kept[0].Encrypted || !kept[0].Verified {
			t.Fatalf("kept:\n%s", text(kept))
		}
		verify(t, w.depot(), kept[0].File, id)
	})
}

func TestWhatTheScheduleDidNotMakeStays(t *testing.T) {
	w := newWorld(t)
	old := func(day int, cluster string) string {
		return backup.Name{Cluster: cluster, Created: time.Date(1999, 1, day, 0, 0, 0, 0, time.UTC), Version: 1}.String()
	}
	mine := old(1, "abababab")
	sum := strings.Repeat("0", 64)
	stays := map[string]string{
		"notes.txt":                            "x",
		old(2, "abababab"):                     "by hand",
		old(3, "abababab"):                     "by hand, with a sum",
		old(3, "abababab") + markExt:           sum + "  " + old(3, "abababab") + "\n",
		old(4, "cdcdcdcd"):                     "of another cluster",
		old(4, "cdcdcdcd") + markExt:           markFirst + sum + "  " + old(4, "cdcdcdcd") + "\n",
		old(5, "cdcdcdcd") + markExt:           markFirst + sum + "  " + old(5, "cdcdcdcd") + "\n",
		old(6, "abababab"):                     "with the mark of another file",
		old(6, "abababab") + markExt:           markFirst + sum + "  " + old(7, "abababab") + "\n",
		"covey-abababab-yesterday-v1.covey":    "no backup's name",
		old(8, "abababab") + ".part" + markExt: markFirst,
	}
	later := backup.Name{Cluster: "abababab", Created: time.Date(2900, 1, 1, 0, 0, 0, 0, time.UTC), Version: 1}.String()
	stays[later], stays[later+markExt] = "by hand, and newer than all of the schedule", sum+"  "+later+"\n"
	goes := map[string]string{
		mine:                         "ours",
		mine + markExt:               markFirst + sum + "  " + mine + "\n",
		old(9, "abababab") + markExt: markFirst + sum + "  " + old(9, "abababab") + "\n", // whose backup is gone
	}
	for _, files := range []map[string]string{stays, goes} {
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w.lead("n1")
		cfg := w.config("n1")
		cfg.Keep = 1
		_, stop := w.start(cfg)
		time.Sleep(2*every + time.Minute)
		stop()
	})
	for name := range stays {
		if _, err := os.Stat(filepath.Join(w.dir, name)); err != nil {
			t.Errorf("it is gone: %v", err)
		}
	}
	for name := range goes {
		if _, err := os.Stat(filepath.Join(w.dir, name)); err == nil {
			t.Errorf("it is still there: %s", name)
		}
	}
	files, err := w.depot().List(context.Background())
	if want := len(stays) + 2; err != nil || len(files) != want {
		t.Errorf("%d files, want %d, %v", len(files), want, err)
	}
}

func TestSchedulesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		every time.Duration
		keep  int
	}{
		"too often": {time.Second, 1}, "too seldom": {1000 * 24 * time.Hour, 1}, "none kept": {every, 0}, "all kept": {every, MaxKeep + 1},
	} {
		if err := Check(c.every, c.keep); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "--backup-") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := Check(every, 14); err != nil {
		t.Error(err)
	}
}
