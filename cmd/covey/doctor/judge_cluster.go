package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coveydb/covey/client"
)

// unasked says why the cluster was not asked, or gave no answer.
func unasked(s *Subject, f *Facts) []Finding {
	return skipped("the cluster was not asked")
}

func judgeCluster(s *Subject, f *Facts) []Finding {
	var e *client.Error
	switch {
	case f.StatusErr == nil && f.Status.Leader == "":
		return []Finding{found(Problem, fmt.Sprintf("there is no leader: %s (says node %s)", reason(f.Status), f.Status.ID), "covey why tells more; bring voters back")}
	case f.StatusErr == nil:
		return ok("%s leads in term %d (says node %s)", f.Status.Leader, f.Status.Term, f.Status.ID)
	case s.Client == nil || !s.RootKey:
		return skipped("the cluster is not asked without the root key; give --root-key-file")
	case errors.Is(f.StatusErr, errNotAsked):
		return skipped("no node answers on %s; name another with --endpoint", s.HTTPAddr)
	case errors.Is(f.StatusErr, client.ErrDenied):
		return []Finding{found(Problem, s.Endpoint+" does not take the root key", "give the cluster's own; it is the same on all nodes")}
	case strings.Contains(f.StatusErr.Error(), "tls: certificate required"): // crypto/tls has no type for it
		return []Finding{found(Problem, "the nodes let in clients with a certificate only", "give --client-cert and --client-key; covey cert client makes them")}
	case errors.As(f.StatusErr, &e) && e.Unreachable():
		return []Finding{found(Problem, fmt.Sprintf("no endpoint answers: %v", f.StatusErr), "start the node, or name one that runs with --endpoint")}
	}
	return []Finding{found(Problem, fmt.Sprintf("the cluster's state is not known: %v", f.StatusErr), "look at the log of the node")}
}

func reason(s client.Status) string {
	if s.Reason == "" {
		return "no reason is known"
	}
	return strings.TrimPrefix(s.Reason, "no leader: ")
}

const roleVoter = "voter"

// manyBehind is how many entries a member may be behind before it is told.
const manyBehind = 10_000

func judgeQuorum(s *Subject, f *Facts) (out []Finding) {
	if f.StatusErr != nil {
		return unasked(s, f)
	}
	voters, alive := 0, 0
	var down []string
	for _, m := range f.Status.Members {
		switch {
		case m.Role == roleVoter && m.Alive:
			voters, alive = voters+1, alive+1
		case m.Role == roleVoter:
			voters++
			down = append(down, m.ID)
		case m.Role != "" && m.Role != "non-voter" && m.Alive:
			out = append(out, found(Warning, fmt.Sprintf("node %s is alive and no member", m.ID), "covey why tells why; a node that was removed has to be stopped"))
		}
		if m.Alive && m.AppliedLag > manyBehind {
			out = append(out, found(Warning, fmt.Sprintf("node %s is %d entries behind the leader", m.ID, m.AppliedLag), "wait until it has caught up before another node stops; if it never does, its disk is too slow"))
		}
	}
	need := voters/2 + 1
	text := fmt.Sprintf("%d of %d voters are alive, %d are needed", alive, voters, need)
	if len(down) > 0 {
		text += "; down: " + strings.Join(down, ", ")
	}
	switch spare := alive - need; {
	case !f.Status.Quorum || spare < 0:
		out = append(out, found(Problem, text+": nothing can be written", "start the nodes that are down; if they are lost for good: covey cluster recover"))
	case spare == 0 && voters > 2:
		out = append(out, found(Problem, text+": the next loss stops writes", "start the nodes that are down, or replace them"))
	case len(down) > 0:
		out = append(out, found(Warning, text, "start the nodes that are down, or replace them"))
	case voters < 3:
		out = append(out, found(Warning, text+": no loss of a voter is survived", "run three nodes where the data matters"))
	}
	return orOK(out, "%s: the loss of %d is survived", text, alive-need)
}

func judgeReach(s *Subject, f *Facts) (out []Finding) {
	if f.StatusErr != nil {
		return unasked(s, f)
	}
	for _, r := range f.Members {
		if r.Err != nil {
			out = append(out, found(Problem, fmt.Sprintf("node %s is alive, but its address for %s, %s, does not answer here: %v", r.Who, r.What, r.Addr, r.Err),
				"open the port between the machines, or correct what that node advertises"))
		}
	}
	return orOK(out, "%d addresses of other members answer", len(f.Members))
}

// Differences between clocks. The leader's clock is that of the data: expiry
// and dates come from it, and it never goes back.
const (
	smallDifference = time.Second
	largeDifference = 10 * time.Second
)

func judgeClock(s *Subject, f *Facts) (out []Finding) {
	if f.StatusErr != nil {
		return unasked(s, f)
	}
	sampled := 0
	for _, c := range f.Clocks {
		if !c.Sampled {
			continue
		}
		sampled++
		off, side := c.Ahead, "ahead of"
		if off < 0 {
			off, side = -off, "behind"
		}
		least := off - c.Within // what is certain
		state := Warning
		if least > largeDifference {
			state = Problem
		}
		if least > smallDifference {
			out = append(out, found(state, fmt.Sprintf("the clock of node %s is %v %s this machine's", c.ID, off.Round(100*time.Millisecond), side),
				"keep all clocks with NTP (chronyc tracking); data expires by the clock of the node that leads"))
		}
	}
	if len(out) == 0 && sampled == 0 {
		return skipped("no other node's clock could be read")
	}
	return orOK(out, "the clocks of %d other nodes agree with this one", sampled)
}

func judgeReleases(s *Subject, f *Facts) []Finding {
	if f.StatusErr != nil {
		return unasked(s, f)
	}
	of := map[string][]string{}
	for _, m := range f.Status.Members {
		if m.Alive && m.Release != "" {
			of[m.Release] = append(of[m.Release], m.ID)
		}
	}
	var releases []string
	for release, ids := range of {
		releases = append(releases, fmt.Sprintf("%s on %s", release, strings.Join(ids, ", ")))
	}
	slices.Sort(releases)
	switch {
	case len(of) > 1:
		return []Finding{found(Warning, "the nodes run different releases: "+strings.Join(releases, "; "), "finish the upgrade: one node at a time, each until it is ready")}
	case len(of) == 1 && s.Local && f.Lives && !s.Chosen && s.Release != "" && of[s.Release] == nil:
		return []Finding{found(Warning, fmt.Sprintf("the nodes run %s, this binary is %s", releases[0], s.Release), "restart the nodes one at a time, or use their binary")}
	}
	return ok("all nodes run the same release")
}

func judgeKeyring(s *Subject, f *Facts) (out []Finding) {
	if f.KeysErr != nil {
		return unasked(s, f)
	}
	var silent []string
	for _, k := range f.Keys.Keys {
		if s.Local && !slices.Contains(k.Nodes, f.self(s)) || s.Local && f.self(s) == "" {
			out = append(out, judgeKey(s, f, k)...)
		}
		missing := slices.DeleteFunc(slices.Clone(k.Missing), func(id string) bool { return !holdsAny(f.Keys.Keys, id) })
		if len(k.PrimaryOn) > 0 && len(missing) > 0 {
			out = append(out, found(Problem, fmt.Sprintf("master key %s, which seals on %s, is missing on %s", k.ID, strings.Join(k.PrimaryOn, ", "), strings.Join(missing, ", ")),
				"give those nodes the keyring file of the others; see Master keys in docs/operations.md"))
		}
		for _, id := range k.Missing {
			if len(k.PrimaryOn) > 0 && !slices.Contains(missing, id) && !slices.Contains(silent, id) {
				silent = append(silent, id)
			}
		}
	}
	if len(silent) > 0 {
		out = append(out, found(Warning, fmt.Sprintf("%s told of no master key", strings.Join(silent, ", ")),
			"a node that has just started tells within seconds: look again; else start it with the --keyring-file of the others"))
	}
	out = append(out, runningKeyring(s, f)...)
	return orOK(out, "%d master keys, each on every node", len(f.Keys.Keys))
}

// holdsAny reports whether a node has told that it holds some master key.
func holdsAny(keys []client.MasterKey, id string) bool {
	return slices.ContainsFunc(keys, func(k client.MasterKey) bool { return slices.Contains(k.Nodes, id) })
}

// judgeKey judges a key that the cluster knows and the running node on this
// machine, if there is one, has not told that it holds.
func judgeKey(s *Subject, f *Facts, k client.MasterKey) []Finding {
	if s.Keyring != nil && s.Keyring.Holds(k.ID) || f.Lives && !s.Chosen {
		return nil // the rows of the running nodes say it all
	}
	where := "the keyring file lacks"
	if s.Keyring == nil {
		where = "no keyring file is named, so the node lacks"
	}
	state := Warning
	if len(k.PrimaryOn) > 0 || k.Sealed > 0 {
		state = Problem
	}
	return []Finding{found(state, fmt.Sprintf("%s master key %s, which is on %s", where, k.ID, strings.Join(k.Nodes, ", ")), "copy the keyring file of another node here, mode 600")}
}

func judgeGossip(s *Subject, f *Facts) (out []Finding) {
	if f.GossipErr != nil {
		return unasked(s, f)
	}
	out = runningGossip(s, f)
	if !f.Gossip.Encrypted {
		return orOK(out, "gossip is not encrypted")
	}
	if _, known := f.Gossip.Key(s.GossipKey); s.Local && s.Chosen && !known {
		state := Warning // a member gets the keys from the others, and keeps them
		if f.Folder.Empty {
			state = Problem
		}
		out = append(out, found(state, "the key in --gossip-key-file is none that the cluster uses", "take the file of another node; after a rotation, the key that covey keyring gossip list shows"))
	}
	for _, k := range f.Gossip.Keys {
		if len(k.UsedBy) > 0 && len(k.Missing) > 0 {
			out = append(out, found(Problem, fmt.Sprintf("gossip key %s, which %s send with, is missing on %s", k.ID, strings.Join(k.UsedBy, ", "), strings.Join(k.Missing, ", ")),
				"wait some seconds, as nodes get it by themselves; if it stays so, give those nodes the right --gossip-key-file"))
		}
	}
	return orOK(out, "%s", gossipText(s, f.Gossip, f.Folder.KeepsGossip))
}
