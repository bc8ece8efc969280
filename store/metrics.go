package store

import "github.com/cockroachdb/pebble/v2"

// Metrics are the figures of a store since it was opened. Counters start anew
// when Replace changes the content, as a restart would.
type Metrics struct {
	MemTableBytes uint64 // held in memory, not yet flushed
	MemTables     int64
	DiskBytes     uint64 // of all files, also obsolete ones not yet removed
	Tables        int64  // live table files
	L0Files       int64
	L0Sublevels   int32
	ReadAmp       int // how many places a read may have to look at

	Flushes             int64  // counter
	FlushedBytes        uint64 // counter
	Compactions         int64  // counter
	CompactedBytes      uint64 // counter: bytes written by compactions
	CompactionsFailed   int64  // counter
	CompactionsRunning  int64
	CompactionDebtBytes uint64 // estimate of what is left to compact

	CacheBytes   int64
	CacheHits    int64 // counter
	CacheMisses  int64 // counter
	FilterHits   int64 // counter: table reads that a bloom filter saved
	FilterMisses int64 // counter

	Snapshots        int    // open ones
	CommitStalls     uint64 // counter: commits that waited for flushes or compactions
	BackgroundErrors uint64 // counter
	Generation       uint64 // 1 plus the number of times the content was replaced
}

// Metrics returns the current figures, and zeros when the store is closed. It
// takes some microseconds. When Pebble is stuck, as on a full disk, it returns
// the last known figures after 100 ms.
func (db *DB) Metrics() Metrics {
	g := db.acquire()
	if g == nil {
		return Metrics{}
	}
	defer db.release(g)
	p := g.keeper.metrics()
	if p == nil {
		p = &pebble.Metrics{}
	}
	m := Metrics{
		MemTableBytes: p.MemTable.Size,
		MemTables:     p.MemTable.Count,
		DiskBytes:     p.DiskSpaceUsage(),
		L0Files:       p.Levels[0].TablesCount,
		L0Sublevels:   p.Levels[0].Sublevels,
		ReadAmp:       p.ReadAmp(),

		Flushes:             p.Flush.Count,
		FlushedBytes:        p.Levels[0].TableBytesFlushed,
		Compactions:         p.Compact.Count,
		CompactionsFailed:   p.Compact.FailedCount,
		CompactionsRunning:  p.Compact.NumInProgress,
		CompactionDebtBytes: p.Compact.EstimatedDebt,

		CacheBytes:   p.BlockCache.Size,
		CacheHits:    p.BlockCache.Hits,
		CacheMisses:  p.BlockCache.Misses,
		FilterHits:   p.Filter.Hits,
		FilterMisses: p.Filter.Misses,

		Snapshots:        p.Snapshots.Count,
		CommitStalls:     g.health.stalls.Load(),
		BackgroundErrors: g.health.errors.Load(),
	}
	for i := range p.Levels {
		m.Tables += p.Levels[i].TablesCount
		m.CompactedBytes += p.Levels[i].TableBytesCompacted
	}
	m.Generation, _ = generationNumber(g.name)
	return m
}
