package transport

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendFrame(nil, frame{id: 1, kind: kindPing}))
	f.Add(appendFrame(appendFrame(nil, frame{id: 1 << 60, kind: 1, body: []byte("body")}), frame{kind: kindReply}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 1})
	f.Fuzz(func(t *testing.T, p []byte) {
		r := bufio.NewReader(bytes.NewReader(p))
		var again []byte
		for {
			got, err := readFrame(r, 1<<12)
			if err != nil {
				if err == io.EOF && len(again) != len(p) {
					t.Errorf("io.EOF after %d of %d bytes", len(again), len(p))
				}
				break
			}
			if got.size()-4 > 1<<12 {
				t.Errorf("a frame of %d bytes passed the limit", got.size())
			}
			again = appendFrame(again, got)
		}
		if !bytes.HasPrefix(p, again) {
			t.Errorf("% x was read as % x", p, again)
		}
	})
}

func FuzzReadHello(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(appendHello(nil, hello{protocol: protocol, service: serviceRaft, cluster: clusterA, from: "n1", to: "n2"}))
	f.Add(appendHello(nil, hello{protocol: 9}))
	f.Fuzz(func(t *testing.T, p []byte) {
		r := bytes.NewReader(p)
		h, err := readHello(r)
		if err != nil {
			return
		}
		if a := judge(h, "me", clusterA); len(appendAnswer(nil, a)) > 3+maxText {
			t.Errorf("an answer of %d bytes", len(a.text))
		}
		if h.protocol != protocol {
			return // nothing more is known of it
		}
		if len(h.from) > maxNodeID || len(h.to) > maxNodeID {
			t.Errorf("ids of %d and %d bytes", len(h.from), len(h.to))
		}
		if read := len(p) - r.Len(); !bytes.Equal(appendHello(nil, h), p[:read]) {
			t.Errorf("% x was read as %+v", p[:read], h)
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	f.Add(appendAnswer(nil, answer{statusCluster, "another cluster"}))
	f.Add([]byte{0, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, p []byte) {
		r := bytes.NewReader(p)
		a, err := readAnswer(r)
		if err == nil && !bytes.Equal(appendAnswer(nil, a), p[:len(p)-r.Len()]) {
			t.Errorf("% x was read as %+v", p, a)
		}
	})
}

func TestHandshakeBytes(t *testing.T) {
	h := hello{protocol: protocol, service: serviceCalls, cluster: clusterA, from: "n1", to: strings.Repeat("z", maxNodeID)}
	want := "COVEY\x01\x02\x01\x02\x03" + strings.Repeat("\x00", 13) + "\x02n1\x80" + h.to
	if diff := cmp.Diff(want, string(appendHello(nil, h))); diff != "" {
		t.Errorf("hello (-want +got):\n%s", diff)
	}
	a := appendAnswer(nil, answer{statusNode, strings.Repeat("x", 2*maxText)})
	if got, err := readAnswer(bytes.NewReader(a)); err != nil || len(got.text) != maxText {
		t.Errorf("a long text: %d bytes, %v, want it cut at %d", len(got.text), err, maxText)
	}
}

func TestFrameBytes(t *testing.T) {
	got := string(appendFrame(nil, frame{id: 0x0102, kind: byte(ReadPoint), body: []byte("hi")}))
	if want := "\x00\x00\x00\x0b\x00\x00\x00\x00\x00\x00\x01\x02\x02hi"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAClaimedLengthAllocatesLittle(t *testing.T) {
	src := &measured{left: readAhead + 1}
	if _, err := readBody(src, 1<<30); err == nil {
		t.Fatal("a body cut short was read")
	}
	if src.widest > 2*readAhead {
		t.Errorf("a buffer of %d bytes was made for a body that ended after %d", src.widest, readAhead+1)
	}
	body, err := readBody(zeros{}, 5<<20+3)
	if err != nil || len(body) != 5<<20+3 {
		t.Errorf("got %d bytes, %v", len(body), err)
	}
}

// measured has left bytes to give and notes the widest buffer it was offered.
type measured struct{ left, widest int }

func (m *measured) Read(p []byte) (int, error) {
	m.widest = max(m.widest, len(p))
	n := min(len(p), m.left)
	m.left -= n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// BenchmarkCall is 64 callers on one connection, 128 bytes each way.
func BenchmarkCall(b *testing.B) {
	for _, c := range []struct {
		name string
		call Call
	}{{"propose", Propose}, {"term", Term}} {
		b.Run(c.name, func(b *testing.B) {
			there := listen(b, "b", nil)
			here := listen(b, "a", knows("b", there))
			body := make([]byte, 128)
			b.SetParallelism(32) // 64 callers on 2 cores
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := here.Call(context.Background(), "b", c.call, body); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
