package fleet

import (
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// Autopilot is what the operator wants the leader to do about dead members. The
// zero value does nothing.
type Autopilot struct {
	Cleanup     bool  `json:"cleanup"`            // remove members that are dead
	MinQuorum   int   `json:"min_quorum"`         // never below so many voters; 0 = the leader's default
	DeadSeconds int64 `json:"dead_after_seconds"` // before a silent member counts as dead; 0 = the leader's default
}

// Bounds of an Autopilot that cleans up.
const (
	MinDeadSeconds = 10
	MaxDeadSeconds = int64(30 * 24 * time.Hour / time.Second)
	MaxQuorum      = 9
)

// ReadAutopilot returns what was set last, the zero value if nothing was.
func ReadAutopilot(tx *kv.Tx) (a Autopilot, err error) {
	_, err = get(tx, key(autopilotByte), &a)
	return a, err
}

// WriteAutopilot sets it. What is out of bounds is errs.Invalid.
func WriteAutopilot(tx *kv.Tx, a Autopilot) error {
	switch {
	case a.MinQuorum < 0 || a.MinQuorum > MaxQuorum:
		return errs.E(errs.Invalid, "min_quorum %d is not between 0 and %d", a.MinQuorum, MaxQuorum)
	case a.Cleanup && a.MinQuorum == 1:
		return errs.E(errs.Invalid, "min_quorum 1 would let the clean-up leave a single voter: 2 or more are needed, or 0 for the default")
	case a.DeadSeconds < 0 || a.DeadSeconds > MaxDeadSeconds:
		return errs.E(errs.Invalid, "dead_after_seconds %d is not between 0 and %d", a.DeadSeconds, MaxDeadSeconds)
	case a.Cleanup && a.DeadSeconds > 0 && a.DeadSeconds < MinDeadSeconds:
		return errs.E(errs.Invalid, "dead_after_seconds %d: at least %d are needed to clean up, as a restart takes its time", a.DeadSeconds, MinDeadSeconds)
	}
	set(tx, key(autopilotByte), a)
	return nil
}

// Wish is what the operator wants of one node, against what the node itself
// asks for.
type Wish string

// The wishes. "" is none: the node decides.
const (
	WishNone     Wish = ""
	WishRemoved  Wish = "removed"   // no member, however often it knocks
	WishNonVoter Wish = "non-voter" // a member that must not vote
)

type wishRow struct {
	Node string `json:"node"`
	Wish Wish   `json:"wish"`
	At   int64  `json:"at"` // unix milliseconds
}

// Wishes returns the wish of each node that has one.
func Wishes(tx *kv.Tx) (map[string]Wish, error) {
	list, err := rows[wishRow](tx, wishByte)
	wishes := make(map[string]Wish, len(list))
	for _, w := range list {
		wishes[w.Node] = w.Wish
	}
	return wishes, err
}

// WishOf returns the wish of one node.
func WishOf(tx *kv.Tx, node string) (Wish, error) {
	var row wishRow
	_, err := get(tx, named(wishByte, node), &row)
	return row.Wish, err
}

// SetWish sets the wish of a node; WishNone takes it away.
func SetWish(tx *kv.Tx, node string, w Wish) error {
	switch w {
	case WishNone:
		tx.Delete(named(wishByte, node))
		return nil
	case WishRemoved, WishNonVoter:
	default:
		return errs.E(errs.Invalid, "wish %q is neither removed nor non-voter", w)
	}
	if node == "" || len(node) > maxName {
		return errs.E(errs.Invalid, "node id %q: 1 to %d bytes are needed", node, maxName)
	}
	set(tx, named(wishByte, node), wishRow{Node: node, Wish: w, At: tx.Now()})
	return nil
}

// maxName bounds names of nodes, tokens and keys.
const maxName = 64

// Prefix is the span of all keys of this layer, for who follows its changes.
func Prefix() (lo, hi []byte) { return tuple.Span([]byte{layerByte}) }
