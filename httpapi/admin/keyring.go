package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/sealed"
)

// keyringBase is before the paths about the keyring and what it has sealed.
const keyringBase = "/cluster/keyring"

func keyringPaths() map[string]verbs {
	return map[string]verbs{
		"":        {http.MethodGet: (*call).showKeyring},
		"/rewrap": {http.MethodPost: (*call).startRewrap},
	}
}

// countTime bounds the counting of what is sealed, which takes seconds where
// there are millions of buckets or users.
const countTime = time.Minute

// keyringStatus is the answer of /cluster/keyring.
type keyringStatus struct {
	Node    string       `json:"node"` // that answers
	Keys    []keyringKey `json:"keys"` // that a node holds or something is sealed with, by id
	Damaged int64        `json:"damaged,omitempty"`
	Rewrap  *rewrapInfo  `json:"rewrap"` // the latest re-wrapping, null = there was none
}

// keyringKey is one master key. It is shown by its id only.
type keyringKey struct {
	ID        string           `json:"id"`
	Nodes     []string         `json:"nodes"`             // members that hold it
	Missing   []string         `json:"missing,omitempty"` // members that do not, or have not said so
	PrimaryOn []string         `json:"primary_on,omitempty"`
	Sealed    int64            `json:"sealed"` // how much is sealed with it
	Kinds     map[string]int64 `json:"kinds,omitempty"`
	Droppable bool             `json:"droppable"`        // no node and nothing in the store needs it
	InUse     string           `json:"in_use,omitempty"` // why it must stay
}

// rewrapInfo is how far a re-wrapping has come.
type rewrapInfo struct {
	Key      string         `json:"key"` // that everything is sealed under
	Started  time.Time      `json:"started"`
	Finished *time.Time     `json:"finished,omitempty"` // absent = it goes on
	Total    int64          `json:"total"`              // things there were at the start
	Done     int64          `json:"done"`               // things gone over; some may have come or gone since
	Changed  int64          `json:"changed"`
	Failed   int64          `json:"failed"`
	Faults   []sealed.Fault `json:"faults,omitempty"` // the first of those that failed
	Waits    string         `json:"waits,omitempty"`  // why it does not go on
}

func describeRewrap(p sealed.Progress) *rewrapInfo {
	i := &rewrapInfo{
		Key: p.Key, Started: *millis(p.Started), Total: p.Total, Done: p.Done, Changed: p.Changed, Failed: p.Failed, Faults: p.Faults,
	}
	if p.Finished != 0 {
		i.Finished = millis(p.Finished)
	}
	return i
}

// keyringState is what is known of the keyrings of all members.
type keyringState struct {
	node    string // that answers
	leader  string
	members []sealed.Node // a member that has not said anything is there too
	counted bool
	tallies []sealed.Tally // if it was counted
	rewrap  *sealed.Progress
}

// keyring reads all of it on one state; what is sealed only if it is to be counted.
func (c *call) keyring(count bool) (s keyringState, err error) {
	if c.Sealed == nil {
		return s, errs.E(errs.NotFound, "this node keeps no account of what is sealed")
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), c.Wait)
	defer cancel()
	status, err := c.Cluster.Status(ctx)
	if err != nil {
		return s, err
	}
	s.node, s.leader = status.ID, status.Leader
	var announced []sealed.Node
	err = c.viewFor(max(c.Wait, countTime), func(ctx context.Context, tx *kv.Tx) (err error) {
		if announced, err = sealed.Nodes(tx); err != nil {
			return err
		}
		if s.rewrap, err = sealed.Latest(tx); err != nil {
			return err
		}
		if s.counted = count; count {
			s.tallies, err = c.Sealed.Count(ctx, tx)
		}
		return err
	})
	for _, m := range status.Members {
		if m.Role == cluster.RoleNone && m.ID != s.node {
			continue // removed, or of a cluster that this one has superseded: nobody waits for it
		}
		n := sealed.Node{ID: m.ID}
		if i := slices.IndexFunc(announced, func(n sealed.Node) bool { return n.ID == m.ID }); i >= 0 {
			n = announced[i]
		}
		if m.ID == s.node {
			n = c.Sealed.Own(m.ID) // newer than what it has announced
		}
		s.members = append(s.members, n)
	}
	slices.SortFunc(s.members, func(a, b sealed.Node) int { return strings.Compare(a.ID, b.ID) })
	return s, err
}

// showKeyring answers which node holds which keys, what is sealed with them, and
// how far the latest re-wrapping has come. ?counts=false leaves out the second,
// for which it reads much.
func (c *call) showKeyring() (any, error) {
	s, err := c.keyring(c.query.Value("counts") != "false")
	if err != nil {
		return nil, err
	}
	answer := keyringStatus{Node: s.node, Keys: []keyringKey{}}
	for _, id := range s.ids() {
		answer.Keys = append(answer.Keys, s.key(id))
	}
	for _, t := range s.tallies {
		if t.Key == "" {
			answer.Damaged += t.Count
		}
	}
	if s.rewrap != nil {
		answer.Rewrap = describeRewrap(*s.rewrap)
		answer.Rewrap.Waits = s.waits()
	}
	return answer, nil
}

// ids returns the ids of all keys that there are, or should be.
func (s *keyringState) ids() (ids []string) {
	for _, n := range s.members {
		ids = append(ids, n.Keys...)
	}
	for _, t := range s.tallies {
		if t.Key != "" {
			ids = append(ids, t.Key)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// key describes one key.
func (s *keyringState) key(id string) keyringKey {
	k := keyringKey{ID: id, Nodes: []string{}, Kinds: make(map[string]int64)}
	for _, n := range s.members {
		if n.Holds(id) {
			k.Nodes = append(k.Nodes, n.ID)
		} else {
			k.Missing = append(k.Missing, n.ID)
		}
		if n.Primary == id {
			k.PrimaryOn = append(k.PrimaryOn, n.ID)
		}
	}
	for _, t := range s.tallies {
		if t.Key == id {
			k.Sealed += t.Count
			k.Kinds[t.Kind] += t.Count
		}
	}
	switch silent := s.silent(); {
	case !s.counted:
		k.InUse = "what is sealed with it was not counted"
	case len(k.PrimaryOn) > 0:
		k.InUse = "it seals on " + strings.Join(k.PrimaryOn, ", ")
	case k.Sealed > 0:
		k.InUse = strconv.FormatInt(k.Sealed, 10) + " secrets are sealed with it"
	case s.rewrap != nil && s.rewrap.Finished == 0:
		k.InUse = "a re-wrapping is under way"
	case len(silent) > 0:
		k.InUse = "nobody knows what " + strings.Join(silent, ", ") + " seals with"
	default:
		k.Droppable = true
	}
	return k
}

// silent returns the members that have not announced a keyring.
func (s *keyringState) silent() (ids []string) {
	for _, n := range s.members {
		if n.Primary == "" {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// waits says why a re-wrapping does not go on, as far as this node knows.
func (s *keyringState) waits() string {
	if s.rewrap.Finished != 0 {
		return ""
	}
	if s.leader == "" {
		return "no node leads"
	}
	for _, n := range s.members {
		if n.ID == s.leader && n.Primary != s.rewrap.Key {
			return "node " + n.ID + " leads and does not seal with " + s.rewrap.Key
		}
	}
	return ""
}

// startRewrap asks the leader to seal everything under the primary key. Unless the
// body says force it is refused while some member could not open the result, and
// while this node could not open all there is: then its keyring may be an old one.
func (c *call) startRewrap() (any, error) {
	var body struct {
		Force bool `json:"force"`
	}
	if len(c.body) > 0 {
		if err := c.decode(&body); err != nil {
			return nil, err
		}
	}
	s, err := c.keyring(true)
	if err != nil {
		return nil, err
	}
	if !body.Force {
		if err := s.agree(); err != nil {
			return nil, err
		}
		if ids, n := c.Sealed.Lacking(s.tallies); n > 0 {
			return nil, errs.E(errs.Conflict, "%d secrets are sealed with master keys that node %s lacks: %s", n, s.node, strings.Join(ids, ", "))
		}
	}
	var total int64
	for _, t := range s.tallies {
		total += t.Count
	}
	var p sealed.Progress
	_, err = c.update(0, func(tx *kv.Tx) (err error) {
		p, err = c.Sealed.Start(tx, total)
		return err
	})
	return describeRewrap(p), err
}

// agree is errs.Conflict unless all members seal with the same key.
func (s *keyringState) agree() error {
	i := slices.IndexFunc(s.members, func(n sealed.Node) bool { return n.ID == s.node })
	if i < 0 || s.members[i].Primary == "" {
		return errs.E(errs.Unavailable, "node %s has no keyring; start every node with the same --keyring-file", s.node)
	}
	own := s.members[i].Primary
	for _, n := range s.members {
		switch {
		case n.Primary == own:
		case n.Holds(own):
			return errs.E(errs.Conflict, "node %s seals with the master key %s and node %s with %s: make one key the primary one everywhere first", s.node, own, n.ID, n.Primary)
		default:
			return errs.E(errs.Conflict, "node %s does not hold the master key %s, so it could not open what is sealed with that: bring it the keyring file first", n.ID, own)
		}
	}
	return nil
}
