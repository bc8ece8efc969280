package bucket

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/auth"
)

// A Request is what makes two requests the same one for exactly-once: a repeat
// must agree in all fields. The credential is one of them, so that nobody gets
// the answer to another's request by repeating its key.
type Request struct {
	Bucket         string // "" to create one
	Method         string
	Target         string // the key and the parameters that matter, without cache-busters
	IdempotencyKey string
	Credential     auth.Credential
	Body           []byte
}

// OnceID returns the identity of the request's command: the first 16 bytes of
// SHA-256 over the fields, each with its length before it. Compute it before
// the transaction.
func (r Request) OnceID() command.ID {
	h := sha256.New()
	for _, part := range [...]string{"covey bucket request 1", r.Bucket, r.Method, r.Target, r.IdempotencyKey, r.Credential.Value} {
		writePart(h, []byte(part))
	}
	writePart(h, r.Body)
	return command.ID(h.Sum(nil)[:len(command.ID{})])
}

func writePart(h hash.Hash, p []byte) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(p)))
	h.Write(n[:])
	h.Write(p)
}
