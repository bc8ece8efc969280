package raftlog

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/coveydb/covey/internal/errs"
)

// Kind is how a folder keeps the Raft log.
type Kind string

const (
	WAL  Kind = "wal"  // hashicorp/raft-wal: segment files, one fsync an append
	Bolt Kind = "bolt" // hashicorp/raft-boltdb: one B+tree file, two fsyncs an append
)

const (
	kindFile   = "KIND"
	kindHeader = "covey raft log 1 "
	walDir     = "wal"
	boltFile   = "log.db"
	stableFile = "stable.db"
)

// ParseKind reads a kind as it is written in a flag. The error is errs.Invalid.
func ParseKind(text string) (Kind, error) {
	switch k := Kind(text); k {
	case WAL, Bolt:
		return k, nil
	}
	return "", errs.E(errs.Invalid, "raft log %q: want %q or %q", text, WAL, Bolt)
}

// KindOf tells how dir keeps its log. The error is errs.NotFound if dir does not
// say, errs.Invalid if what it says is of no release that is known here.
func KindOf(dir string) (Kind, error) {
	path := filepath.Join(dir, kindFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", errs.E(errs.NotFound, "%s has no %s file: is it the raft folder of a node?", dir, kindFile)
	}
	if err != nil {
		return "", errs.E(errs.Internal, "read the kind of the raft log: %w", err)
	}
	name, ok := strings.CutPrefix(strings.TrimSuffix(string(text), "\n"), kindHeader)
	if !ok {
		return "", errs.E(errs.Invalid, "%s: not a raft log of this release: run the release that wrote it, or start with an empty folder", path)
	}
	have, err := ParseKind(name)
	if err != nil {
		return "", errs.E(errs.Invalid, "%s: %w", path, err)
	}
	return have, nil
}

// claimKind checks that dir keeps its log as want, and notes it in a new dir.
func claimKind(dir string, want Kind) error {
	have, err := KindOf(dir)
	if errs.Is(err, errs.NotFound) {
		return noteKind(dir, want)
	}
	if err == nil && have != want {
		err = errs.E(errs.Invalid, "%s keeps its raft log as %s, not as %s: start with --raft-log %s, or with an empty data folder to fetch everything from the other members",
			dir, have, want, have)
	}
	return err
}

// noteKind writes the kind of a folder that has none, before anything else is
// in it. A log without a kind is one whose kind was lost, and not ours to guess.
func noteKind(dir string, k Kind) error {
	for _, name := range []string{walDir, boltFile, stableFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return errs.E(errs.Invalid, "%s has %s but no %s file: put the file back, or start with an empty data folder", dir, name, kindFile)
		}
	}
	path := filepath.Join(dir, kindFile)
	if err := writeSynced(path+".tmp", []byte(kindHeader+string(k)+"\n")); err != nil {
		return errs.E(errs.Internal, "note the kind of the raft log: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return errs.E(errs.Internal, "note the kind of the raft log: %w", err)
	}
	return syncDir(dir)
}

func writeSynced(path string, p []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(p)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return errs.E(errs.Internal, "sync folder: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return errs.E(errs.Internal, "sync folder: %w", err)
	}
	return nil
}
