package backup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/store"
)

var created = time.Date(2026, 1, 31, 23, 59, 59, 0, time.UTC)

// small is a backup of a state with n records.
func small(t testing.TB, n int) ([]byte, Header) {
	t.Helper()
	db, err := store.Open(store.Options{Dir: "s", FS: store.MemFS()})
	if err != nil {
		t.Fatal(err)
	}
	m, err := fsm.Open(db, fsm.Options{Ring: 8})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		c := command.Command{ID: command.ID{byte(i), 1}, Ops: []command.Op{{Kind: command.Set, Key: []byte{'k', byte(i)}, Value: []byte("value")}}}
		if _, err := m.Apply([]fsm.Entry{{Index: uint64(10 + i), Data: command.AppendEntry(nil, 1700000000000, c.Append(nil))}}); err != nil {
			t.Fatal(err)
		}
	}
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	h := Describe(v.State)
	h.Cluster, h.Node, h.Release, h.Created = strings.Repeat("ab", 16), "n1", "v1", created
	var b bytes.Buffer
	if err := Write(&b, h, v.WriteData); err != nil {
		t.Fatal(err)
	}
	v.Release()
	m.Close()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), h
}

func TestAWholeBackupIsRead(t *testing.T) {
	file, h := small(t, 5)
	for name, r := range map[string]io.Reader{"at once": bytes.NewReader(file), "byte by byte": iotest.OneByteReader(bytes.NewReader(file))} {
		t.Run(name, func(t *testing.T) {
			s, err := Verify(r)
			if err != nil {
				t.Fatal(err)
			}
			want := Summary{Header: h, Bytes: uint64(len(file)), Stream: s.Stream, Records: 5, State: s.State}
			if s.Stream == 0 || s.Stream >= s.Bytes {
				t.Errorf("a stream of %d bytes in a file of %d", s.Stream, s.Bytes)
			}
			if diff := cmp.Diff(want, s); diff != "" {
				t.Error(diff)
			}
			if s.State.Version != 5 || s.State.Index != 14 {
				t.Errorf("state at version %d, index %d", s.State.Version, s.State.Index)
			}
		})
	}
}

func TestEveryDamageIsRefused(t *testing.T) {
	file, _ := small(t, 3)
	refused := func(t *testing.T, p []byte, what string, at int, causes ...error) {
		t.Helper()
		_, err := Verify(bytes.NewReader(p))
		if !errs.Is(err, errs.Invalid) {
			t.Fatalf("%s byte %d of %d: got %v", what, at, len(file), err)
		}
		for _, cause := range causes {
			if errors.Is(err, cause) {
				return
			}
		}
		t.Errorf("%s byte %d of %d: the wrong reason: %v", what, at, len(file), err)
	}
	t.Run("flipped", func(t *testing.T) {
		for i := range file {
			for bit := range 8 {
				p := bytes.Clone(file)
				p[i] ^= 1 << bit
				refused(t, p, "flipped", i, ErrDamaged, ErrForeign, ErrNewer, ErrTruncated)
			}
		}
	})
	t.Run("missing", func(t *testing.T) {
		for i := range file {
			p := append(bytes.Clone(file[:i]), file[i+1:]...)
			if bytes.Equal(p, file[:len(file)-1]) { // the last of a run of equal bytes
				refused(t, p, "missing", i, ErrTruncated)
				continue
			}
			refused(t, p, "missing", i, ErrDamaged, ErrForeign, ErrTruncated, ErrNewer)
		}
	})
	t.Run("added", func(t *testing.T) {
		for i := range len(file) + 1 {
			p := append(append(bytes.Clone(file[:i]), 0), file[i:]...)
			refused(t, p, "added", i, ErrDamaged, ErrForeign, ErrTruncated, ErrNewer)
		}
		refused(t, append(bytes.Clone(file), file...), "a second file after", len(file), ErrDamaged)
	})
	t.Run("cut", func(t *testing.T) {
		for i := range file {
			if i == 0 {
				refused(t, nil, "cut to", 0, ErrForeign)
				continue
			}
			refused(t, file[:i], "cut to", i, ErrTruncated)
		}
	})
}

// header writes a head with this JSON and a right checksum.
func header(format byte, text string) []byte {
	p := append([]byte(magic), format)
	p = binary.LittleEndian.AppendUint32(p, uint32(len(text)))
	p = append(p, text...)
	return binary.LittleEndian.AppendUint32(p, crc32.Checksum(p, castagnoli))
}

func TestWhyAFileIsNotTaken(t *testing.T) {
	file, _ := small(t, 1)
	tests := map[string]struct {
		file []byte
		want error
		text string
	}{
		"another program's":    {[]byte(strings.Repeat("PK\x03\x04", 40)), ErrForeign, "not a Covey backup"},
		"empty":                {nil, ErrForeign, "0 bytes"},
		"a newer format":       {header(Format+1, "{}"), ErrNewer, "format 2"},
		"a newer state":        {header(Format, `{"formats":{"stream":1,"state":99}}`), ErrNewer, "1.99"},
		"a newer stream":       {header(Format, `{"formats":{"stream":9,"state":1}}`), ErrNewer, "9.1"},
		"a header that is odd": {header(Format, `[]`), ErrDamaged, "header"},
		"cut in the middle":    {file[:len(file)/2], ErrTruncated, "ends after"},
		"encrypted":            {[]byte(ageMagic + "\n-> X25519"), ErrEncrypted, "age"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Verify(bytes.NewReader(tt.file))
			if !errors.Is(err, tt.want) || !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %v and %q", err, tt.want, tt.text)
			}
		})
	}
}

func TestAReadErrorIsNoDamage(t *testing.T) {
	file, _ := small(t, 2)
	broken := errors.New("cable pulled")
	for i := range file {
		_, err := Verify(io.MultiReader(bytes.NewReader(file[:i]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || errors.Is(err, ErrDamaged) || errors.Is(err, ErrTruncated) {
			t.Fatalf("broken at byte %d: %v", i, err)
		}
	}
	if _, err := Verify(io.MultiReader(bytes.NewReader(file), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("broken at the end: %v", err)
	}
}

func TestWriteReturnsTheErrorsOfBothSides(t *testing.T) {
	broken := errors.New("no")
	if err := Write(io.Discard, Header{}, func(io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("of the state: %v", err)
	}
	for room := range 200 {
		w := &tight{room: room, err: broken}
		if err := Write(w, Header{}, func(w io.Writer) error { _, err := w.Write(make([]byte, 20)); return err }); !errors.Is(err, broken) && room < 120 {
			t.Fatalf("of a writer that takes %d bytes: %v", room, err)
		}
	}
}

type tight struct {
	room int
	err  error
}

func (w *tight) Write(p []byte) (int, error) {
	if w.room -= len(p); w.room < 0 {
		return 0, w.err
	}
	return len(p), nil
}

func TestInspectShowsEveryRecord(t *testing.T) {
	file, _ := small(t, 3)
	var keys []string
	if _, err := Inspect(bytes.NewReader(file), func(r fsm.Record) error { keys = append(keys, string(r.Key)+"="+string(r.Value)); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"k\x00=value", "k\x01=value", "k\x02=value"}, keys); diff != "" {
		t.Error(diff)
	}
	stop := errors.New("enough")
	if _, err := Inspect(bytes.NewReader(file), func(fsm.Record) error { return stop }); !errors.Is(err, stop) || errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

// sealed encrypts file.
func sealed(t testing.TB, file []byte, to ...age.Recipient) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := Encrypt(&b, to...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(file); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func verifyWith(p []byte, ids ...age.Identity) (Summary, error) {
	r, _, err := Open(bytes.NewReader(p), ids...)
	if err != nil {
		return Summary{}, err
	}
	return Verify(r)
}

func TestEncrypted(t *testing.T) {
	file, h := small(t, 2)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to, err := Recipients(strings.NewReader("# ours\n\n" + id.Recipient().String() + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	ids, err := Identities(strings.NewReader(id.String() + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	p := sealed(t, file, to...)
	t.Run("is read with the identity", func(t *testing.T) {
		s, err := verifyWith(p, ids...)
		if err != nil || s.Header != h {
			t.Errorf("got %+v, %v", s.Header, err)
		}
	})
	t.Run("is refused without, and with another", func(t *testing.T) {
		other, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		_, phrase, err := Passphrase(strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		for _, ids := range [][]age.Identity{nil, {other}, {phrase}} {
			if _, err := verifyWith(p, ids...); !errors.Is(err, ErrEncrypted) {
				t.Errorf("%d identities: %v", len(ids), err)
			}
		}
	})
	t.Run("every flipped, added and missing byte is refused", func(t *testing.T) {
		for i := range p {
			q := bytes.Clone(p)
			q[i] ^= 0x10
			if _, err := verifyWith(q, ids...); !errs.Is(err, errs.Invalid) {
				t.Fatalf("flipped byte %d: %v", i, err)
			}
			if _, err := verifyWith(p[:i], ids...); !errs.Is(err, errs.Invalid) {
				t.Fatalf("cut to %d: %v", i, err)
			}
		}
		if _, err := verifyWith(append(bytes.Clone(p), 0), ids...); !errs.Is(err, errs.Invalid) {
			t.Errorf("a byte added: %v", err)
		}
	})
}

func TestPassphrase(t *testing.T) {
	file, _ := small(t, 1)
	to, id, err := Passphrase(strings.NewReader("correct horse\nsecond line"))
	if err != nil {
		t.Fatal(err)
	}
	to.(*age.ScryptRecipient).SetWorkFactor(10) // the default takes a second
	p := sealed(t, file, to)
	if _, err := verifyWith(p, id); err != nil {
		t.Error(err)
	}
	if _, wrong, _ := Passphrase(strings.NewReader("correct horses")); wrong != nil {
		if _, err := verifyWith(p, wrong); !errors.Is(err, ErrEncrypted) {
			t.Errorf("a wrong passphrase: %v", err)
		}
	}
	if _, _, err := Passphrase(strings.NewReader("\n")); !errs.Is(err, errs.Invalid) {
		t.Errorf("an empty one: %v", err)
	}
}

func TestKeyFilesAreRefusedWithoutQuotingThem(t *testing.T) {
	const secret = "AGE-SECRET-KEY-1NOTAREALKEY"
	_, err := Identities(strings.NewReader(secret))
	if !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v", err)
	}
	if _, err := Recipients(strings.NewReader("age1nonsense")); !errs.Is(err, errs.Invalid) {
		t.Errorf("got %v", err)
	}
}

func TestNames(t *testing.T) {
	h := Header{Cluster: "0123456789abcdef0123456789abcdef", Created: created.Add(999 * time.Millisecond), Version: 42}
	for encrypted, want := range map[bool]string{false: "covey-01234567-20260131T235959Z-v42.covey", true: "covey-01234567-20260131T235959Z-v42.covey.age"} {
		n := NameOf(h, encrypted)
		if n.String() != want {
			t.Errorf("got %s, want %s", n, want)
		}
		if back, ok := ParseName(want); !ok || back != n {
			t.Errorf("read back %+v, %v, want %+v", back, ok, n)
		}
	}
	for _, s := range []string{"", "covey", "covey-0123456-20260131T235959Z-v42.covey", "covey-01234567-20260131T235959Z-v42.covey.tmp",
		"covey-01234567-20260231T235959Z-v42.covey", "covey-01234567-20260131T235959Z-v042.covey", "x/covey-01234567-20260131T235959Z-v42.covey",
		"covey-01234567-20260131T235959Z-v99999999999999999999.covey"} {
		if n, ok := ParseName(s); ok {
			t.Errorf("%q read as %+v", s, n)
		}
	}
}

func FuzzVerify(f *testing.F) {
	file, _ := small(f, 2)
	f.Add(file)
	f.Add(file[:40])
	f.Add(header(Format, `{}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		s, err := Verify(bytes.NewReader(p))
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("kind %v: %v", errs.KindOf(err), err)
			}
			return
		}
		if s.Bytes != uint64(len(p)) {
			t.Errorf("took %d bytes of %d", s.Bytes, len(p))
		}
	})
}
