package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/internal/errs"
)

const (
	metaFile   = "meta.json"
	metaFormat = 1
	metaLimit  = 1 << 20 // bytes of a description; a configuration is far smaller
)

// kind is how a snapshot lies on disk.
type kind string

const (
	kindCheckpoint kind = "checkpoint"
	kindStream     kind = "stream"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// envelope is meta.json: a body and its checksum, so that a flipped bit in a
// configuration is not taken for another configuration.
type envelope struct {
	Format int             `json:"format"`
	CRC32C uint32          `json:"crc32c"` // of Body as it stands
	Body   json.RawMessage `json:"body"`
}

type body struct {
	Kind  kind              `json:"kind"`
	Stamp int64             `json:"stamp"` // unix ms, larger than that of any snapshot before
	Meta  raft.SnapshotMeta `json:"meta"`
}

// encodeSnapshot returns the content of meta.json.
func encodeSnapshot(n *snapshot) ([]byte, error) {
	inner, err := json.Marshal(body{Kind: n.kind, Stamp: n.stamp, Meta: n.meta})
	if err != nil {
		return nil, errs.E(errs.Internal, "describe snapshot %s: %w", n.meta.ID, err)
	}
	outer, err := json.Marshal(envelope{Format: metaFormat, CRC32C: crc32.Checksum(inner, castagnoli), Body: inner})
	if err != nil {
		return nil, errs.E(errs.Internal, "describe snapshot %s: %w", n.meta.ID, err)
	}
	return append(outer, '\n'), nil
}

// decodeSnapshot reverses encodeSnapshot. The error is errs.Invalid.
func decodeSnapshot(p []byte) (*snapshot, error) {
	var e envelope
	if err := decodeStrict(p, &e); err != nil {
		return nil, err
	}
	if e.Format != metaFormat {
		return nil, errs.E(errs.Invalid, "format %d, this release reads %d", e.Format, metaFormat)
	}
	if crc32.Checksum(e.Body, castagnoli) != e.CRC32C {
		return nil, errs.E(errs.Invalid, "the checksum does not fit")
	}
	var b body
	if err := decodeStrict(e.Body, &b); err != nil {
		return nil, err
	}
	if b.Kind != kindCheckpoint && b.Kind != kindStream {
		return nil, errs.E(errs.Invalid, "kind %q", b.Kind)
	}
	if b.Meta.Version != 1 || b.Meta.Size <= 0 {
		return nil, errs.E(errs.Invalid, "version %d, size %d", b.Meta.Version, b.Meta.Size)
	}
	if id := fmt.Sprintf("%d-%d-%d", b.Meta.Term, b.Meta.Index, b.Stamp); b.Meta.ID != id {
		return nil, errs.E(errs.Invalid, "id %q, want %q", b.Meta.ID, id)
	}
	return &snapshot{meta: b.Meta, kind: b.Kind, stamp: b.Stamp}, nil
}

func decodeStrict(p []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(p))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return errs.E(errs.Invalid, "description: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errs.E(errs.Invalid, "description: more behind its end")
	}
	return nil
}

func writeSnapshot(dir string, n *snapshot) error {
	p, err := encodeSnapshot(n)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, metaFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return storeError("describe a snapshot", err)
	}
	_, err = f.Write(p)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return storeError("describe a snapshot", err)
	}
	return nil
}

// readSnapshot reads the description in dir and checks that what it describes
// is there.
func readSnapshot(dir string) (*snapshot, error) {
	f, err := os.Open(filepath.Join(dir, metaFile))
	if err != nil {
		return nil, storeError("read a description", err)
	}
	p, err := io.ReadAll(io.LimitReader(f, metaLimit+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, storeError("read a description", err)
	}
	if len(p) > metaLimit {
		return nil, errs.E(errs.Invalid, "description over %d bytes", metaLimit)
	}
	n, err := decodeSnapshot(p)
	if err != nil {
		return nil, err
	}
	if n.meta.ID != filepath.Base(dir) {
		return nil, errs.E(errs.Invalid, "it describes snapshot %s", n.meta.ID)
	}
	name := dataDir
	if n.kind == kindStream {
		name = streamFile
	}
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil {
		return nil, storeError("look at a snapshot", err)
	}
	if n.kind == kindStream && info.Size() != n.meta.Size {
		return nil, errs.E(errs.Invalid, "stream of %d bytes, described as %d", info.Size(), n.meta.Size)
	}
	return n, nil
}
