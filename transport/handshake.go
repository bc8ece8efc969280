package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// The first bytes of a connection, from the node that dialed:
//
//	magic    5  "COVEY"
//	protocol 1
//	service  1  what the connection is for
//	cluster 16  the sender's cluster
//	from        1 byte of length, then the sender's node id
//	to          1 byte of length, then the wanted receiver's node id; may be empty
//
// and the answer: 1 byte of status, 2 bytes of length, a text for people.
const (
	magic    = "COVEY"
	protocol = 1

	maxNodeID = 128
	maxText   = 512
)

type service byte

const (
	serviceRaft  service = 1 // a stream for Raft
	serviceCalls service = 2 // frames
)

type status byte

const (
	statusOK         status = 0
	statusProtocol   status = 1 // the receiver speaks another protocol
	statusService    status = 2 // the receiver knows no such service
	statusCluster    status = 3 // the receiver is of another cluster
	statusNode       status = 4 // the receiver is another node
	statusNotJoined  status = 5 // the receiver is of no cluster yet
	statusOverloaded status = 6 // the receiver has too many connections

	statusCertificate status = 7 // the sender's certificate is not that of the node that it says it is
	statusSuperseded  status = 8 // the sender is of a cluster whose place the receiver's has taken
)

// errStranger is the error of bytes that are no handshake of ours; they get no answer.
var errStranger = errors.New("the first bytes are not those of a covey node")

// errSecure is the error of a peer that begins a TLS handshake (RFC 8446, 5.1)
// with a node that has no certificate.
var errSecure = errors.New("it speaks TLS and this node does not: give --peer-ca, --peer-cert and --peer-key")

type hello struct {
	protocol byte
	service  service
	cluster  [16]byte
	from, to string
}

func appendHello(dst []byte, h hello) []byte {
	dst = append(dst, magic...)
	dst = append(dst, h.protocol, byte(h.service))
	dst = append(dst, h.cluster[:]...)
	dst = append(append(dst, byte(len(h.from))), h.from...)
	return append(append(dst, byte(len(h.to))), h.to...)
}

// readHello reads a handshake and not one byte more: what follows is the
// service's. Of a newer protocol it reads only the part that will never
// change, magic and protocol.
func readHello(r io.Reader) (hello, error) {
	var head [len(magic) + 1]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return hello{}, err
	}
	if head[0] == 0x16 && head[1] == 0x03 {
		return hello{}, errSecure
	}
	if string(head[:len(magic)]) != magic {
		return hello{}, errStranger
	}
	h := hello{protocol: head[len(magic)]}
	if h.protocol != protocol {
		return h, nil
	}
	var rest [1 + len(h.cluster)]byte
	if _, err := io.ReadFull(r, rest[:]); err != nil {
		return hello{}, err
	}
	h.service = service(rest[0])
	copy(h.cluster[:], rest[1:])
	var err error
	if h.from, err = readID(r); err != nil {
		return hello{}, err
	}
	h.to, err = readID(r)
	return h, err
}

func readID(r io.Reader) (string, error) {
	var n [1]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return "", err
	}
	if n[0] > maxNodeID {
		return "", fmt.Errorf("a node id of %d bytes is over %d", n[0], maxNodeID)
	}
	id := make([]byte, n[0])
	_, err := io.ReadFull(r, id)
	return string(id), err
}

type answer struct {
	status status
	text   string
}

func appendAnswer(dst []byte, a answer) []byte {
	if len(a.text) > maxText {
		a.text = a.text[:maxText]
	}
	dst = append(dst, byte(a.status), byte(len(a.text)>>8), byte(len(a.text)))
	return append(dst, a.text...)
}

func readAnswer(r io.Reader) (answer, error) {
	var head [3]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return answer{}, err
	}
	n := int(head[1])<<8 | int(head[2])
	if n > maxText {
		return answer{}, fmt.Errorf("an answer of %d bytes is over %d", n, maxText)
	}
	text := make([]byte, n)
	_, err := io.ReadFull(r, text)
	return answer{status: status(head[0]), text: string(text)}, err
}

// judge decides what the receiver, node self of the given cluster, answers to h.
func judge(h hello, self string, cluster [16]byte) answer {
	switch {
	case h.protocol != protocol:
		return answer{statusProtocol, fmt.Sprintf("node %s speaks peer protocol %d, you speak %d: run releases that can work together", self, protocol, h.protocol)}
	case cluster == [16]byte{}:
		return answer{statusNotJoined, fmt.Sprintf("node %s is not yet part of a cluster", self)}
	case h.cluster != cluster:
		return answer{statusCluster, fmt.Sprintf("this port belongs to cluster %x, you are of cluster %x: is --join pointing at another cluster?", cluster, h.cluster)}
	case h.to != "" && h.to != self:
		return answer{statusNode, fmt.Sprintf("this is node %s, you wanted %s: has its address changed?", self, h.to)}
	case h.from == "" || h.from == self:
		return answer{statusNode, fmt.Sprintf("you say that you are node %q and this is node %q: every node needs an id of its own", h.from, self)}
	case h.service != serviceRaft && h.service != serviceCalls:
		return answer{statusService, fmt.Sprintf("node %s knows no service %d", self, h.service)}
	}
	return answer{status: statusOK}
}

// greet performs the dialing side of the handshake. It returns
// errs.Unavailable with the peer's sentence if the peer refuses.
func greet(conn net.Conn, h hello, deadline time.Time) error {
	if err := conn.SetDeadline(deadline); err != nil {
		return errs.E(errs.Unavailable, "handshake with %s: %w", conn.RemoteAddr(), err)
	}
	if _, err := conn.Write(appendHello(nil, h)); err != nil {
		return errs.E(errs.Unavailable, "handshake with %s: %w", conn.RemoteAddr(), err)
	}
	a, err := readAnswer(conn)
	if errors.Is(err, io.EOF) {
		return errs.E(errs.Unavailable, "%s closed the connection during the handshake: is this the peer port of a covey node, and does it use TLS as this node does?", conn.RemoteAddr())
	}
	if err != nil { // with TLS 1.3 a refused certificate is told only here
		return errs.E(errs.Unavailable, "handshake with %s: %w", conn.RemoteAddr(), explain(err))
	}
	if a.status != statusOK {
		return errs.E(errs.Unavailable, "%s refused the connection: %s", conn.RemoteAddr(), a.text)
	}
	return conn.SetDeadline(time.Time{})
}
