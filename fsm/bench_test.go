package fsm

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/coveydb/covey/fsm/command"
)

// benchKeys is how many records the store holds before a benchmark begins.
const benchKeys = 100_000

// benchRig returns a machine with benchKeys records of 128 bytes and a full
// ring of ids, on disk or in memory.
func benchRig(b *testing.B, disk bool) *rig {
	b.Helper()
	fs, dir := vfs.FS(vfs.NewMem()), "state"
	if disk {
		fs, dir = vfs.Default, b.TempDir()
	}
	r := openRig(b, fs, dir, Options{})
	value := make([]byte, 128)
	for at := 0; at < benchKeys; at += 1000 {
		var cs []*command.Command
		for i := at; i < at+1000; i++ {
			cs = append(cs, ops(command.Op{Kind: command.Set, Key: benchKey(i), Value: value, TTL: 3_600_000 + int64(i)}))
		}
		r.apply(int64(at), cs...)
	}
	return r
}

func benchKey(i int) []byte { return fmt.Appendf(nil, "bucket/0123456789/key-%08d", i) }

// benchApply measures Apply of one command, in batches of entries with each so
// many commands.
func benchApply(b *testing.B, entries, commands int, make func(i int, version uint64) *command.Command) {
	for _, where := range []string{"memory", "disk"} {
		b.Run(where, func(b *testing.B) {
			r := benchRig(b, where == "disk")
			var done int
			var cpu time.Duration
			b.ReportAllocs()
			b.ResetTimer()
			for done < b.N {
				b.StopTimer()
				batch := benchBatch(r, entries, commands, done, make)
				b.StartTimer()
				before := cpuTime(b)
				if _, err := r.m.Apply(batch); err != nil {
					b.Fatal(err)
				}
				cpu += cpuTime(b) - before
				done += entries * commands
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(done), "ns/command")
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(done), "cpu-ns/command")
		})
	}
}

// cpuTime is the processor time this process has used, flushes and collections
// of garbage included. It says more than the clock on a machine that is shared.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchBatch(r *rig, entries, commands, done int, make func(i int, version uint64) *command.Command) []Entry {
	var batch []Entry
	version := r.m.st.Version
	for range entries {
		var encoded [][]byte
		for range commands {
			c := make(done, version)
			binary.BigEndian.PutUint64(c.ID[:], rand.Uint64())
			binary.BigEndian.PutUint64(c.ID[8:], rand.Uint64())
			c.Since = version
			encoded = append(encoded, c.Append(nil))
			done++
		}
		batch = append(batch, r.raw(command.AppendEntry(nil, int64(1_000_000+done), encoded...)))
	}
	return batch
}

func benchSet(int, uint64) *command.Command {
	return ops(command.Op{Kind: command.Set, Key: benchKey(rand.IntN(benchKeys)), Value: benchValue[:], TTL: 3_600_000})
}

var benchValue [128]byte

func BenchmarkApplyOneCommand(b *testing.B)       { benchApply(b, 1, 1, benchSet) }
func BenchmarkApply64Commands(b *testing.B)       { benchApply(b, 1, 64, benchSet) }
func BenchmarkApply16EntriesOf64(b *testing.B)    { benchApply(b, 16, 64, benchSet) }
func BenchmarkApplyBatchOf16Entries(b *testing.B) { benchApply(b, 16, 1, benchSet) }
func BenchmarkApplySetWithoutExpiry(b *testing.B) {
	benchApply(b, 1, 64, func(int, uint64) *command.Command {
		return ops(command.Op{Kind: command.Set, Key: append(benchKey(rand.IntN(benchKeys)), 'x'), Value: benchValue[:]})
	})
}

func BenchmarkApplyAdd(b *testing.B) {
	benchApply(b, 1, 64, func(i int, _ uint64) *command.Command {
		return ops(command.Op{Kind: command.Add, Key: fmt.Appendf(nil, "counter/%d", i%100), Delta: command.Int(1), TTL: 3_600_000})
	})
}

// A set as the bucket layer makes it: guarded by the read of a policy.
func BenchmarkApplyGuardedSet(b *testing.B) {
	benchApply(b, 1, 64, func(i int, version uint64) *command.Command {
		c := benchSet(i, version)
		c.Version, c.At = version, 1_000_000
		c.Reads = []command.Read{{Lo: []byte("bucket/0123456789"), Point: true, Live: 0}}
		return c
	})
}

func BenchmarkViewGet(b *testing.B) {
	for _, where := range []string{"memory", "disk"} {
		b.Run(where, func(b *testing.B) {
			r := benchRig(b, where == "disk")
			v := r.view()
			defer v.Release()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, ok, err := v.Get(benchKey(i*7919%benchKeys), 1000); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
