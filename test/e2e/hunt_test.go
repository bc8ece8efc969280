package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coveydb/covey/store"
)

// hunt looks for texts in bytes, in the forms in which they could have got
// there.
type hunt struct {
	forms  [1 << 16][]form // by the first two bytes
	found  map[string]bool // "name in place"
	looked int64           // bytes
}

type form struct {
	name  string // of the text
	bytes []byte
}

// add adds a text: as it is, in hexadecimal, and in base64, in which it looks
// different after one or two other bytes.
func (h *hunt) add(name, text string) {
	lower := hex.EncodeToString([]byte(text))
	forms := [][]byte{[]byte(text), []byte(lower), []byte(strings.ToUpper(lower))}
	for shift := range 3 {
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			shifted := e.EncodeToString(append(make([]byte, shift), text...))
			// The first and the last digit may also hold bits of what is around.
			first, end := (shift*8+5)/6, (shift+len(text))*8/6
			forms = append(forms, []byte(shifted[first:end]))
		}
	}
	for _, f := range forms {
		at := uint16(f[0])<<8 | uint16(f[1])
		h.forms[at] = append(h.forms[at], form{name, f})
	}
}

// in looks into p, which is of a place.
func (h *hunt) in(place string, p []byte) {
	if h.found == nil {
		h.found = map[string]bool{}
	}
	h.looked += int64(len(p))
	for i := range len(p) - 1 {
		for _, f := range h.forms[uint16(p[i])<<8|uint16(p[i+1])] {
			if bytes.HasPrefix(p[i:], f.bytes) {
				h.found[f.name+" in "+place] = true
			}
		}
	}
}

// files looks into all files of a folder, as they are. The places are the
// folder's entries.
func (h *hunt) files(node, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		p, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		top, _, _ := strings.Cut(rel, string(filepath.Separator))
		h.in(node+" "+top, p)
		return err
	})
}

// store looks into the keys and values of a local store, which may be
// compressed in its files.
func (h *hunt) store(place, dir string) error {
	db, err := store.Open(store.Options{Dir: dir, ReadOnly: true, CacheBytes: 1 << 20})
	if err != nil {
		return err
	}
	snap := db.Snapshot()
	it := snap.Scan(nil, nil)
	for it.Next() {
		h.in(place, it.Key())
		h.in(place, it.Value())
	}
	return errors.Join(it.Err(), it.Close(), snap.Close(), db.Close())
}

// node looks into the folder of a node that has ended, and returns how many
// snapshots it has.
func (h *hunt) node(s *server) (snapshots int, err error) {
	if err := h.files(s.id, s.dir); err != nil {
		return 0, err
	}
	if err := h.store(s.id+" state, opened", filepath.Join(s.dir, "state")); err != nil {
		return 0, fmt.Errorf("state: %w", err)
	}
	all, err := filepath.Glob(filepath.Join(s.dir, "snapshots", "*", "data"))
	for _, dir := range all {
		if err == nil {
			err = h.store(s.id+" snapshots, opened", dir)
		}
	}
	return len(all), err
}

// process looks at what the system tells others about a process.
func (h *hunt) process(s *server) error {
	for _, name := range []string{"cmdline", "environ"} {
		p, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.cmd.Process.Pid, name))
		if errors.Is(err, os.ErrNotExist) {
			return nil // another system
		}
		if err != nil {
			return err
		}
		h.in(s.id+" "+name, p)
	}
	return nil
}

func TestAHuntFindsAllForms(t *testing.T) {
	const text = "k~h?5pQ>8zw1xyV2"
	for _, around := range []string{"", "a", "ab", "abc"} {
		plain := around + text + around
		for what, in := range map[string]string{
			"plain": plain, "hexadecimal": hex.EncodeToString([]byte(plain)), "HEXADECIMAL": fmt.Sprintf("%X", plain),
			"base64":          "." + base64.StdEncoding.EncodeToString([]byte(plain)),
			"base64 for URLs": base64.RawURLEncoding.EncodeToString([]byte(plain)) + ".",
		} {
			var h hunt
			h.add("text", text)
			h.in("here", []byte(in))
			if !h.found["text in here"] {
				t.Errorf("%q is not found as %s: %s", plain, what, in)
			}
			h = hunt{}
			h.add("text", text[:8]+"_"+text[9:])
			if h.in("here", []byte(in)); len(h.found) > 0 {
				t.Errorf("another text is found as %s in %s", what, in)
			}
		}
	}
}
