package node

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPeerCallsSurviveTheWire(t *testing.T) {
	q := proposeRequest{term: 300, command: []byte("c")}
	if got, err := decodePropose(q.append(nil)); err != nil || !cmp.Equal(got, q, cmp.AllowUnexported(q)) {
		t.Errorf("got %+v, %v", got, err)
	}
	s := standing{term: 1, wall: -2, used: 3, last: 400, applied: 5, version: 1 << 60}
	if got, err := decodeStanding(append(s.append(nil), "of a newer release"...)); err != nil || got != s {
		t.Errorf("got %+v, %v", got, err)
	}
	p := point{version: 7, now: -8}
	if got, err := decodePoint(p.append(nil)); err != nil || got != p {
		t.Errorf("got %+v, %v", got, err)
	}
	r := termRequest{now: 9}
	if got, err := decodeTermRequest(r.append(nil)); err != nil || got != r {
		t.Errorf("got %+v, %v", got, err)
	}
}

func FuzzPeerCallsNeverPanic(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{wireVersion})
	f.Add(standing{term: 1 << 60}.append(nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		if q, err := decodePropose(p); err == nil && len(q.command) > len(p) {
			t.Error("a command longer than the call")
		}
		for _, decode := range []func([]byte) error{
			func(p []byte) error { _, err := decodeStanding(p); return err },
			func(p []byte) error { _, err := decodePoint(p); return err },
			func(p []byte) error { _, err := decodeTermRequest(p); return err },
		} {
			if decode(p) == nil && (len(p) < 2 || p[0] < wireVersion) {
				t.Errorf("%x was taken for a call", p)
			}
		}
	})
}
