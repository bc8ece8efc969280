package vault

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/auth"
)

// A Request is what makes two requests the same one for exactly-once: a repeat
// must agree in all fields. The credential is one of them, so that nobody gets
// the answer to another's request by repeating its key.
type Request struct {
	Method         string
	Target         string
	IdempotencyKey string
	Credential     auth.Credential
	Body           []byte
}

// OnceID returns the identity of the request's command: the first 16 bytes of
// SHA-256 over the fields, each with its length before it. Compute it before
// the transaction. The id is stored in clear, so ok is false for a request
// without a credential: its body may hold a password, which the id would let be
// guessed at; with a token in it there is nothing to guess.
func (r Request) OnceID() (id command.ID, ok bool) {
	if r.Credential.None() {
		return id, false
	}
	h := sha256.New()
	for _, part := range [...][]byte{
		[]byte("covey vault request 1"), []byte(r.Method), []byte(r.Target), []byte(r.IdempotencyKey), []byte(r.Credential.Value), r.Body,
	} {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		_, _ = h.Write(part)
	}
	return command.ID(h.Sum(nil)[:len(id)]), true
}
