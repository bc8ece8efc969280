package node_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/node"
)

// wishes keeps what operators want in the cluster's state, as the server does.
type wishes struct{ db *kv.DB }

func wishKey(id string) []byte { return []byte("wish/" + id) }

func (w wishes) Load(ctx context.Context) (all cluster.Wishes, err error) {
	_, err = w.db.View(ctx, kv.Consistency{Stale: true}, func(tx *kv.Tx) error {
		all = cluster.Wishes{Nodes: map[string]cluster.Wish{}}
		for _, id := range []string{"n1", "n2", "n3", "n4"} {
			rec, ok, err := tx.Get(wishKey(id))
			if err != nil {
				return err
			}
			if ok {
				all.Nodes[id] = cluster.ParseWish(string(rec.Value))
			}
		}
		rec, ok, err := tx.Get([]byte("cleanup"))
		if ok {
			after, perr := time.ParseDuration(string(rec.Value))
			all.Autopilot = cluster.Autopilot{Cleanup: perr == nil, MinQuorum: 3, DeadAfter: after}
		}
		return err
	})
	return all, err
}

func (w wishes) Keep(ctx context.Context, id string, wish cluster.Wish) error {
	_, err := w.db.Update(ctx, func(tx *kv.Tx) error {
		if wish == cluster.WishNone {
			tx.Delete(wishKey(id))
		} else {
			tx.Set(wishKey(id), []byte(wish.String()), 0)
		}
		return nil
	})
	return err
}

// newManaged is newCluster of nodes that operators manage.
func newManaged(t *testing.T, size int) []*member {
	t.Helper()
	members := newCluster(t, size)
	for _, m := range members {
		m.KeepWishes(wishes{m.db})
	}
	return members
}

// join starts a further node.
func join(t *testing.T, id string, members []*member) *member {
	t.Helper()
	m := &member{t: t, config: testConfig(t, id, 0, members[0].config.GossipAddr)}
	m.start()
	m.KeepWishes(wishes{m.db})
	m.waitReady()
	return m
}

func (m *member) change(change, node string, more ...func(*cluster.MemberChange)) (cluster.MemberChange, error) {
	q := cluster.MemberChange{Change: change, Node: node}
	for _, f := range more {
		f(&q)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return m.ChangeMember(ctx, q)
}

func force(q *cluster.MemberChange) { q.Force = true }
func dry(q *cluster.MemberChange)   { q.DryRun = true }

func (m *member) waitRole(id, role string) {
	m.t.Helper()
	m.waitFor(id+" a "+role, func() error {
		if got := roles(m.t, m)[id]; got != role {
			return errors.New("it is " + got)
		}
		return nil
	})
}

func follower(t *testing.T, members []*member) *member {
	lead := leaderOf(t, members)
	for _, m := range members {
		if m != lead {
			return m
		}
	}
	t.Fatal("no follower")
	return nil
}

func wantRefused(t *testing.T, err error, kind errs.Kind, text string) {
	t.Helper()
	if !errs.Is(err, kind) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %v with %q", err, kind, text)
	}
}

func TestADemotedMemberStaysANonVoterUntilItIsPromoted(t *testing.T) {
	t.Parallel()
	members := newManaged(t, 3)
	x := follower(t, members)
	id := x.config.ID
	did, err := x.change(cluster.DoDemote, id, dry)
	if err != nil || did.Done || did.Votes != (cluster.Votes{Voters: 2, Answers: 2, Needed: 2}) {
		t.Fatalf("dry run: %+v, %v", did, err)
	}
	if got := roles(t, x)[id]; got != cluster.RoleVoter {
		t.Fatalf("after a dry run it is a %s", got)
	}
	if did, err = x.change(cluster.DoDemote, id); err != nil || !did.Done {
		t.Fatalf("%+v, %v", did, err)
	}
	x.waitRole(id, cluster.RoleNonVoter)
	x.set("k", "v") // it goes on serving
	time.Sleep(3 * x.config.StableFor)
	if got := roles(t, x)[id]; got != cluster.RoleNonVoter {
		t.Fatalf("the plan made it a %s again", got)
	}
	if did, err = members[0].change(cluster.DoPromote, id); err != nil || !did.Done {
		t.Fatalf("%+v, %v", did, err)
	}
	x.waitRole(id, cluster.RoleVoter)
}

func TestTheLeaderHandsOverBeforeItIsDemoted(t *testing.T) {
	t.Parallel()
	members := newManaged(t, 3)
	lead := leaderOf(t, members)
	if did, err := lead.change(cluster.DoDemote, lead.config.ID); err != nil || !did.Done {
		t.Fatalf("%+v, %v", did, err)
	}
	lead.waitRole(lead.config.ID, cluster.RoleNonVoter)
	if next := leaderOf(t, members); next == lead {
		t.Error("a non-voter leads")
	}
	lead.set("k", "v")
}

func TestNothingIsChangedThatWouldLoseTheQuorum(t *testing.T) {
	t.Parallel()
	members := newManaged(t, 3)
	gone := follower(t, members)
	gone.stop()
	lead := leaderOf(t, others(members, gone))
	var rest *member
	for _, m := range others(members, gone) {
		if m != lead {
			rest = m
		}
	}
	_, err := rest.change(cluster.DoRemove, lead.config.ID)
	wantRefused(t, err, errs.Conflict, "is alive")
	_, err = rest.change(cluster.DoRemove, rest.config.ID, force)
	wantRefused(t, err, errs.Conflict, "removing "+rest.config.ID+" would leave 2 voters of which 1 answers; 2 are needed")
	_, err = rest.change(cluster.DoDemote, lead.config.ID)
	wantRefused(t, err, errs.Conflict, "demoting "+lead.config.ID+" would leave 2 voters of which 1 answers; 2 are needed")
	_, err = rest.Leave(context.Background())
	wantRefused(t, err, errs.Conflict, "2 are needed")
	_, err = rest.change(cluster.DoRemove, "n9")
	wantRefused(t, err, errs.NotFound, "n9 is no member")
	_, err = rest.Transfer(context.Background(), gone.config.ID)
	wantRefused(t, err, errs.Conflict, "answers")
	if rest.Err() != nil || len(roles(t, rest)) != 3 {
		t.Errorf("something was changed: %v, %v", roles(t, rest), rest.Err())
	}
	rest.set("k", "v")
	// The dead one may go: two of two are a quorum.
	rest.waitFor("rid of the dead one", func() error { // gossip takes a moment to find it dead
		_, err := rest.change(cluster.DoRemove, gone.config.ID)
		return err
	})
	rest.set("k", "w")
	if got := roles(t, rest)[gone.config.ID]; got == cluster.RoleVoter {
		t.Errorf("the removed node is a %s", got)
	}
}

func others(members []*member, but *member) (rest []*member) {
	for _, m := range members {
		if m != but {
			rest = append(rest, m)
		}
	}
	return rest
}

func TestANodeThatWasRemovedWhileItWasDownEndsWhenItComesBack(t *testing.T) {
	t.Parallel()
	members := newManaged(t, 3)
	fourth := join(t, "n4", members)
	members[0].waitRole("n4", cluster.RoleVoter)
	fourth.stop()
	members[0].waitFor("rid of n4", func() error {
		_, err := members[0].change(cluster.DoRemove, "n4")
		return err
	})
	fourth.start()
	ended(t, fourth)
	if got := roles(t, members[0])["n4"]; got != cluster.RoleNone {
		t.Errorf("it is a %s again", got)
	}
	fourth.stop()
	refused(t, fourth.config, "n4 was removed from cluster")

	// With an empty folder the name is a new member's.
	fourth.config.DataDir = t.TempDir()
	fourth.start()
	fourth.waitReady()
	members[0].waitRole("n4", cluster.RoleVoter)
}

// ended waits until a node has stopped for good.
func ended(t *testing.T, m *member) {
	t.Helper()
	select {
	case <-m.Done():
		if !errors.Is(m.Err(), node.ErrLeft) {
			t.Fatalf("it stopped because of %v", m.Err())
		}
	case <-time.After(20 * time.Second):
		t.Fatal("its process would go on for ever")
	}
}

func TestALeaderThatIsRemovedByForceHandsOverAndEnds(t *testing.T) {
	t.Parallel()
	members := newManaged(t, 3)
	lead := leaderOf(t, members)
	if did, err := lead.change(cluster.DoRemove, lead.config.ID, force); err != nil || !did.Done {
		t.Fatalf("%+v, %v", did, err)
	}
	ended(t, lead)
	rest := others(members, lead)
	leaderOf(t, rest)
	rest[0].set("k", "v")
	if got := roles(t, rest[0])[lead.config.ID]; got != cluster.RoleNone {
		t.Errorf("it is a %s", got)
	}
}

func TestALeaderThatLeavesCostsNoWrite(t *testing.T) {
	t.Parallel()
	members := newManaged(t, 3)
	lead := leaderOf(t, members)
	rest := others(members, lead)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, m := range rest {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					m.set("k-"+m.config.ID, "v")
				}
			}
		})
	}
	did, err := lead.Leave(context.Background())
	if err != nil || !did.Done || did.Votes.Voters != 2 {
		t.Errorf("%+v, %v", did, err)
	}
	ended(t, lead)
	close(stop)
	wg.Wait()
}

func TestTheLeadGoesWhereAnOperatorWantsIt(t *testing.T) {
	t.Parallel()
	members := newManaged(t, 3)
	for _, m := range members {
		via := members[0]
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		leader, err := via.Transfer(ctx, m.config.ID)
		cancel()
		if err != nil || leader != m.config.ID {
			t.Fatalf("transfer to %s: %q leads, %v", m.config.ID, leader, err)
		}
		m.set("k", m.config.ID)
	}
	last := members[2]
	if _, err := members[0].StepDown(context.Background()); !errs.Is(err, errs.Conflict) {
		t.Errorf("a follower stepped down: %v", err)
	}
	if leader, err := last.StepDown(context.Background()); err != nil || leader == last.config.ID || leader == "" {
		t.Errorf("%q leads, %v", leader, err)
	}
}

func TestADeadServerIsCleanedUpOnlyIfThatIsTurnedOn(t *testing.T) {
	t.Parallel()
	members := newManaged(t, 4)
	gone := follower(t, members)
	gone.stop()
	rest := others(members, gone)
	rest[0].waitFor("without it in gossip", func() error {
		s, err := rest[0].Status(context.Background())
		for _, m := range s.Members {
			if m.ID == gone.config.ID && m.Alive {
				return errors.New("it is alive")
			}
		}
		return err
	})
	time.Sleep(1200 * time.Millisecond)
	if got := roles(t, rest[0])[gone.config.ID]; got != cluster.RoleVoter {
		t.Fatalf("it is a %s, though nobody turned the clean-up on", got)
	}
	rest[0].set("cleanup", "1s")
	rest[0].waitRole(gone.config.ID, cluster.RoleNone)
	// It comes back as if nothing had been.
	gone.start()
	gone.KeepWishes(wishes{gone.db})
	gone.waitReady()
	rest[0].waitRole(gone.config.ID, cluster.RoleVoter)
}

func TestADrainingNodeIsNotReadyAndDoesNotLead(t *testing.T) {
	t.Parallel()
	members := newManaged(t, 3)
	lead := leaderOf(t, members)
	if !lead.HasOthers() {
		t.Error("it sees no others")
	}
	done := lead.HoldTransfers()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := lead.Drain(ended); !errs.Is(err, errs.Unavailable) {
		t.Errorf("while the lead is handed over: %v", err)
	}
	time.AfterFunc(50*time.Millisecond, done) // Drain waits for it
	if err := lead.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
	if checks := lead.Checks(context.Background()); len(checks) != 1 || checks[0].OK || checks[0].Name != "draining" {
		t.Errorf("checks %+v", checks)
	}
	next := leaderOf(t, others(members, lead))
	lead.set("k", "v") // it serves still
	if got := lead.get("k"); got != "v" {
		t.Errorf("it reads %q", got)
	}
	next.waitFor("aware of it", func() error {
		s, err := next.Status(context.Background())
		for _, m := range s.Members {
			if m.ID == lead.config.ID && !m.Draining {
				return errors.New("it is not seen draining")
			}
		}
		return err
	})
	for _, m := range others(members, lead) { // the lead never goes to it, unless by name
		if m.IsLeader() {
			if leader, err := m.StepDown(context.Background()); err != nil || leader == lead.config.ID {
				t.Errorf("%q leads, %v", leader, err)
			}
			break
		}
	}
	if err := lead.Resume(); err != nil {
		t.Fatal(err)
	}
	lead.waitReady()
}
