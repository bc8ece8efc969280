package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coveydb/covey/cluster/events"
	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/node/room"
)

const (
	keepSnapshots = 2                // while there is room
	lookEvery     = time.Second      // between looks at the free space
	heardWithin   = 10 * time.Second // what a voter said of its disk counts for so long
	yieldEvery    = 15 * time.Second // between tries to hand the lead to a disk with room
)

// stock is how much room a member has for more data.
type stock struct {
	level room.Level
	free  int64 // bytes on the worst of its disks
	need  int64 // bytes that must be free for it to take everything
}

// String says it for people.
func (s stock) String() string {
	return fmt.Sprintf("has %s free on the disk of its data folder and needs %s", room.Bytes(s.free), room.Bytes(s.need))
}

// space knows the room on this node's disks, and what the other members said of
// theirs. Safe for concurrent use.
type space struct {
	dirs []string // file systems that matter; often the same
	mark room.Watermark
	ask  func(dir string) (room.Space, bool)

	own    atomic.Pointer[stock] // nil until the first look
	ruling atomic.Pointer[ruling]

	mu     sync.Mutex
	levels map[string]room.Level // of each dir
	heard  map[string]heardStock // of each other member
}

type heardStock struct {
	stock
	at time.Time
}

// ruling is what a leader may take into the log: own and quorum, the worse one.
type ruling struct {
	level room.Level
	text  string // why, if the level is not room.Plenty
}

// look asks for the free space of all dirs.
func (s *space) look() stock {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.levels == nil {
		s.levels = make(map[string]room.Level)
	}
	var worst stock
	for i, dir := range s.dirs {
		got, ok := s.ask(dir)
		if !ok {
			continue
		}
		marks := s.mark.Marks(got.Total)
		level := marks.Level(s.levels[dir], got.Free)
		s.levels[dir] = level
		if i == 0 || level > worst.level {
			worst = stock{level: level, free: got.Free, need: marks.Need(level)}
		}
	}
	s.own.Store(&worst)
	return worst
}

// now is what the last look found.
func (s *space) now() stock {
	if own := s.own.Load(); own != nil {
		return *own
	}
	return stock{}
}

// hear takes what another member said of its disks.
func (s *space) hear(id string, st stock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.heard == nil {
		s.heard = make(map[string]heardStock)
	}
	s.heard[id] = heardStock{st, time.Now()}
}

// others are the voters beside self that were heard of lately.
func (s *space) others(self string, voters []string) map[string]stock {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := make(map[string]stock)
	for id, h := range s.heard {
		switch {
		case time.Since(h.at) > heardWithin:
			delete(s.heard, id)
		case id != self && slices.Contains(voters, id):
			found[id] = h.stock
		}
	}
	return found
}

// rule is what a leader may take into the log, given the stocks of all voters
// that were heard of, itself included, and how many voters there are. It goes by
// its own room and by that of the quorum that has the most: a voter beyond that
// may be full, it lags and catches up. Of its own level Full is the worst: the
// end of its log takes some small entries yet, while one who is asked to follow
// refuses all of them, so with a quorum of these nothing is committed. Too few voters are judged by nobody; then
// nothing is committed anyway.
func rule(self string, stocks map[string]stock, voters int) ruling {
	stocks, own := maps.Clone(stocks), stocks[self]
	own.level = min(own.level, room.Full)
	stocks[self] = own
	r := ruling{level: own.level, text: fmt.Sprintf("leader %s %s", self, own)}
	need := voters/2 + 1
	if len(stocks) < need {
		return r
	}
	ids := make([]string, 0, len(stocks))
	for id := range stocks {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		if d := int(stocks[a].level) - int(stocks[b].level); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	quorum := stocks[ids[need-1]].level
	if quorum <= own.level {
		return r
	}
	var short []string
	for _, id := range ids {
		if id != self && stocks[id].level > own.level {
			short = append(short, fmt.Sprintf("voter %s %s", id, stocks[id]))
		}
	}
	return ruling{level: quorum, text: strings.Join(short, ", ") + fmt.Sprintf("; a quorum of %d with room is needed", need)}
}

// better is a voter to whom the lead should go, or "": one with the best level,
// if that is better than self's and leading there would allow more.
func better(self string, stocks map[string]stock, voters int) string {
	best := self
	for id, s := range stocks {
		if b := stocks[best]; s.level < b.level || s.level == b.level && best != self && id < best {
			best = id
		}
	}
	if best == self || rule(best, stocks, voters).level >= rule(self, stocks, voters).level {
		return ""
	}
	return best
}

// keepSpace looks at the disks until ctx ends. It rules on what this node takes
// while it leads, and hands the lead on when another member has more room.
func (n *Node) keepSpace(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	was := n.space.now().level
	yielded, stalled := time.Time{}, false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		own := n.space.look()
		n.tellSpace(was, own)
		stalled = n.tellStall(stalled)
		was = own.level
		c := n.consensus.Load()
		if c == nil || !c.leads.Load() {
			n.space.ruling.Store(nil)
			continue
		}
		voters := c.voters()
		stocks := n.space.others(n.cfg.ID, voters)
		stocks[n.cfg.ID] = own
		r := rule(n.cfg.ID, stocks, len(voters))
		n.space.ruling.Store(&r)
		if to := better(n.cfg.ID, stocks, len(voters)); to != "" && time.Since(yielded) > yieldEvery {
			yielded = time.Now()
			n.log.Warn("the lead goes to a member whose disk has room", "to", to, "free", room.Bytes(own.free), "needed", room.Bytes(own.need))
			if err := n.transfer(ctx, c, to); err != nil {
				n.log.Warn("the lead stays on a disk without room", "err", err)
			}
		}
	}
}

// tellStall notes the end of a stall, and returns whether there is one.
func (n *Node) tellStall(was bool) bool {
	now := n.logs.Stalled()
	if was && !now {
		n.Note(events.Event{Kind: events.StallOver, Text: "the disk answers in time again"})
	}
	return now
}

// tellSpace logs a change of the level.
func (n *Node) tellSpace(was room.Level, own stock) {
	if own.level != was {
		n.Note(events.Event{Kind: events.Room, Text: fmt.Sprintf("room on the disk: %s, before %s; this node %s", own.level, was, own)})
	}
	switch {
	case own.level == was:
	case own.level == room.Plenty:
		n.log.Info("the disk has room again", "free", room.Bytes(own.free))
		n.snapshots.Keep(keepSnapshots)
	case own.level > was:
		n.log.Error("the disk is short of room: writes that add data are refused while this node leads",
			"level", own.level.String(), "free", room.Bytes(own.free), "needed", room.Bytes(own.need))
		n.snapshots.Keep(1)
	}
}

// roomFor refuses what the disks of the leader, or of a quorum, have no room
// for, before it gets into the log: a log that has no room at all stops its node.
func (n *Node) roomFor(encoded []byte) error {
	r := ruling{}
	if now := n.space.ruling.Load(); now != nil {
		r = *now
	}
	if r.level < room.Full && n.outOfRoom() {
		r = ruling{level: room.Full, text: fmt.Sprintf("leader %s %s", n.cfg.ID, n.space.now())}
	}
	switch r.level {
	case room.Plenty:
		return nil
	case room.None:
		return errs.E(errs.NoSpace, "no room for any write, not even a delete: %s; reads go on, make room on the disk from outside or enlarge it", r.text)
	}
	c, err := command.Decode(encoded)
	if err != nil {
		return err
	}
	if r.level.Allows(c, n.cfg.Vital) {
		return nil
	}
	return errs.E(errs.NoSpace, "no room for more data: %s; reads and deletes go on, make room on the disk or enlarge it", r.text)
}

// outOfRoom reports whether a write has found no room.
func (n *Node) outOfRoom() bool {
	return n.logs.Full() || n.full.Load() || errs.Is(n.db.Err(), errs.NoSpace)
}

// ownRoom is what this node tells the leader of its disks.
func (n *Node) ownRoom() stock {
	s := n.space.now()
	switch {
	case n.logs.Crammed():
		s.level = room.None
	case n.outOfRoom():
		s.level = room.Full
	}
	return s
}
