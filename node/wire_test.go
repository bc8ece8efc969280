package node

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/node/room"
)

func TestPeerCallsSurviveTheWire(t *testing.T) {
	q := proposeRequest{term: 300, command: []byte("c")}
	if got, err := decodePropose(q.append(nil)); err != nil || !cmp.Equal(got, q, cmp.AllowUnexported(q)) {
		t.Errorf("got %+v, %v", got, err)
	}
	s := standing{term: 1, wall: -2, used: 3, last: 400, applied: 5, version: 1 << 60, room: stock{level: room.Scarce, free: 1 << 40, need: 7}, blank: true}
	if got, err := decodeStanding(append(s.append(nil), "of a newer release"...)); err != nil || got != s {
		t.Errorf("got %+v, %v", got, err)
	}
	old := s.append(nil) // of a release that did not tell whether it is blank
	s.blank = false
	if got, err := decodeStanding(old[:len(old)-1]); err != nil || got != s {
		t.Errorf("got %+v, %v", got, err)
	}
	p := pointReply{point{version: 7, now: -8}, position{9, 1 << 40}}
	if got, err := decodePointReply(p.append(nil)); err != nil || got != p {
		t.Errorf("got %+v, %v", got, err)
	}
	a := proposeReply{position{3, 4}, command.Result{Outcome: command.Applied, Version: 5}}
	if got, err := decodeProposeReply(a.append(nil)); err != nil || got.at != a.at || got.result.Version != 5 {
		t.Errorf("got %+v, %v", got, err)
	}
	r := termRequest{now: 9, leader: leaderAt{term: 300, index: 2, version: 1 << 60, wall: -4, last: 300}}
	if got, err := decodeTermRequest(append(r.append(nil), "of a newer release"...)); err != nil || got != r {
		t.Errorf("got %+v, %v", got, err)
	}
	older := []byte{wireVersion, 18} // of a release whose leader did not tell where it is
	if got, err := decodeTermRequest(older); err != nil || got != (termRequest{now: 9}) {
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
			func(p []byte) error { _, err := decodePointReply(p); return err },
			func(p []byte) error { _, err := decodeProposeReply(p); return err },
			func(p []byte) error { _, err := decodeTermRequest(p); return err },
		} {
			if decode(p) == nil && (len(p) < 2 || p[0] < wireVersion) {
				t.Errorf("%x was taken for a call", p)
			}
		}
	})
}
