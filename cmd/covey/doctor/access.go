package doctor

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/coveydb/covey/node/folder"
)

// User is whom the node runs as, taken from its data folder.
type User struct {
	Known  bool
	UID    uint32
	Name   string // the id in digits where the machine has no name for it
	Groups []uint32
}

// Denied is a file that the node's user cannot read, judged by owners and modes.
type Denied struct {
	File
	At   string // what keeps it out: the file, or a folder on the way to it
	Dir  bool
	Perm fs.FileMode
	Who  string // whom At belongs to
}

// folderUser is whom the node with data folder dir runs as: who owns what a node
// has written there, else who owns dir. That an image made dir for another user,
// whose group the node only shares, says nothing; so before a node has written
// anything this is for root to ask, who runs as no node does. Not known where
// there is no such folder.
func folderUser(dir string) (u User) {
	if dir == "" {
		return u
	}
	info, err := os.Stat(filepath.Join(dir, folder.NodeFile))
	if err != nil && os.Geteuid() <= 0 {
		info, err = os.Stat(dir)
	}
	if err != nil {
		return u
	}
	u.UID, _, u.Known = ownerOf(info)
	if !u.Known {
		return u
	}
	u.Name = userName(u.UID)
	if who, err := user.LookupId(strconv.FormatUint(uint64(u.UID), 10)); err == nil {
		ids, _ := who.GroupIds() // without them its own group is left out, too
		for _, id := range ids {
			if gid, err := strconv.ParseUint(id, 10, 32); err == nil {
				u.Groups = append(u.Groups, uint32(gid))
			}
		}
	}
	return u
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if who, err := user.LookupId(id); err == nil {
		return who.Username
	}
	return id
}

// Rights in the lowest three bits of a mode.
const (
	mayRead = 0o4
	mayPass = 0o1 // through a folder
)

// may reports whether u has a right to what info describes.
func (u User) may(right fs.FileMode, info fs.FileInfo) bool {
	uid, gid, known := ownerOf(info)
	perm := info.Mode().Perm()
	switch {
	case !known || u.UID == 0:
		return true
	case uid == u.UID:
		perm >>= 6
	case slices.Contains(u.Groups, gid):
		perm >>= 3
	}
	return perm&right != 0
}

// denied returns those of files that u cannot read. What this process cannot
// look at itself is left to the check that opens it.
func denied(u User, files []File) (out []Denied) {
	if !u.Known {
		return nil
	}
	for _, f := range files {
		if d, ok := u.denied(f); ok {
			out = append(out, d)
		}
	}
	return out
}

func (u User) denied(f File) (Denied, bool) {
	path, err := filepath.Abs(f.Path)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return Denied{}, false
	}
	for _, at := range append(above(path), path) {
		info, err := os.Stat(at)
		if err != nil {
			return Denied{}, false
		}
		right := fs.FileMode(mayRead)
		if at != path {
			right = mayPass
		}
		if !u.may(right, info) {
			owner, _, _ := ownerOf(info)
			return Denied{File: f, At: at, Dir: at != path, Perm: info.Mode().Perm(), Who: userName(owner)}, true
		}
	}
	return Denied{}, false
}

// above returns the folders that lead to path, the root first.
func above(path string) (dirs []string) {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		dirs = append(dirs, dir)
		if dir == filepath.Dir(dir) {
			slices.Reverse(dirs)
			return dirs
		}
	}
}

// readable are the files that the node must be able to read.
func (s *Subject) readable() []File {
	files := slices.Clone(s.Secrets)
	for _, c := range s.TLS {
		flags := c.Use
		if flags == "http" {
			flags = "tls"
		}
		for _, f := range []File{{flags + "-ca", c.CA}, {flags + "-cert", c.Cert}, {flags + "-key", c.Key}} {
			if f.Path != "" && !slices.ContainsFunc(files, func(g File) bool { return g.Path == f.Path }) {
				files = append(files, f)
			}
		}
	}
	return files
}

// judgeDenied says of files that the node's user cannot read, and how that user
// was found.
func judgeDenied(s *Subject, f *Facts) (out []Finding) {
	for _, d := range f.Denied {
		text := fmt.Sprintf("--%s %s cannot be read by %s, whose data folder %s is and who so is taken for the node's user: ", d.Flag, d.Path, f.User.Name, s.DataDir)
		if d.Dir {
			out = append(out, found(Problem, text+fmt.Sprintf("folder %s belongs to %s and has mode %04o", d.At, d.Who, d.Perm),
				fmt.Sprintf("chown %s %s, or let it pass through: chmod o+x %s", f.User.Name, d.At, d.At)))
			continue
		}
		out = append(out, found(Problem, text+fmt.Sprintf("it belongs to %s and has mode %04o", d.Who, d.Perm),
			fmt.Sprintf("chown %s %s", f.User.Name, d.At)))
	}
	return out
}
