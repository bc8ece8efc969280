package backup

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// The ends of the names of backups.
const (
	Extension          = ".covey"
	EncryptedExtension = Extension + ".age"
)

// Name is what the name of a backup says of it. Names of one cluster are in the
// order of their times.
type Name struct {
	Cluster   string    // the first 8 digits of its id
	Created   time.Time // in seconds, UTC
	Version   uint64
	Encrypted bool
}

// NameOf returns the name for a backup with this header.
func NameOf(h Header, encrypted bool) Name {
	return Name{h.Cluster[:min(8, len(h.Cluster))], h.Created.UTC().Truncate(time.Second), h.Version, encrypted}
}

const nameTime = "20060102T150405Z"

// String returns the name of the file: covey-1a2b3c4d-20260131T235959Z-v42.covey,
// with .age at its end if it is encrypted.
func (n Name) String() string {
	ext := Extension
	if n.Encrypted {
		ext = EncryptedExtension
	}
	return fmt.Sprintf("covey-%s-%s-v%d%s", n.Cluster, n.Created.UTC().Format(nameTime), n.Version, ext)
}

var nameForm = regexp.MustCompile(`^covey-([0-9a-f]{8})-([0-9]{8}T[0-9]{6}Z)-v([0-9]{1,20})\.covey(\.age)?$`)

// ParseName reads what String wrote; ok is false for any other name, so that
// what does not belong to backups is never taken for one.
func ParseName(s string) (n Name, ok bool) {
	m := nameForm.FindStringSubmatch(s)
	if m == nil {
		return n, false
	}
	at, err := time.Parse(nameTime, m[2])
	if err != nil {
		return n, false
	}
	version, err := strconv.ParseUint(m[3], 10, 64)
	if err != nil {
		return n, false
	}
	n = Name{m[1], at, version, m[4] != ""}
	return n, n.String() == s
}
