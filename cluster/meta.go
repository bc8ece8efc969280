package cluster

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/coveydb/covey/internal/errs"
)

// Meta is what a node tells all others about itself.
type Meta struct {
	NodeID    string // travels as the gossip name, not in the encoding
	ClusterID ID     // zero = of no cluster yet
	PeerAddr  string // host:port for Raft and calls
	HTTPAddr  string // host:port for clients
	NonVoter  bool   // does not want to vote

	// BootstrapExpect is the --bootstrap-expect of a node that may help to form
	// the first cluster, 0 = none.
	BootstrapExpect int
	HasState        bool // its data folder holds a Raft state, so it is not new
	Draining        bool // it is about to stop: it shall not lead, and clients leave it

	// Choice is what the node would form the first cluster of, see choose; 0 =
	// nothing now. Gossip sets it.
	Choice uint64

	// Keys are the gossip keys that the node holds, the one it sends with first.
	// Gossip sets it.
	Keys [MaxKeys]KeyPrint

	// Supersedes is the last cluster that the node's own has taken the place of;
	// zero if there was none.
	Supersedes Superseded

	Formats Formats // the newest that it can read
	Release string
}

// The encoding is one byte of version, then fields: tag, length, value; a
// field that has its zero value is left out. Only fields may be added: readers
// skip tags that they do not know, and read any version from 1 on alike.
const (
	metaVersion = 1
	metaLimit   = 512 // memberlist's
)

const (
	tagCluster byte = iota + 1
	tagPeerAddr
	tagHTTPAddr
	tagFlags
	tagExpect
	tagChoice
	tagFormats
	tagRelease
	tagKeys
	tagSupersedes
)

// fieldLeast is the least length of each field's value.
var fieldLeast = [...]int{tagCluster: len(ID{}), tagFlags: 1, tagExpect: 2, tagChoice: 8, tagFormats: 2, tagRelease: 0, tagKeys: 0, tagSupersedes: len(ID{}) + 8}

const (
	flagNonVoter byte = 1 << iota
	flagHasState
	flagDraining
)

const maxExpect = 1 << 10

// append encodes m. The error is errs.Invalid if m does not fit or holds what
// cannot be encoded.
func (m Meta) append(dst []byte) ([]byte, error) {
	if m.BootstrapExpect < 0 || m.BootstrapExpect > maxExpect {
		return nil, errs.E(errs.Invalid, "node %s: --bootstrap-expect %d is outside of 0..%d", m.NodeID, m.BootstrapExpect, maxExpect)
	}
	start := len(dst)
	dst = append(dst, metaVersion)
	field := func(tag byte, value []byte) {
		dst = append(append(dst, tag, byte(len(value))), value...)
	}
	if !m.ClusterID.IsZero() {
		field(tagCluster, m.ClusterID[:])
	}
	for _, f := range []struct {
		tag  byte
		text string
	}{{tagPeerAddr, m.PeerAddr}, {tagHTTPAddr, m.HTTPAddr}, {tagRelease, m.Release}} {
		if len(f.text) > 255 {
			return nil, errs.E(errs.Invalid, "node %s: an address or release of %d bytes cannot be gossiped", m.NodeID, len(f.text))
		}
		if f.text != "" {
			field(f.tag, []byte(f.text))
		}
	}
	if f := m.flags(); f != 0 {
		field(tagFlags, []byte{f})
	}
	if m.BootstrapExpect != 0 {
		field(tagExpect, binary.BigEndian.AppendUint16(nil, uint16(m.BootstrapExpect)))
	}
	if m.Choice != 0 {
		field(tagChoice, binary.BigEndian.AppendUint64(nil, m.Choice))
	}
	if m.Formats != (Formats{}) {
		field(tagFormats, []byte{m.Formats.Log, m.Formats.Stream})
	}
	if m.Supersedes != (Superseded{}) {
		field(tagSupersedes, m.Supersedes.append(nil))
	}
	if p := appendPrints(nil, m.Keys); len(p) > 0 {
		field(tagKeys, p)
	}
	if n := len(dst) - start; n > metaLimit {
		return nil, errs.E(errs.Invalid, "node %s: its addresses take %d bytes of gossip, %d are allowed", m.NodeID, n, metaLimit)
	}
	return dst, nil
}

func (m Meta) flags() (f byte) {
	if m.NonVoter {
		f |= flagNonVoter
	}
	if m.HasState {
		f |= flagHasState
	}
	if m.Draining {
		f |= flagDraining
	}
	return f
}

// decodeMeta reads what append wrote, and what a newer node's append wrote as
// far as it is known here. A field longer than expected is read by its
// beginning. The caller sets NodeID.
func decodeMeta(p []byte) (Meta, error) {
	if len(p) == 0 || p[0] < metaVersion || len(p) > metaLimit {
		return Meta{}, errs.E(errs.Invalid, "gossip meta of %d bytes is not covey's", len(p))
	}
	var m Meta
	for p = p[1:]; len(p) > 0; {
		if len(p) < 2 || len(p) < 2+int(p[1]) {
			return Meta{}, errs.E(errs.Invalid, "gossip meta is cut short")
		}
		tag, value := p[0], p[2:2+int(p[1])]
		if !m.set(tag, value) {
			return Meta{}, errs.E(errs.Invalid, "gossip meta: field %d of %d bytes is too short", tag, len(value))
		}
		p = p[2+int(p[1]):]
	}
	if m.BootstrapExpect > maxExpect {
		return Meta{}, errs.E(errs.Invalid, "gossip meta: %d nodes expected, at most %d may be", m.BootstrapExpect, maxExpect)
	}
	return m, nil
}

// set takes one field's value, and reports false if it is too short.
func (m *Meta) set(tag byte, v []byte) bool {
	if int(tag) < len(fieldLeast) && len(v) < fieldLeast[tag] {
		return false
	}
	switch tag {
	case tagCluster:
		copy(m.ClusterID[:], v)
	case tagPeerAddr:
		m.PeerAddr = string(v)
	case tagHTTPAddr:
		m.HTTPAddr = string(v)
	case tagRelease:
		m.Release = string(v)
	case tagFlags:
		m.NonVoter, m.HasState, m.Draining = v[0]&flagNonVoter != 0, v[0]&flagHasState != 0, v[0]&flagDraining != 0
	case tagExpect:
		m.BootstrapExpect = int(binary.BigEndian.Uint16(v))
	case tagChoice:
		m.Choice = binary.BigEndian.Uint64(v)
	case tagFormats:
		m.Formats = Formats{Log: v[0], Stream: v[1]}
	case tagSupersedes:
		m.Supersedes = decodeSuperseded(v)
	case tagKeys:
		m.Keys = readPrints(v)
	}
	return true
}

// CheckAdvertised returns errs.Invalid unless addr is a host:port that other
// nodes can dial: not an unspecified address such as 0.0.0.0, not port 0.
// what names the address in the error, such as "peer address".
func CheckAdvertised(what, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errs.E(errs.Invalid, "%s %q: host:port is needed", what, addr)
	}
	ip, err := netip.ParseAddr(host)
	if host == "" || err == nil && ip.IsUnspecified() {
		return errs.E(errs.Invalid, "%s %s cannot be advertised: it means every address of this host, and no other node can dial it; name the one that peers reach with --advertise", what, addr)
	}
	if port == "" || port == "0" {
		return errs.E(errs.Invalid, "%s %s cannot be advertised: it has no port", what, addr)
	}
	return nil
}
