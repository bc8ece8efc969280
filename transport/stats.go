package transport

import "sync/atomic"

// CallStats counts the calls of one sort. Errors are those of Sent that did
// not bring a reply, or brought one that is an error.
type CallStats struct{ Sent, Errors, Served uint64 }

// Stats is what a Transport has counted since Listen. Bytes are those on the
// wire, TLS and Raft's streams included.
type Stats struct {
	Incoming, Outgoing int64 // open connections, Raft's included
	InFlight           int   // own calls that wait for a reply
	Accepted, Refused  uint64
	Dials, DialErrors  uint64
	BytesIn, BytesOut  uint64

	Propose, ReadPoint, Term, Admin CallStats
}

type counters struct {
	incoming, outgoing atomic.Int64
	accepted, refused  atomic.Uint64
	dials, dialErrors  atomic.Uint64
	bytesIn, bytesOut  atomic.Uint64
	calls              [Admin]callCounters
}

type callCounters struct{ sent, errors, served atomic.Uint64 }

// call returns the counters of c, nil if there is no such call.
func (n *counters) call(c Call) *callCounters {
	if c < Propose || c > Admin {
		return nil
	}
	return &n.calls[c-Propose]
}

func (n *counters) callStats(c Call) CallStats {
	k := n.call(c)
	return CallStats{Sent: k.sent.Load(), Errors: k.errors.Load(), Served: k.served.Load()}
}

// Stats returns the counters as they are now.
func (t *Transport) Stats() Stats {
	t.mu.Lock()
	lanes := make([]*lane, 0, 2*len(t.peers))
	for _, p := range t.peers {
		lanes = append(lanes, &p.propose, &p.control)
	}
	t.mu.Unlock()
	inFlight := 0
	for _, l := range lanes {
		inFlight += l.inFlight()
	}
	n := &t.stats
	return Stats{
		Incoming: n.incoming.Load(), Outgoing: n.outgoing.Load(), InFlight: inFlight,
		Accepted: n.accepted.Load(), Refused: n.refused.Load(),
		Dials: n.dials.Load(), DialErrors: n.dialErrors.Load(),
		BytesIn: n.bytesIn.Load(), BytesOut: n.bytesOut.Load(),
		Propose: n.callStats(Propose), ReadPoint: n.callStats(ReadPoint), Term: n.callStats(Term),
		Admin: n.callStats(Admin),
	}
}
