package node

import (
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/node/room"
)

const (
	diskSurveyEvery = 10 * time.Second       // so long one survey is good for
	diskSurveyWait  = 200 * time.Millisecond // of a scrape, for a survey under way
	oldestLooked    = 16                     // entries looked at for one that tells its time
)

// parts are the folders of a data folder that are measured on their own, in the
// order in which a file with several names is counted for the first of them: a
// snapshot shares most of its files with the state.
var parts = [...]string{"state", "raft", "snapshots", "other"}

// diskSurvey is what lies in a data folder and below it.
type diskSurvey struct {
	at     time.Time
	space  room.Space // of the file system; zero if it cannot be asked
	bytes  [len(parts)]int64
	first  uint64    // index of the oldest log entry; 0 if there is none
	oldest time.Time // when the leader appended it; zero if that is not known
}

// diskFigures collects how the data folder's disk is used. Looking takes time,
// and for ever on a disk that hangs, which is when everything else must still
// be told: so it is done beside the scrape, once for all scrapers, and only when
// somebody scrapes.
type diskFigures struct {
	n                                 *Node
	free, total, data, entries, bytes sample
	age                               sample

	mu      sync.Mutex
	last    *diskSurvey   // nil before the first
	running chan struct{} // closes with the survey under way; nil: there is none
}

func newDiskFigures(n *Node) *diskFigures {
	return &diskFigures{
		n:       n,
		free:    series(gaugeValue, "disk_free_bytes", "Bytes that are free for this process on the data folder's file system."),
		total:   series(gaugeValue, "disk_total_bytes", "Size of the data folder's file system."),
		data:    series(gaugeValue, "data_bytes", "Bytes that the data folder takes on disk: the state, Raft's log, what snapshots hold beyond the state, and the rest.", "part"),
		entries: series(gaugeValue, "raft_log_entries", "Entries in this node's log."),
		bytes:   series(gaugeValue, "raft_log_bytes", "Bytes that this node's log takes on disk, room made in advance included."),
		age:     series(gaugeValue, "raft_log_oldest_seconds", "Age of the oldest entry in this node's log; a member that was away for longer needs a snapshot."),
	}
}

// Describe implements prometheus.Collector.
func (f *diskFigures) Describe(ch chan<- *prometheus.Desc) {
	for _, s := range []sample{f.free, f.total, f.data, f.entries, f.bytes, f.age} {
		ch <- s.desc
	}
}

// Collect implements prometheus.Collector. It sends nothing while there has been
// no survey that ended.
func (f *diskFigures) Collect(ch chan<- prometheus.Metric) {
	s := f.survey()
	if s == nil {
		return
	}
	if s.space.Total > 0 {
		f.free.send(ch, float64(s.space.Free))
		f.total.send(ch, float64(s.space.Total))
	}
	for i, name := range parts {
		f.data.send(ch, float64(s.bytes[i]), name)
		if name == "raft" {
			f.bytes.send(ch, float64(s.bytes[i]))
		}
	}
	entries := 0.0
	if last := f.n.lastIndex(); s.first > 0 && last >= s.first {
		entries = float64(last - s.first + 1)
	}
	f.entries.send(ch, entries)
	if !s.oldest.IsZero() {
		f.age.send(ch, max(0, time.Since(s.oldest).Seconds()))
	}
}

// survey returns the last survey, and a new one if that is out of date and the
// disk answers soon.
func (f *diskFigures) survey() *diskSurvey {
	f.mu.Lock()
	if f.last != nil && time.Since(f.last.at) < diskSurveyEvery {
		defer f.mu.Unlock()
		return f.last
	}
	if f.running == nil {
		f.running = make(chan struct{})
		go f.look(f.running) // ends when the disk answers; nobody can wait for one that does not
	}
	running := f.running
	f.mu.Unlock()
	wait := time.NewTimer(diskSurveyWait)
	defer wait.Stop()
	select {
	case <-running:
	case <-wait.C:
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

func (f *diskFigures) look(done chan struct{}) {
	s := &diskSurvey{}
	s.space, _ = room.Of(f.n.cfg.DataDir)
	s.bytes = folderBytes(f.n.cfg.DataDir)
	s.first, s.oldest = oldestEntry(f.n.logs.Log)
	s.at = time.Now()
	f.mu.Lock()
	f.last, f.running = s, nil
	f.mu.Unlock()
	close(done)
}

// folderBytes measures the parts of a data folder. What vanishes meanwhile, or
// cannot be read, counts as nothing.
func folderBytes(dir string) (bytes [len(parts)]int64) {
	counted := make(map[fileID]bool)
	measure := func(part int, root string, skip map[string]bool) {
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			if d.IsDir() {
				if path != root && skip[path] {
					return fs.SkipDir
				}
				return nil
			}
			info, err := d.Info()
			if err != nil || !info.Mode().IsRegular() {
				return nil
			}
			id, size := onDisk(info)
			if id != (fileID{}) {
				if counted[id] {
					return nil
				}
				counted[id] = true
			}
			bytes[part] += size
			return nil
		})
	}
	named := make(map[string]bool)
	for i, name := range parts[:len(parts)-1] {
		root := filepath.Join(dir, name)
		named[root] = true
		measure(i, root, nil)
	}
	measure(len(parts)-1, strings.TrimSuffix(dir, string(filepath.Separator)), named)
	return bytes
}

// oldestEntry is the index of a log's first entry and when its leader appended
// it. The first entry of a cluster, and entries of few other kinds, do not tell;
// then one soon after does.
func oldestEntry(log raft.LogStore) (first uint64, at time.Time) {
	first, err := log.FirstIndex()
	if err != nil || first == 0 {
		return 0, at
	}
	for index := first; index < first+oldestLooked; index++ {
		var entry raft.Log
		if err := log.GetLog(index, &entry); err != nil {
			break // it has been truncated since, or there are no more
		}
		if !entry.AppendedAt.IsZero() {
			return first, entry.AppendedAt
		}
	}
	return first, at
}

// fileID tells files apart that may have several names; zero if the system
// cannot.
type fileID struct{ device, inode uint64 }
