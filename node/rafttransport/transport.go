package rafttransport

import (
	"io"
	"net"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/internal/errs"
)

// ErrMute is what Raft gets for a request that is held back; see Options.Mute.
var ErrMute = errs.E(errs.Unavailable, "raft transport: this member is mute: its disk is stalled")

// ErrCrammed is what a leader gets for entries or a snapshot that a member has
// no room for; see Options.Crammed.
var ErrCrammed = errs.E(errs.NoSpace, "raft transport: this member has no room for more: its disk is full")

// ErrBlank is what a candidate gets from a member that must not vote yet, and a
// member that must not campaign yet; see Options.Blank.
var ErrBlank = errs.E(errs.Unavailable, "raft transport: this member began with an empty data folder and votes when a leader has brought it up")

// Inner is what Wrap needs of a transport: what raft.NewRaft asks for, and the
// two optional interfaces it looks for with a type assertion. A transport
// without them would lose pre-votes or leak connections in silence, so they are
// not optional here.
type Inner interface {
	raft.Transport
	raft.WithPreVote
	raft.WithClose
}

// Transport is a raft.Transport, raft.WithPreVote and raft.WithClose. It is safe
// for concurrent use.
type Transport struct {
	inner Inner
	mute  func() bool
	blank func(last uint64) bool
	relay *relay
}

// Wrap returns a transport in front of inner, which it owns from then on. mute
// is asked before each request; nil means never. last tells the index of the
// last entry in this member's log; nil means that it is not known. Neither may
// block.
func Wrap(inner Inner, mute func() bool, last func() uint64) *Transport {
	return wrap(inner, Options{Mute: mute, Last: last})
}

func wrap(inner Inner, o Options) *Transport {
	o = o.complete()
	return &Transport{inner: inner, mute: o.Mute, blank: o.Blank, relay: startRelay(inner.Consumer(), o)}
}

// complete fills in what may be asked or told and nobody wants to be.
func (o Options) complete() Options {
	no := func() bool { return false }
	if o.Mute == nil {
		o.Mute = no
	}
	if o.Crammed == nil {
		o.Crammed = no
	}
	if o.Blank == nil {
		o.Blank = func(uint64) bool { return false }
	}
	if o.Last == nil {
		o.Last = func() uint64 { return 0 }
	}
	if o.Installing == nil {
		o.Installing = func(uint64) {}
	}
	return o
}

// Committed tells this member's Raft what its leader told in another way; see
// Notice. It does not block.
func (t *Transport) Committed(n Notice) { t.relay.notice(n) }

// SetHeartbeatHandler does nothing, and that is the point of it.
func (t *Transport) SetHeartbeatHandler(func(raft.RPC)) {}

// AppendEntriesPipeline always declines, which tells Raft to send one append at
// a time.
func (t *Transport) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

// AppendEntries sends entries or a heartbeat. It returns ErrMute while mute.
func (t *Transport) AppendEntries(id raft.ServerID, to raft.ServerAddress, q *raft.AppendEntriesRequest, a *raft.AppendEntriesResponse) error {
	if t.mute() {
		return ErrMute
	}
	return t.inner.AppendEntries(id, to, q, a)
}

// RequestVote asks for a vote. It returns ErrMute while mute.
func (t *Transport) RequestVote(id raft.ServerID, to raft.ServerAddress, q *raft.RequestVoteRequest, a *raft.RequestVoteResponse) error {
	if t.mute() {
		return ErrMute
	}
	if t.blank(q.LastLogIndex) {
		return ErrBlank
	}
	return t.inner.RequestVote(id, to, q, a)
}

// RequestPreVote asks whether a vote would be given. It returns ErrMute while
// mute, so a member on a stalled disk does not even raise its term.
func (t *Transport) RequestPreVote(id raft.ServerID, to raft.ServerAddress, q *raft.RequestPreVoteRequest, a *raft.RequestPreVoteResponse) error {
	if t.mute() {
		return ErrMute
	}
	if t.blank(q.LastLogIndex) {
		return ErrBlank
	}
	return t.inner.RequestPreVote(id, to, q, a)
}

// InstallSnapshot sends a snapshot. It returns ErrMute while mute.
func (t *Transport) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, q *raft.InstallSnapshotRequest, a *raft.InstallSnapshotResponse, data io.Reader) error {
	if t.mute() {
		return ErrMute
	}
	return t.inner.InstallSnapshot(id, to, q, a, data)
}

// TimeoutNow hands the leadership on. It goes out even while mute: that is what
// a leader on a stalled disk should do.
func (t *Transport) TimeoutNow(id raft.ServerID, to raft.ServerAddress, q *raft.TimeoutNowRequest, a *raft.TimeoutNowResponse) error {
	return t.inner.TimeoutNow(id, to, q, a)
}

// Consumer returns the channel of requests from other members, and of notices.
func (t *Transport) Consumer() <-chan raft.RPC { return t.relay.to }

// LocalAddr returns the address under which other members reach this one.
func (t *Transport) LocalAddr() raft.ServerAddress { return t.inner.LocalAddr() }

// EncodePeer returns the address of a member as it goes into a request.
func (t *Transport) EncodePeer(id raft.ServerID, addr raft.ServerAddress) []byte {
	return t.inner.EncodePeer(id, addr)
}

// DecodePeer reverses EncodePeer.
func (t *Transport) DecodePeer(p []byte) raft.ServerAddress { return t.inner.DecodePeer(p) }

// Close closes the transport below. Raft calls it when it shuts down.
func (t *Transport) Close() error {
	t.relay.close()
	return t.inner.Close()
}

// Streams are the connections between members. Accept must return once Close
// has been called.
type Streams interface {
	Accept() (net.Conn, error)
	Close() error
	Addr() net.Addr
	Dial(address string, timeout time.Duration) (net.Conn, error)
}

// Options describes a transport over a network. Streams is required; other zero
// values stand for the defaults named.
type Options struct {
	Streams   Streams
	Advertise string // Streams.Addr(): the address that other members are told

	// Address returns where a member is now, or false if that is not known; then
	// the address in Raft's configuration is dialled. It must not block. Members
	// keep their id and may all change their address at once.
	Address func(id raft.ServerID) (raft.ServerAddress, bool)

	Timeout time.Duration // 10 s: for a request; for a snapshot as often as it has 256 KiB
	MaxPool int           // 3: idle connections kept to each member
	Logger  hclog.Logger  // hclog's default
	Last    func() uint64 // of the index of the last entry in the log; without it notices wait for an append
	Mute    func() bool   // never; see the package's description

	// Crammed says that there is no room for entries: they, and snapshots, are
	// refused before Raft gets them, while heartbeats and votes go on. It must not
	// block. Nil: there always is.
	Crammed func() bool

	// Blank says that this member must not vote for a candidate, nor be one, whose
	// log ends at index last: it may have forgotten what it acknowledged. It may
	// write to the disk, as a vote does. Nil: it forgets nothing.
	Blank func(last uint64) bool

	// Installing is told of each snapshot that another member begins to send, by
	// the index of its last entry. It must not block.
	Installing func(index uint64)
}

// New starts a transport over o.Streams, which it closes with itself.
func New(o Options) (*Transport, error) {
	if o.Streams == nil {
		return nil, errs.E(errs.Internal, "raft transport: no streams")
	}
	if o.Advertise == "" {
		o.Advertise = o.Streams.Addr().String()
	}
	if err := checkAdvertised(o.Advertise); err != nil {
		return nil, err
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.MaxPool == 0 {
		o.MaxPool = 3
	}
	config := &raft.NetworkTransportConfig{
		Stream:  layer{o.Streams, address(o.Advertise)},
		Logger:  o.Logger,
		MaxPool: o.MaxPool,
		Timeout: o.Timeout,
		// 1 makes NetworkTransport decline pipelines; 0 would mean its default of
		// 2. Transport declines them as well, for transports without such a knob.
		MaxRPCsInFlight: 1,
	}
	if o.Address != nil {
		config.ServerAddressProvider = provider(o.Address)
	}
	return wrap(raft.NewNetworkTransportWithConfig(config), o), nil
}

// checkAdvertised refuses what no other member could dial.
func checkAdvertised(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errs.E(errs.Invalid, "peer address %q: want host:port: %w", addr, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return errs.E(errs.Invalid, "peer address %q names no host: set the address that other members can reach", addr)
	}
	if port == "" || port == "0" {
		return errs.E(errs.Invalid, "peer address %q has no port: set the one that other members can reach", addr)
	}
	return nil
}

// layer is Streams as a raft.StreamLayer, under the advertised address.
type layer struct {
	Streams
	advertised address
}

func (l layer) Addr() net.Addr { return l.advertised }

func (l layer) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return l.Streams.Dial(string(to), timeout)
}

// address is a TCP address that may be a name.
type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }

// provider is a lookup as a raft.ServerAddressProvider.
type provider func(raft.ServerID) (raft.ServerAddress, bool)

func (p provider) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	if addr, ok := p(id); ok {
		return addr, nil
	}
	return "", errs.E(errs.NotFound, "no address of member %s is known", id)
}
