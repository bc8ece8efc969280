package recovery

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
)

// Format names what a survivor's file holds.
const Format = "covey survivor 1"

const (
	fileLimit = 1 << 20
	maxNodes  = 256 // servers of a configuration
)

// Survivor is where the log and the state of one stopped node stand.
type Survivor struct {
	Format    string     `json:"format"`
	NodeID    string     `json:"node_id"`
	ClusterID cluster.ID `json:"cluster_id"`
	At        time.Time  `json:"at"` // when it was looked at

	Term     uint64 `json:"term"`       // that the node has seen
	LastTerm uint64 `json:"last_term"`  // of the last entry; with LastIndex it tells whose log is newer
	Last     uint64 `json:"last_index"` // of the last entry, or of the snapshot if no entry is behind it

	// Known is up to where entries are known to be committed, because the state or
	// a snapshot on this disk holds them. What is behind it may be committed too:
	// a node that was killed had more of it in memory.
	Known   uint64 `json:"known_committed"`
	Applied uint64 `json:"applied_index"` // of the last command in the state
	Version uint64 `json:"version"`       // of the state
	Chain   string `json:"chain"`         // hash over all entries up to Applied, in hexadecimal

	Voters    []string `json:"voters"` // of the last configuration in the log
	NonVoters []string `json:"non_voters,omitempty"`

	// Blank says that the node began with an empty folder and has not caught up: it
	// votes for nobody, and what it acknowledged before is not here.
	Blank bool `json:"blank,omitempty"`

	Tail Tail   `json:"tail"`   // behind Known
	Sum  string `json:"sha256"` // of the file in compact form with "" here
}

// Tail is what the entries of a log from First to Last hold. It never names a
// key or holds a value.
type Tail struct {
	First    uint64            `json:"first"` // 0: there are none
	Last     uint64            `json:"last"`
	Commands uint64            `json:"commands"`         // writes, each one transaction
	Pieces   uint64            `json:"pieces,omitempty"` // of large commands and restored states
	Changes  uint64            `json:"configurations,omitempty"`
	Ops      map[string]uint64 `json:"ops,omitempty"` // by kind, such as "set"
}

// newer reports whether s has the newer log, as Raft's voters judge it.
func (s *Survivor) newer(o *Survivor) bool {
	return s.LastTerm > o.LastTerm || s.LastTerm == o.LastTerm && s.Last > o.Last
}

// Encode returns s as a file, with its checksum.
func (s Survivor) Encode() ([]byte, error) {
	sum, err := s.sum()
	if err != nil {
		return nil, err
	}
	s.Sum = sum
	p, err := json.MarshalIndent(s, "", "  ")
	return append(p, '\n'), err
}

func (s Survivor) sum() (string, error) {
	s.Sum = ""
	p, err := json.Marshal(s)
	h := sha256.Sum256(p)
	return hex.EncodeToString(h[:]), err
}

// Parse reads what Encode wrote, and accepts nothing else: not a field more or
// less, not one twice, not a value that no node can have. The error is
// errs.Invalid.
func Parse(p []byte) (Survivor, error) {
	var s Survivor
	if len(p) > fileLimit {
		return s, errs.E(errs.Invalid, "over %d bytes: this is no survivor's file", fileLimit)
	}
	d := json.NewDecoder(bytes.NewReader(p))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, errs.E(errs.Invalid, "no survivor's file: %w", err)
	}
	if s.Format != Format {
		return s, errs.E(errs.Invalid, "format %q, this release reads %q: use the same release on all survivors", s.Format, Format)
	}
	again, err := json.Marshal(s)
	var compact bytes.Buffer
	if err == nil {
		err = json.Compact(&compact, p)
	}
	if err != nil {
		return s, errs.E(errs.Invalid, "no survivor's file: %w", err)
	}
	sum, err := s.sum()
	if err != nil || s.Sum != sum || !bytes.Equal(again, compact.Bytes()) {
		return s, errs.E(errs.Invalid, "the file was altered or damaged: its checksum does not fit")
	}
	return s, s.check()
}

// ReadFile reads a survivor's file.
func ReadFile(path string) (Survivor, error) {
	f, err := os.Open(path)
	if err != nil {
		return Survivor{}, errs.E(errs.Invalid, "%w", err)
	}
	defer f.Close()
	p, err := io.ReadAll(io.LimitReader(f, fileLimit+1))
	if err != nil {
		return Survivor{}, errs.E(errs.Invalid, "%w", err)
	}
	s, err := Parse(p)
	if err != nil {
		return s, errs.E(errs.Invalid, "%s: %w", filepath.Base(path), err)
	}
	return s, nil
}

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// check says what no survivor can have said.
func (s *Survivor) check() error {
	wrong := func(format string, args ...any) error {
		return errs.E(errs.Invalid, "it cannot be true: "+format, args...)
	}
	ids := slices.Concat(s.Voters, s.NonVoters)
	chain, err := hex.DecodeString(s.Chain)
	switch {
	case !validID.MatchString(s.NodeID):
		return wrong("node id %q", s.NodeID)
	case s.ClusterID.IsZero():
		return wrong("no cluster id")
	case s.Last == 0 || s.LastTerm == 0 || s.LastTerm > s.Term:
		return wrong("last entry %d of term %d in term %d", s.Last, s.LastTerm, s.Term)
	case s.Known > s.Last || s.Applied > s.Known:
		return wrong("applied %d, known to be committed %d, last %d", s.Applied, s.Known, s.Last)
	case err != nil || len(chain) != sha256.Size:
		return wrong("chain of %d digits", len(s.Chain))
	case len(s.Voters) == 0 || len(ids) > maxNodes:
		return wrong("%d voters of %d servers", len(s.Voters), len(ids))
	}
	slices.Sort(ids)
	for i, id := range ids {
		if !validID.MatchString(id) || i > 0 && ids[i-1] == id {
			return wrong("server %q", id)
		}
	}
	return s.Tail.check(s.Known, s.Last)
}

func (t *Tail) check(known, last uint64) error {
	want := Tail{}
	if last > known {
		want.First, want.Last = known+1, last
	}
	if t.First != want.First || t.Last != want.Last {
		return errs.E(errs.Invalid, "it cannot be true: entries %d to %d behind %d, the last is %d", t.First, t.Last, known, last)
	}
	for kind := range t.Ops {
		if !slices.Contains(opNames[1:], kind) {
			return errs.E(errs.Invalid, "it cannot be true: operations of kind %q", kind)
		}
	}
	return nil
}
