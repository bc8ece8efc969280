package database

import (
	"crypto/rand"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
)

// An ID is where a database's keys live. It is random and never used again.
type ID [16]byte

// A Place is what a name points to.
type Place struct {
	ID   ID
	Salt [seal.SaltSize]byte // of the keys that are derived from encryption keys
}

// NewPlace draws a place. Call it before a transaction.
func NewPlace() Place {
	var p Place
	_, _ = rand.Read(p.ID[:]) // documented never to return an error
	_, _ = rand.Read(p.Salt[:])
	return p
}

// rowFormat1 begins the row of a name: the format, the ID, the salt.
const rowFormat1 = 1

func (p Place) row() []byte {
	dst := append(make([]byte, 0, 1+len(p.ID)+len(p.Salt)), rowFormat1)
	return append(append(dst, p.ID[:]...), p.Salt[:]...)
}

func parseRow(row []byte) (p Place, err error) {
	if len(row) != 1+len(p.ID)+len(p.Salt) || row[0] != rowFormat1 {
		return Place{}, errs.E(errs.Internal, "the row of a database's name is damaged or of a newer format")
	}
	copy(p.ID[:], row[1:])
	copy(p.Salt[:], row[1+len(p.ID):])
	return p, nil
}
