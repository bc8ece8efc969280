package cluster

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
)

var fullMeta = Meta{
	ClusterID: ID{1, 2, 3}, PeerAddr: "p:1", HTTPAddr: "h:2", NonVoter: true, BootstrapExpect: 3, HasState: true,
	Choice: 0x0102030405060708, Keys: [MaxKeys]KeyPrint{{1}, {2}}, Formats: Formats{Log: 4, Stream: 5}, Release: "v1.2.3",
}

func TestMetaBytes(t *testing.T) {
	p, err := fullMeta.append(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := "01" + // version
		"0110" + "01020300000000000000000000000000" + // cluster
		"0203" + "703a31" + "0303" + "683a32" + "0806" + "76312e322e33" + // addresses, release
		"0401" + "03" + "0502" + "0003" + "0608" + "0102030405060708" + "0702" + "0405" + // flags, expect, choice, formats
		"0910" + "0100000000000000" + "0200000000000000" // keys
	if diff := cmp.Diff(want, hex.EncodeToString(p)); diff != "" {
		t.Errorf("the encoding changed (-want +got):\n%s", diff)
	}
	if got, err := decodeMeta(p); err != nil || got != fullMeta {
		t.Errorf("got %+v, %v, want %+v", got, err, fullMeta)
	}
	if p, err := (Meta{NodeID: "n1"}).append(nil); err != nil || len(p) != 1 {
		t.Errorf("an empty meta: % x, %v, want one byte", p, err)
	}
}

func TestMetaOfANewerNodeIsRead(t *testing.T) {
	p, err := fullMeta.append(nil)
	if err != nil {
		t.Fatal(err)
	}
	p[0] = 9                              // a later version
	p = append(p, 200, 2, 'x', 'y')       // a field of it
	p = append(p, tagFormats, 3, 6, 7, 8) // a field that has grown
	want := fullMeta
	want.Formats = Formats{6, 7}
	if got, err := decodeMeta(p); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestBadMetaIsRefused(t *testing.T) {
	for name, p := range map[string]string{
		"nothing": "", "version 0": "\x00", "a tag alone": "\x01\x02", "a value cut short": "\x01\x02\x05abc",
		"a short cluster id": "\x01\x01\x02ab", "no flags": "\x01\x04\x00", "a short choice": "\x01\x06\x01a",
		"a huge expectation": "\x01\x05\x02\xff\xff", "too long": "\x01" + strings.Repeat("\xff\x01a", 200),
	} {
		if m, err := decodeMeta([]byte(p)); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: got %+v, %v, want invalid", name, m, err)
		}
	}
	for name, m := range map[string]Meta{
		"a long address":       {PeerAddr: strings.Repeat("a", 256)},
		"long addresses":       {PeerAddr: strings.Repeat("a", 255), HTTPAddr: strings.Repeat("a", 255)},
		"a negative expection": {BootstrapExpect: -1},
	} {
		if _, err := m.append(nil); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
}

func FuzzDecodeMeta(f *testing.F) {
	p, err := fullMeta.append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p)
	f.Add([]byte{1})
	f.Add([]byte{9, 200, 1, 0, 2, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		m, err := decodeMeta(p)
		if err != nil {
			return
		}
		again, err := m.append(nil)
		if err != nil {
			t.Fatalf("%+v was read from % x and cannot be written: %v", m, p, err)
		}
		if got, err := decodeMeta(again); err != nil || got != m {
			t.Errorf("% x was read as %+v, and that as %+v, %v", p, m, got, err)
		}
	})
}

func TestCheckAdvertised(t *testing.T) {
	for addr, ok := range map[string]bool{
		"10.0.0.1:8701": true, "n1.example:8701": true, "[fd00::1]:8701": true,
		"0.0.0.0:8701": false, "[::]:8701": false, ":8701": false, "n1": false, "n1:0": false, "n1:": false, "": false,
	} {
		if err := CheckAdvertised("peer address", addr); (err == nil) != ok || err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: got %v, want ok = %v", addr, err, ok)
		}
	}
	err := CheckAdvertised("peer address", "0.0.0.0:8701")
	if want := "--advertise"; !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not name %s", err, want)
	}
}

func TestIDText(t *testing.T) {
	id := NewID()
	if got, err := ParseID(id.String()); err != nil || got != id || id.IsZero() || id == NewID() {
		t.Errorf("%v was read as %v, %v", id, got, err)
	}
	for _, bad := range []string{"", "12", strings.Repeat("g", 32), strings.Repeat("0", 34)} {
		if _, err := ParseID(bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: got %v, want invalid", bad, err)
		}
	}
	if (ID{}).String() != "" {
		t.Error("the zero id has a text")
	}
}
