package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coveydb/covey/client"
)

// asksItself reports whether the node on this machine runs and is the one that
// has answered: what the cluster says of it can be held against its settings.
func asksItself(s *Subject, f *Facts) bool {
	return s.Local && f.Lives && !s.Chosen && f.StatusErr == nil && f.Status.ID != "" && f.Status.ID == f.self(s)
}

// runningKeyring compares the master keys that the running node says it has with
// those that its settings name, by their ids.
func runningKeyring(s *Subject, f *Facts) (out []Finding) {
	if !asksItself(s, f) {
		return nil
	}
	id, seals := f.Status.ID, ""
	var held, lost []string
	for _, k := range f.Keys.Keys {
		if slices.Contains(k.PrimaryOn, id) {
			seals = k.ID
		}
		if slices.Contains(k.Nodes, id) {
			held = append(held, k.ID)
			if !s.Keyring.Holds(k.ID) {
				lost = append(lost, k.ID)
			}
		}
	}
	unread := slices.DeleteFunc(s.Keyring.IDs(), func(k string) bool { return slices.Contains(held, k) })
	const log = "the node looks at the file every two seconds and its log says why it does not take it; after a change, look again"
	switch {
	case len(lost) > 0 && s.Keyring == nil:
		out = append(out, found(Problem, fmt.Sprintf("node %s runs with master key %s, and its settings name no keyring that can be read: from its next start on it cannot open what that has sealed", id, strings.Join(lost, ", ")),
			"name the keyring of the other nodes with --keyring-file, mode 600"))
	case len(lost) > 0:
		out = append(out, found(Problem, fmt.Sprintf("node %s runs with master key %s, which the keyring that its settings name lacks: from its next start on it cannot open what that has sealed", id, strings.Join(lost, ", ")),
			"copy the keyring file of another node here, mode 600"))
	case len(held) == 0 && len(unread) > 0:
		out = append(out, found(Warning, fmt.Sprintf("node %s runs and has told of no master key, though its settings name a keyring with %s", id, strings.Join(unread, ", ")),
			"one that has just started tells within seconds: look again; else it was started without --keyring-file: restart it"))
	case len(unread) > 0:
		out = append(out, found(Warning, fmt.Sprintf("node %s runs without master key %s, which the keyring that its settings name has", id, strings.Join(unread, ", ")), log))
	case seals != "" && seals != s.Keyring.Primary():
		out = append(out, found(Warning, fmt.Sprintf("node %s seals with master key %s, and the keyring that its settings name with %s", id, seals, s.Keyring.Primary()), log))
	}
	return out
}

// runningGossip compares the gossip keys that the running node says it has with
// the one that its settings name, by their names. A node's own copy of the keys
// counts more than the file.
func runningGossip(s *Subject, f *Facts) []Finding {
	if !asksItself(s, f) || f.Folder.KeepsGossip || f.Folder.Empty { // of that one another check tells
		return nil
	}
	id := f.Status.ID
	if !f.Gossip.Encrypted {
		if s.GossipKey == "" {
			return nil
		}
		return []Finding{found(Problem, fmt.Sprintf("node %s gossips in clear text, though its settings name gossip key %s: it was started without it", id, s.GossipKey),
			"restart all nodes with the same --gossip-key-file: those with a key and those without do not hear each other")}
	}
	var held []string
	for _, k := range f.Gossip.Keys {
		if slices.Contains(k.HeldBy, id) {
			held = append(held, k.ID)
		}
	}
	switch {
	case len(held) == 0 || slices.Contains(held, s.GossipKey):
		return nil
	case s.GossipKey == "":
		return []Finding{found(Problem, fmt.Sprintf("node %s gossips with key %s, and its settings name none: from its next start on the others do not hear it", id, strings.Join(held, ", ")),
			"name the gossip key of the other nodes with --gossip-key-file")}
	}
	return []Finding{found(Problem, fmt.Sprintf("node %s gossips with key %s, and --gossip-key-file holds another one, %s: from its next start on the others do not hear it", id, strings.Join(held, ", "), s.GossipKey),
		"copy the gossip key file of another node here, mode 600")}
}

// gossipText says which keys there are, and whether the file still counts.
func gossipText(s *Subject, keys client.GossipKeys, kept bool) string {
	text := fmt.Sprintf("%d gossip keys, each on every node", len(keys.Keys))
	if _, known := keys.Key(s.GossipKey); s.GossipKey != "" && !known && kept {
		text += "; that in --gossip-key-file is of before a rotation, and the copy in the data folder counts"
	}
	return text
}
