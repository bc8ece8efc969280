package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"

	"github.com/coveydb/covey/internal/errs"
)

// A Draw is the randomness of one request: whatever its transaction makes up
// comes from here, so that a transaction that runs again makes up the same.
// The zero Draw is none; a Session that has none cannot create or seal.
type Draw struct{ seed [32]byte }

// NewDraw draws a Draw. Call it before the transaction, once for each request.
func NewDraw() Draw {
	var d Draw
	_, _ = rand.Read(d.seed[:]) // documented never to return an error
	return d
}

// none reports whether nothing was drawn.
func (d Draw) none() bool { return d == Draw{} }

// bytes returns the n-th value of a kind: 32 bytes that nobody without the
// seed tells from random ones.
func (d Draw) bytes(what string, n uint64) []byte {
	h := hmac.New(sha256.New, d.seed[:])
	_, _ = io.WriteString(h, what)
	_, _ = h.Write(binary.BigEndian.AppendUint64([]byte{0}, n))
	return h.Sum(nil)
}

// nonce returns a nonce for what is sealed. It depends on the plaintext too:
// when a transaction runs again and finds another value to seal, both
// ciphertexts may be in the log, and must not share a nonce.
func (d Draw) nonce(plain, bound []byte) []byte {
	h := hmac.New(sha256.New, d.bytes("nonce", 0))
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(bound))))
	_, _ = h.Write(bound)
	_, _ = h.Write(plain)
	return h.Sum(nil)[:nonceSize]
}

// Format prints a placeholder, whatever the verb.
func (d Draw) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[draw]") }

// LogValue returns a placeholder, for log/slog.
func (d Draw) LogValue() slog.Value { return slog.StringValue("[draw]") }

// Layout of a sealed value: the format, the id of the data key (4 bytes, big
// endian), a nonce, the ciphertext and its tag. The format, the id and the
// place are authenticated with it.
const (
	valueFormat1 = 1
	valueHead    = 1 + 4
	nonceSize    = 12
	tagSize      = 16
	dataKeySize  = 32
	uidSize      = 16
)

// Overhead of a sealed value in bytes.
const valueOverhead = valueHead + nonceSize + tagSize

// newAEAD makes AES-256-GCM of a data key.
func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != dataKeySize {
		return nil, errs.E(errs.Internal, "a data key is %d bytes long, not %d", len(key), dataKeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, errs.E(errs.Internal, "data key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, errs.E(errs.Internal, "data key: %w", err)
	}
	return aead, nil
}

// seal encrypts a value with the data key that has this id. One data key may
// seal 2^32 values.
func (d Draw) seal(aead cipher.AEAD, id uint32, plain, place []byte) ([]byte, error) {
	if d.none() {
		return nil, errs.E(errs.Internal, "a value was to be sealed in a transaction without randomness")
	}
	sealed := make([]byte, 0, valueOverhead+len(plain))
	sealed = binary.BigEndian.AppendUint32(append(sealed, valueFormat1), id)
	bound := bind(sealed, place)
	nonce := d.nonce(plain, bound)
	sealed = append(sealed, nonce...)
	return aead.Seal(sealed, nonce, plain, bound), nil
}

// keyOf returns the id of the data key that a value is sealed with.
func keyOf(sealed []byte) (uint32, error) {
	if len(sealed) < valueOverhead || sealed[0] != valueFormat1 {
		return 0, errs.E(errs.Internal, "a sealed value is damaged or of a newer format")
	}
	return binary.BigEndian.Uint32(sealed[1:valueHead]), nil
}

// openWith decrypts a value whose form keyOf has checked.
func openWith(aead cipher.AEAD, sealed, place []byte) ([]byte, error) {
	body := sealed[valueHead:]
	plain, err := aead.Open(nil, body[:nonceSize], body[nonceSize:], bind(sealed[:valueHead], place))
	if err != nil {
		return nil, errs.E(errs.Internal, "a sealed value does not open: it is damaged, or was moved from another place")
	}
	return plain, nil
}

// bind returns the additional data: the head, whose length is fixed, and the
// place.
func bind(head, place []byte) []byte {
	return append(append(make([]byte, 0, len(head)+len(place)), head...), place...)
}

// valuePlace is what a value is bound to. The ids before the key have a fixed
// length, so no two places read the same.
func valuePlace(o *organizationRow, e *environmentRow, key string) []byte {
	const head = "vault/value/"
	p := make([]byte, 0, len(head)+2*len(o.UID)+2*len(e.UID)+len(key)+2)
	p = append(hex.AppendEncode(append(p, head...), o.UID), '/')
	p = append(hex.AppendEncode(p, e.UID), '/')
	return append(p, key...)
}
