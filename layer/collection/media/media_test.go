package media_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/collection"
	"github.com/coveydb/covey/layer/collection/media"
)

const key = "0123456789abcdef0123456789abcdef01234"

type world struct {
	t     testing.TB
	store *kvtest.Store
	layer *collection.Store
}

func newWorld(t testing.TB) *world {
	return &world{t: t, store: kvtest.New(t), layer: collection.New(collection.Config{DefaultKey: auth.NewRootKey(key)})}
}

func (w *world) upload() *media.Upload { return w.uploadTo(collection.DefaultDatabase, key) }

func (w *world) uploadTo(database, key string) *media.Upload {
	at := time.UnixMilli(w.store.Now())
	host := database + ".db.test"
	if database == collection.DefaultDatabase {
		host = "localhost"
	}
	return &media.Upload{
		DB: w.store.DB, Database: database, At: at, Wait: time.Second,
		DrawID: func() collection.OID { return w.layer.DrawID(at) },
		Enter: func(ctx context.Context, tx *kv.Tx) (*collection.Session, error) {
			return w.layer.Enter(ctx, tx, collection.Caller{Host: host, Key: auth.Credential{Value: key}, Method: "POST", Path: "_media"})
		},
	}
}

func (w *world) update(fn func(tx *kv.Tx) error) {
	w.t.Helper()
	if _, err := w.store.DB.Update(context.Background(), fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) view(fn func(tx *kv.Tx) error) {
	w.t.Helper()
	if _, err := w.store.DB.View(context.Background(), kv.Consistency{}, fn); err != nil {
		w.t.Fatal(err)
	}
}

// keys counts what of media lies in the store, by the letter of its room.
func (w *world) keys() string {
	w.t.Helper()
	var found strings.Builder
	w.view(func(tx *kv.Tx) error {
		for _, kind := range "mfuky" {
			for _, err := range tx.Scan([]byte{'c', byte(kind)}, []byte{'c', byte(kind) + 1}) {
				if err != nil {
					return err
				}
				found.WriteRune(kind)
			}
		}
		return nil
	})
	return found.String()
}

func (w *world) get(id collection.OID) (f *media.File) {
	w.t.Helper()
	w.view(func(tx *kv.Tx) (err error) {
		f, err = media.Get(tx, collection.DefaultDatabase, id)
		return err
	})
	return f
}

func random(n int) []byte {
	p := make([]byte, n)
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

func part(name string, p []byte) media.Part {
	return media.Part{Name: name, Type: "image/png", Body: bytes.NewReader(p), Limit: media.DefaultMax}
}

// add uploads one file, whole.
func (w *world) add(p []byte) *media.File {
	w.t.Helper()
	u := w.upload()
	f, err := u.Add(context.Background(), part("a.bin", p))
	if err == nil {
		_, err = u.Finish(context.Background())
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

func (w *world) read(f *media.File) ([]byte, error) {
	return io.ReadAll(media.NewReader(context.Background(), w.store.DB, f, time.Second))
}

func TestFilesComeBackAsTheyWereSent(t *testing.T) {
	w := newWorld(t)
	sizes := []int{0, 1, media.ChunkSize - 1, media.ChunkSize, media.ChunkSize + 1, 4 * media.ChunkSize, 5<<20 + 17}
	u := w.upload()
	for _, n := range sizes {
		if _, err := u.Add(context.Background(), part("a.bin", random(n))); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	if keys := w.keys(); strings.ContainsAny(keys, "mf") || !strings.HasPrefix(keys, "uuk") {
		t.Errorf("before the end the store holds %.20s", keys)
	}
	if _, err := u.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	if keys := w.keys(); strings.Contains(keys, "u") {
		t.Errorf("after the end the store holds %.40s", keys)
	}
	seen := make(map[string]bool)
	for i, n := range sizes {
		f := w.get(u.Files()[i].ID)
		if f == nil {
			t.Fatalf("file %d is not there", i)
		}
		p, err := w.read(f)
		sum := sha256.Sum256(random(n))
		if err != nil || !bytes.Equal(p, random(n)) || f.Sum != hex.EncodeToString(sum[:]) || f.Size != int64(n) || f.By != "api" || f.Name != "a.bin" {
			t.Errorf("%d bytes: got %d, row %+v (%v)", n, len(p), f, err)
		}
		if seen[f.File] || len(f.File) != 32+len("a.bin") {
			t.Errorf("file name %q", f.File)
		}
		seen[f.File] = true
		w.view(func(tx *kv.Tx) error {
			byName, err := media.Find(tx, collection.DefaultDatabase, f.File)
			if byName == nil || byName.ID != f.ID {
				t.Errorf("by its name: %v", byName)
			}
			return err
		})
	}
}

func TestReaderSeeks(t *testing.T) {
	w := newWorld(t)
	p := random(3*media.ChunkSize + 100)
	r := media.NewReader(context.Background(), w.store.DB, w.add(p), time.Second)
	for _, at := range []int64{int64(len(p)) - 10, 0, media.ChunkSize - 5, 3 * media.ChunkSize} {
		if n, err := r.Seek(at-int64(len(p)), io.SeekEnd); err != nil || n != at {
			t.Fatalf("seek: %d %v", n, err)
		}
		got := make([]byte, 10)
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, p[at:at+10]) {
			t.Errorf("at %d: %x %v, want %x", at, got, err, p[at:at+10])
		}
	}
	if _, err := r.Seek(-1, io.SeekStart); err == nil {
		t.Error("a position before the beginning is accepted")
	}
}

type cutBody struct {
	io.Reader
	err error
}

func (c cutBody) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err == io.EOF {
		err = c.err
	}
	return n, err
}

func TestWhatDoesNotEndIsNotKept(t *testing.T) {
	big := random(2<<20 + 5)
	for name, c := range map[string]struct {
		part  media.Part
		wrong func(w *world, u *media.Upload)
		is    error
		kind  errs.Kind
	}{
		"a body that is cut off":   {part: media.Part{Body: cutBody{bytes.NewReader(big), io.ErrUnexpectedEOF}, Limit: 10 << 20}, is: io.ErrUnexpectedEOF},
		"over the limit by a byte": {part: media.Part{Body: bytes.NewReader(big), Limit: int64(len(big)) - 1}, kind: errs.TooLarge},
		"far over the limit":       {part: media.Part{Body: bytes.NewReader(big), Limit: 10}, kind: errs.TooLarge},
		"a key that became worthless": {part: media.Part{Body: bytes.NewReader(big), Limit: 10 << 20}, kind: errs.Unauthenticated, wrong: func(w *world, u *media.Upload) {
			u.Enter = func(ctx context.Context, tx *kv.Tx) (*collection.Session, error) {
				return w.layer.Enter(ctx, tx, collection.Caller{Host: "localhost"})
			}
		}},
		"no quorum at its end": {part: media.Part{Body: bytes.NewReader(big), Limit: 10 << 20}, kind: errs.Unavailable, wrong: func(w *world, _ *media.Upload) {
			w.store.FailNext(errs.E(errs.Unavailable, "no leader"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			u := w.upload()
			if _, err := u.Add(context.Background(), part("first", random(300_000))); err != nil {
				t.Fatal(err)
			}
			_, err := u.Add(context.Background(), c.part)
			if err == nil {
				if c.wrong != nil {
					c.wrong(w, u)
				}
				_, err = u.Finish(context.Background())
			}
			if c.is != nil && !errors.Is(err, c.is) || c.is == nil && !errs.Is(err, c.kind) {
				t.Errorf("the error is %v", err)
			}
			u.Abandon(context.Background())
			if keys := w.keys(); keys != "" {
				t.Errorf("left in the store: %s", keys)
			}
		})
	}
}

func TestLostAnswersStoreOnce(t *testing.T) {
	for lost := 1; lost <= 3; lost++ {
		w := newWorld(t)
		u := w.upload()
		w.store.LoseNext(lost) // of the first chunk
		if _, err := u.Add(context.Background(), part("a", random(100))); err != nil {
			t.Fatalf("%d lost: %v", lost, err)
		}
		w.store.LoseNext(1) // of the last transaction
		if _, err := u.Finish(context.Background()); err != nil {
			t.Fatalf("the last answer lost: %v", err)
		}
		if keys := w.keys(); keys != "mfk" {
			t.Errorf("the store holds %s", keys)
		}
	}
}

func TestAnUnknownEndIsFoundOut(t *testing.T) {
	w := newWorld(t)
	u := w.upload()
	if _, err := u.Add(context.Background(), part("a", random(100))); err != nil {
		t.Fatal(err)
	}
	w.store.FailNext(errs.E(errs.Unknown, "the leader is gone")) // and it was not applied
	if _, err := u.Finish(context.Background()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("the error is %v", err)
	}
	if keys := w.keys(); keys != "" {
		t.Errorf("left in the store: %s", keys)
	}
}

func TestConflictsChangeNothing(t *testing.T) {
	w := newWorld(t)
	u := w.upload()
	w.store.ConflictNext(2)
	if _, err := u.Add(context.Background(), part("a", random(600_000))); err != nil {
		t.Fatal(err)
	}
	w.store.ConflictNext(2)
	if _, err := u.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.store.ConflictNext(2)
	f := u.Files()[0]
	w.update(func(tx *kv.Tx) error {
		return media.StorePreview(tx, f, media.Thumbnail, media.Preview{Type: "image/png", Data: []byte("x")}, 0)
	})
	if keys := w.keys(); keys != "mfkkky" {
		t.Errorf("the store holds %s", keys)
	}
	w.store.ConflictNext(2)
	w.update(func(tx *kv.Tx) error { return media.Delete(tx, collection.DefaultDatabase, f.ID) })
	if keys := w.keys(); keys != "" {
		t.Errorf("left in the store: %s", keys)
	}
	if _, err := w.store.DB.Update(context.Background(), func(tx *kv.Tx) error { return media.Delete(tx, collection.DefaultDatabase, f.ID) }); !errs.Is(err, errs.NotFound) {
		t.Errorf("deleted twice: %v", err)
	}
}

func TestAReaderNoticesADeletion(t *testing.T) {
	w := newWorld(t)
	f := w.add(random(3 * media.ChunkSize))
	r := media.NewReader(context.Background(), w.store.DB, f, time.Second)
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	w.update(func(tx *kv.Tx) error { return media.Delete(tx, collection.DefaultDatabase, f.ID) })
	if n, err := io.Copy(io.Discard, r); !errs.Is(err, errs.NotFound) || n != media.ChunkSize-10 || !errs.Is(r.Err(), errs.NotFound) {
		t.Errorf("read %d and then %v", n, err)
	}
	w.update(func(tx *kv.Tx) error { return media.StorePreview(tx, f, media.Web, media.Preview{}, 0) })
	if keys := w.keys(); keys != "" {
		t.Errorf("a preview of a file that is gone was stored: %s", keys)
	}
}

func TestADroppedDatabaseKeepsNothing(t *testing.T) {
	w := newWorld(t)
	other := collection.DrawKey(false)
	suffix, err := w.layer.NewSetting("", collection.SettingHostSuffix, "db.test")
	if err != nil {
		t.Fatal(err)
	}
	w.update(func(tx *kv.Tx) error { return w.layer.Set(tx, suffix) })
	w.update(func(tx *kv.Tx) error { return w.layer.CreateDatabase(tx, "other") })
	w.update(func(tx *kv.Tx) error {
		_, err := w.layer.CreateKey(tx, "other", other, collection.KeySpec{})
		return err
	})
	done, under := w.uploadTo("other", other), w.uploadTo("other", other)
	for _, u := range []*media.Upload{done, under} {
		if _, err := u.Add(context.Background(), part("a", random(600_000))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := done.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.update(func(tx *kv.Tx) error {
		return media.StorePreview(tx, done.Files()[0], media.Web, media.Preview{}, 0)
	})
	kept := w.add(random(10))
	w.update(func(tx *kv.Tx) error {
		ended, err := w.layer.DropDatabase(tx, "other")
		if err == nil && !ended {
			t.Error("the drop takes several steps")
		}
		return err
	})
	if _, err := under.Add(context.Background(), part("b", random(600_000))); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a file for a dropped database: %v", err)
	}
	if _, err := under.Finish(context.Background()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("the end of an upload to a dropped database: %v", err)
	}
	if keys := w.keys(); keys != "mfk" || w.get(kept.ID) == nil {
		t.Errorf("the store holds %s", keys)
	}
}
