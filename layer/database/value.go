package database

import (
	"bytes"
	"context"
	"errors"

	"github.com/klauspost/compress/zstd"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/seal"
)

// MaxValue bounds the text of a value, in bytes.
const MaxValue = 16 << 20

// Kind says what a value is.
type Kind byte

// The kinds of values.
const (
	Null   Kind = 0
	String Kind = 1
	JSON   Kind = 2 // compact JSON text in ASCII: a log record
)

// A Value is what a key holds.
type Value struct {
	Kind Kind
	Text string // "" for Null
}

// An Address is the one place where a packed value opens.
type Address struct {
	Place Place
	Key   string
}

// aad binds sealed bytes to the address. The ID has one length, so no two
// addresses give the same bytes.
func (a Address) aad() []byte {
	return append(append(make([]byte, 0, len(a.Place.ID)+len(a.Key)), a.Place.ID[:]...), a.Key...)
}

// Options are how a value is packed.
type Options struct {
	EncryptionKey string // "" = not encrypted
	Compress      bool
}

// A packed value begins with its format. The plain one goes on with a byte of
// the kind and the flags, and the text; the sealed one with the sealed bytes of
// a whole plain one, so that what is sealed shows its length only.
const (
	formatPlain1  = 1
	formatSealed1 = 2

	kindMask       = 0x0f
	flagCompressed = 0x10
)

// Codec packs and unpacks values. Safe for concurrent use.
type Codec struct {
	keys *seal.Passphrases
	enc  *zstd.Encoder
	dec  *zstd.Decoder
}

// NewCodec returns a Codec.
func NewCodec() *Codec {
	enc, encErr := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(2), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	dec, decErr := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(MaxValue), zstd.WithDecoderLowmem(true))
	if err := errors.Join(encErr, decErr); err != nil {
		panic(err) // the options are constants
	}
	return &Codec{keys: seal.NewPassphrases(), enc: enc, dec: dec}
}

// Pack returns the bytes to store for v. Encryption takes tens of milliseconds
// for a key that was not used lately, and gives other bytes each time: call it
// before the transaction. Without an encryption key at does not matter.
// errs.TooLarge if the text is over MaxValue.
func (c *Codec) Pack(ctx context.Context, v Value, at Address, o Options) ([]byte, error) {
	if len(v.Text) > MaxValue {
		return nil, errs.E(errs.TooLarge, "the value is %d bytes long, the limit is %d", len(v.Text), MaxValue)
	}
	packed := c.plain(v, o.Compress)
	if o.EncryptionKey == "" {
		return packed, nil
	}
	key, err := c.keys.Key(ctx, o.EncryptionKey, at.Place.Salt)
	if err != nil {
		return nil, err
	}
	sealed, err := key.Seal(packed, at.aad())
	if err != nil {
		return nil, err
	}
	return append([]byte{formatSealed1}, sealed...), nil
}

func (c *Codec) plain(v Value, compress bool) []byte {
	head := []byte{formatPlain1, byte(v.Kind)}
	if compress {
		// What does not get smaller is not worth the work of every reader.
		if p := c.enc.EncodeAll([]byte(v.Text), bytes.Clone(head)); len(p) < len(head)+len(v.Text) {
			p[1] |= flagCompressed
			return p
		}
	}
	return append(head, v.Text...)
}

// Errors of Unpack for a caller's key that does not fit.
var (
	errNeedsKey = errs.E(errs.Invalid, "the value is encrypted, give its encryption_key")
	errNoKey    = errs.E(errs.Invalid, "the value is not encrypted, leave out encryption_key")
	errWrongKey = errs.E(errs.Invalid, "the value does not open with this encryption_key")
)

// Sealed reports whether a packed value is encrypted.
func Sealed(packed []byte) bool { return len(packed) > 0 && packed[0] == formatSealed1 }

// Unpack returns the value in what Pack returned for the same address.
// errs.Invalid if it is encrypted and encryptionKey is not its key, or if it is
// not and there is one. It may take as long as Pack.
func (c *Codec) Unpack(ctx context.Context, packed []byte, at Address, encryptionKey string) (Value, error) {
	switch sealed := Sealed(packed); {
	case !sealed && encryptionKey != "":
		return Value{}, errNoKey
	case !sealed:
		return c.open(packed)
	case encryptionKey == "":
		return Value{}, errNeedsKey
	}
	key, err := c.keys.Key(ctx, encryptionKey, at.Place.Salt)
	if err != nil {
		return Value{}, err
	}
	plain, err := key.Open(packed[1:], at.aad())
	if errs.Is(err, errs.Invalid) {
		return Value{}, errWrongKey
	}
	if err != nil {
		return Value{}, err
	}
	return c.open(plain)
}

func (c *Codec) open(p []byte) (Value, error) {
	if len(p) < 2 || p[0] != formatPlain1 || p[1]&^(kindMask|flagCompressed) != 0 {
		return Value{}, errDamaged(nil)
	}
	v := Value{Kind: Kind(p[1] & kindMask)}
	if v.Kind > JSON {
		return Value{}, errDamaged(nil)
	}
	text := p[2:]
	if p[1]&flagCompressed != 0 {
		var err error
		if text, err = c.dec.DecodeAll(text, nil); err != nil {
			return Value{}, errDamaged(err)
		}
	}
	if len(text) > MaxValue {
		return Value{}, errDamaged(errors.New("longer than any value"))
	}
	v.Text = string(text)
	return v, nil
}

func errDamaged(cause error) error {
	return &errs.Error{Kind: errs.Internal, Msg: "a stored value is damaged or of a newer format", Err: cause}
}
