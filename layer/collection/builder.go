package collection

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
	"unicode/utf8"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
)

// A batch of a build is one commit of at most so much. Beside writers it
// shrinks until it gets through.
const (
	firstBatch      = 256
	maxBatch        = 2048 // documents
	maxBatchBytes   = 8 << 20
	maxBatchEntries = 20_000
	buildPause      = time.Second // between looks for work
)

// A Builder puts the documents that were there before an index into it, batch by
// batch, while writers go on. What has been done is in the store, so another
// node's Builder goes on where one has stopped. Two at once are safe, but in
// each other's way.
type Builder struct {
	DB    *kv.DB
	Store *Store
	Leads func() bool // whether this node is the one to build
	Log   *slog.Logger

	sizes map[uint64]int // of the next batch of an index
}

// buildRow says how far the build of an index has come.
type buildRow struct {
	Database   string `json:"database"`
	Collection string `json:"collection"`
	// Last is the last document that the build has to put in, once the first
	// batch has found it: later ones were written by those who knew the index.
	Last *OID `json:"last,omitempty"`
	// Next is where the next batch begins.
	Next OID   `json:"next"`
	Done int64 `json:"done"`
}

func (b buildRow) put(tx *kv.Tx, index uint64) {
	p, err := json.Marshal(b)
	if err != nil {
		panic(err) // texts and numbers
	}
	tx.Set(buildKey(index), p, 0)
}

func readBuild(tx *kv.Tx, index uint64) (b buildRow, ok bool, err error) {
	rec, ok, err := tx.Get(buildKey(index))
	if err != nil || !ok {
		return b, false, err
	}
	b, err = decodeBuild(rec.Value)
	return b, err == nil, err
}

func decodeBuild(p []byte) (b buildRow, err error) {
	if err := json.Unmarshal(p, &b); err != nil {
		return b, &errs.Error{Kind: errs.Internal, Msg: "the progress of an index build is damaged", Err: err}
	}
	return b, nil
}

// Run builds whatever is to be built, until ctx ends.
func (b *Builder) Run(ctx context.Context) {
	for ctx.Err() == nil {
		more := false
		if b.Leads() {
			var err error
			if more, err = b.Step(ctx); err != nil && ctx.Err() == nil {
				b.Log.Warn("an index build waits", "error", err)
				more = false
			}
		}
		if more {
			continue
		}
		t := time.NewTimer(buildPause)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

// Step does one batch of each index that is to be built and reports whether
// there is more to do. It and Run are for one goroutine.
func (b *Builder) Step(ctx context.Context) (more bool, err error) {
	pending, err := b.pending(ctx)
	if err != nil {
		return false, err
	}
	var all []error
	for _, p := range pending {
		done, err := b.batch(ctx, p)
		if done {
			delete(b.sizes, p.index)
		}
		more = more || !done
		all = append(all, err)
	}
	return more, errors.Join(all...)
}

// pendingBuild is one build as a View has seen it.
type pendingBuild struct {
	index uint64
	buildRow
	last OID // the last document that there was
}

// pending looks for builds in the node's own state. The last document is taken
// from the same state: that state has the index, so whoever wrote a later
// document knew of it.
func (b *Builder) pending(ctx context.Context) (list []pendingBuild, err error) {
	_, err = b.DB.View(ctx, kv.Consistency{Stale: true}, func(tx *kv.Tx) error {
		for rec, err := range tx.Scan(buildSpan()) {
			if err != nil {
				return err
			}
			row, err := decodeBuild(rec.Value)
			if err != nil {
				return err
			}
			p := pendingBuild{buildRow: row}
			if p.index, err = buildIndex(rec.Key); err != nil {
				return err
			}
			r, err := b.Store.rows.get(tx, collectionKey(row.Database, row.Collection))
			if err != nil {
				return err
			}
			if r != nil && row.Last == nil {
				for rec, err := range tx.ScanBack(documentSpan(r.Number)) {
					if err != nil {
						return err
					}
					p.last = documentID(rec.Key)
					break
				}
			}
			list = append(list, p)
		}
		return nil
	})
	return list, err
}

// batch does one batch of p and reports whether the build has come to its end.
func (b *Builder) batch(ctx context.Context, p pendingBuild) (done bool, err error) {
	size := firstBatch
	if s, ok := b.sizes[p.index]; ok {
		size = s
	}
	var step buildStep
	runs := 0
	_, err = b.DB.Update(ctx, func(tx *kv.Tx) error {
		// The first run may be on an old state, so only from the third on is
		// the batch to blame.
		if runs++; runs > 2 {
			size = max(size/2, 1)
		}
		step = buildStep{tx: tx, store: b.Store, at: p, room: size}
		return step.run()
	})
	if runs == 1 {
		size = min(2*size, maxBatch)
	}
	if b.sizes == nil {
		b.sizes = make(map[uint64]int)
	}
	b.sizes[p.index] = size
	if err != nil {
		return false, err
	}
	if ix := step.ix; step.ended && ix != nil {
		// Why one has failed is in its status: it names values of documents.
		b.Log.Info("an index build has ended", "collection", p.Collection, "index", ix.Name, "state", string(step.state))
	}
	return step.ended, nil
}

// buildStep is one run of the transaction of one batch.
type buildStep struct {
	tx    *kv.Tx
	store *Store
	at    pendingBuild
	room  int // documents

	row     *row
	ix      *Index
	entries int
	many    bool
	state   IndexState // what the index becomes
	reason  string
	ended   bool
}

// run does the batch. The span of documents that it reads is guarded: a
// document that changes meanwhile makes it run again. So does a change of the
// row, which drops of the index are.
func (s *buildStep) run() error {
	key := collectionKey(s.at.Database, s.at.Collection)
	r, err := s.store.rows.get(s.tx, key)
	if err != nil {
		return err
	}
	progress, ok, err := readBuild(s.tx, s.at.index)
	if err != nil {
		return err
	}
	if !ok {
		s.ended = true
		return nil
	}
	if r != nil {
		s.row = r.clone()
		for _, ix := range s.row.Indexes {
			if ix.Number == s.at.index && ix.State == Building {
				s.ix = ix
			}
		}
	}
	if s.ix == nil {
		s.ended = true
		s.tx.Delete(buildKey(s.at.index))
		return nil
	}
	if progress.Last == nil {
		progress.Last = &s.at.last
	}
	s.state = Building
	if err := s.documents(&progress); err != nil {
		return err
	}
	return s.finish(key, progress)
}

// documents puts documents into the index, from progress.Next on.
func (s *buildStep) documents(progress *buildRow) error {
	lo := documentKey(s.row.Number, progress.Next)
	hi := append(documentKey(s.row.Number, *progress.Last), 0)
	documents, size := 0, 0
	for rec, err := range s.tx.Scan(lo, hi) {
		if err != nil {
			return err
		}
		if documents == s.room || size > maxBatchBytes || s.entries > maxBatchEntries {
			progress.Next = documentID(rec.Key)
			return nil
		}
		d, err := openDocument(bytes.Clone(rec.Value))
		if err != nil {
			return err
		}
		if err := s.document(&d); err != nil || s.state == Failed {
			return err
		}
		documents++
		progress.Done++
		size += len(rec.Value)
	}
	s.state = Ready
	return nil
}

func (s *buildStep) document(d *Document) error {
	list, many, err := s.ix.entries(d)
	if errs.Is(err, errs.Invalid) {
		s.state, s.reason = Failed, err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	s.many = s.many || many
	s.entries += len(list)
	id := d.ID()
	for _, e := range list {
		if e.owned {
			rec, ok, err := s.tx.Get(e.key)
			if err != nil {
				return err
			}
			if ok && !bytes.Equal(rec.Value, id[:]) {
				s.state, s.reason = Failed, s.twice(rec.Value, d)
				return nil
			}
		}
		e.put(s.tx, id)
	}
	return nil
}

// twice says why an index cannot be unique.
func (s *buildStep) twice(owner []byte, d *Document) string {
	other, err := entryID(nil, owner)
	if err != nil {
		return "an entry is damaged"
	}
	var values []byte
	for i, p := range s.ix.parsed {
		if i > 0 {
			values = append(values, ", "...)
		}
		at := len(values)
		for v := range p.Values(d.JSON) {
			if len(values) > at {
				values = append(values, '|')
			}
			values = append(values, v.Raw()...)
		}
		if len(values) == at {
			values = append(values, "null"...)
		}
	}
	return fmt.Sprintf("documents %s and %s have the same %s: %s", other, d.ID(), s.ix.Name, shorten(values))
}

// shorten cuts a value for a message.
func shorten(p []byte) string {
	const most = 100
	if len(p) <= most {
		return string(p)
	}
	n := most
	for n > 0 && !utf8.RuneStart(p[n]) {
		n--
	}
	return string(p[:n]) + "..."
}

// finish stores what has changed but the entries.
func (s *buildStep) finish(key []byte, progress buildRow) error {
	changed := s.many && !s.ix.Many
	s.ix.Many = s.ix.Many || s.many
	if s.state == Building {
		progress.put(s.tx, s.at.index)
	} else {
		s.ended, changed = true, true
		s.ix.State, s.ix.Reason = s.state, s.reason
		s.tx.Delete(buildKey(s.at.index))
		if s.state == Failed {
			s.tx.DeleteSpan(s.ix.span())
		}
	}
	if changed {
		s.tx.Set(key, s.row.encode(), 0)
	}
	return nil
}
