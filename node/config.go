package node

import (
	"crypto/tls"
	"log/slog"
	"net"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/raftlog"
	"github.com/coveydb/covey/node/room"
)

// Config says who a node is, where it lives and whom it joins. Zero values of
// what is not marked required are the defaults.
type Config struct {
	ID      string // required; its name in the cluster for ever
	DataDir string // required; made if it is missing
	Release string // of this binary, shown to the other members

	PeerAddr   string // required; host:port of Raft and peer calls
	GossipAddr string // required; host:port, TCP and UDP
	HTTPAddr   string // told to the other members
	Advertise  string // host or IP that members reach this node by; default: the host of PeerAddr

	BootstrapExpect int      // form the first cluster once so many nodes see each other; 0 = never
	Join            []string // gossip addresses of some members
	NonVoter        bool     // serve reads, take no part in elections and quorums

	RaftLog   raftlog.Kind  // default raftlog.WAL
	Heartbeat time.Duration // Raft's heartbeat and election time-out, default 1 s
	StableFor time.Duration // how long a new member must keep up before it votes, default 10 s

	Watermark room.Watermark        // of free space, below which no data is added; zero = the least one
	Vital     func(key []byte) bool // of records that are written as long as possible; nil: of none

	Own []command.Span // records about this cluster itself: a restore leaves them as they are; ascending and apart from each other

	TLS        func() *tls.Config // between peers, asked for each connection (transport.Config); nil is plain TCP
	GossipKeys [][]byte           // 16, 24 or 32 bytes each; the first one sends; none is plain text

	Logger  *slog.Logger          // default slog.Default()
	Metrics prometheus.Registerer // nil: not measured

	SnapshotEvery uint64 // log entries between snapshots, default 8192; tests set it
	TrailingLogs  uint64 // log entries kept behind a snapshot, default 10240; tests set it

	// SnapshotCheck is the time between looks whether a snapshot is due, up to
	// twice as long by chance. Default 10 s; tests set it.
	SnapshotCheck time.Duration
}

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Check says what is wrong, naming the flag. It opens and reads nothing.
func (c *Config) Check() error {
	switch {
	case !validID.MatchString(c.ID):
		return errs.E(errs.Invalid, "node id %q: --id takes 1 to 64 letters, digits, dots, dashes and underscores, and begins with a letter or digit", c.ID)
	case c.DataDir == "":
		return errs.E(errs.Invalid, "no data folder: set --data-dir")
	case c.BootstrapExpect < 0 || c.BootstrapExpect > 9:
		return errs.E(errs.Invalid, "--bootstrap-expect %d: it is the number of nodes that form the first cluster, 1 to 9", c.BootstrapExpect)
	case c.NonVoter && c.BootstrapExpect > 0:
		return errs.E(errs.Invalid, "--non-voter and --bootstrap-expect exclude each other: a non-voter joins a cluster that exists")
	}
	for _, a := range []struct{ flag, addr string }{{"--peer-addr", c.PeerAddr}, {"--gossip-addr", c.GossipAddr}} {
		if _, _, err := net.SplitHostPort(a.addr); err != nil {
			return errs.E(errs.Invalid, "%s %q: host:port is needed", a.flag, a.addr)
		}
	}
	if c.Heartbeat != 0 && (c.Heartbeat < 50*time.Millisecond || c.Heartbeat > time.Minute) {
		return errs.E(errs.Invalid, "--heartbeat %v: 50ms to 1m", c.Heartbeat)
	}
	if host, _, _ := net.SplitHostPort(c.PeerAddr); c.Advertise == "" && everyHost(host) {
		return errs.E(errs.Invalid, "--peer-addr %s is every interface of this machine and none that members can dial: set --advertise to the name or IP they reach this node by", c.PeerAddr)
	}
	return nil
}

// complete says what is wrong and fills in the defaults.
func (c *Config) complete() error {
	if err := c.Check(); err != nil {
		return err
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = time.Second
	}
	if c.StableFor == 0 {
		c.StableFor = 10 * time.Second
	}
	if c.RaftLog == "" {
		c.RaftLog = raftlog.WAL
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.SnapshotEvery == 0 {
		c.SnapshotEvery = 8192
	}
	if c.TrailingLogs == 0 {
		c.TrailingLogs = 10240
	}
	if c.SnapshotCheck == 0 {
		c.SnapshotCheck = 10 * time.Second
	}
	return nil
}

// advertised returns bound, the address that was really listened on, as the
// other members shall see it.
func (c *Config) advertised(bound string) (string, error) {
	host, port, err := net.SplitHostPort(bound)
	if err != nil {
		return "", err
	}
	if c.Advertise != "" {
		host = c.Advertise
	}
	if everyHost(host) {
		return "", errs.E(errs.Invalid, "address %s is every interface of this machine and none that members can dial: set --advertise to the name or IP they reach this node by", bound)
	}
	return net.JoinHostPort(host, port), nil
}

// everyHost reports whether host means all addresses of the machine.
func everyHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}
