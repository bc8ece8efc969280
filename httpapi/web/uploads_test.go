package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// uploading serves bodies of up to 32 MiB and answers their length.
func uploading(u *Uploads) http.Handler {
	api := &API{Name: "test", Log: slog.New(slog.DiscardHandler), Uploads: u, Answer: func(w http.ResponseWriter, _ *http.Request, f Failure) {
		w.WriteHeader(f.Status)
	}}
	return api.Handler(func(w http.ResponseWriter, r *http.Request) error {
		body, err := ReadBody(r, 32<<20)
		if err != nil {
			return err
		}
		w.Header().Set("Length", strconv.Itoa(len(body)))
		return nil
	})
}

func TestLargeBodiesShareTheirMemory(t *testing.T) {
	u := NewUploads()
	h := uploading(u)
	send := func(ctx context.Context, length int, known bool) int {
		var body io.Reader = bytes.NewReader(make([]byte, length))
		if !known {
			body = io.MultiReader(body)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", "/", body))
		return w.Code
	}
	if err := u.room.Acquire(t.Context(), largeBodies-2*largeBody); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel() // waits no time
	for _, tt := range []struct {
		what   string
		length int
		known  bool
		want   int
	}{
		{"as large as there is room", 2 * largeBody, true, 200},
		{"again, as the room was given back", 2 * largeBody, true, 200},
		{"larger", 2*largeBody + 1, true, 503},
		{"small", largeBody - 1, true, 200},
		{"small and of unknown length", largeBody - 1, false, 200},
		{"large and of unknown length", largeBody, false, 503},
		{"larger than all", 33 << 20, true, 413},
	} {
		ctx := t.Context()
		if tt.want == 503 {
			ctx = gone
		}
		if got := send(ctx, tt.length, tt.known); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.what, got, tt.want)
		}
	}
	u.room.Release(largeBodies - 2*largeBody)
	if !u.room.TryAcquire(largeBodies) {
		t.Error("some request kept its room")
	}
}

func TestABrokenUploadGivesItsRoomBack(t *testing.T) {
	u := NewUploads()
	r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader("x"), iotest.ErrReader(errors.New("cut"))))
	r.ContentLength = 8 << 20
	w := httptest.NewRecorder()
	uploading(u).ServeHTTP(w, r)
	if w.Code != 400 || !u.room.TryAcquire(largeBodies) {
		t.Errorf("answered %d, or room is missing", w.Code)
	}
}
