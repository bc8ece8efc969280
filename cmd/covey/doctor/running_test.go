package doctor

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/internal/seal"
)

// What a running node says of itself is held against its settings and folder.
func TestARunningNodeIsComparedWithItsSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	if _, err := seal.Create(path); err != nil {
		t.Fatal(err)
	}
	ring, err := seal.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	own := ring.Primary()
	master := func(ids ...string) (k client.KeyringStatus) {
		for _, id := range ids {
			m := client.MasterKey{ID: id, Nodes: []string{"n1", "n2"}}
			if len(k.Keys) == 0 {
				m.PrimaryOn = m.Nodes
			}
			k.Keys = append(k.Keys, m)
		}
		return k
	}
	gossip := func(id string) client.GossipKeys {
		return client.GossipKeys{Encrypted: true, Keys: []client.GossipKey{{ID: id, HeldBy: []string{"n1", "n2"}, UsedBy: []string{"n1", "n2"}}}}
	}
	full, kept := Folder{NodeID: "n1", ClusterID: "c1"}, Folder{NodeID: "n1", ClusterID: "c1", KeepsGossip: true}
	for _, tt := range []struct {
		name      string
		ring      *seal.Keyring
		gossipKey string
		facts     Facts
		check     string
		state     State
		says      string
	}{
		{"its folder", nil, "", Facts{Folder: full}, "data-folder", OK, "belongs to node n1"},
		{"a folder that was emptied", nil, "", Facts{Folder: Folder{Empty: true}}, "data-folder", Problem, "emptied or replaced under the running node"},
		{"a folder without a node, and nobody tells who runs", nil, "", Facts{Folder: Folder{Empty: true}, StatusErr: errNotAsked, KeysErr: errNotAsked, GossipErr: errNotAsked}, "data-folder", Warning, "if it is this one"},
		{"a folder that was replaced", nil, "", Facts{Folder: Folder{NodeID: "n1", ClusterID: "c2"}}, "data-folder", Problem, "it was replaced under the running node"},
		{"the same keyring", ring, "", Facts{Keys: master(own)}, "keyring", OK, ""},
		{"a keyring without the node's key", ring, "", Facts{Keys: master(own, "feed")}, "keyring", Problem, "runs with master key feed, which the keyring that its settings name lacks"},
		{"no keyring in the settings", nil, "", Facts{Keys: master("feed")}, "keyring", Problem, "name no keyring"},
		{"a keyring that the node has not", ring, "", Facts{}, "keyring", Warning, "has told of no master key"},
		{"another primary key", ring, "", Facts{Keys: client.KeyringStatus{Keys: []client.MasterKey{
			{ID: own, Nodes: []string{"n1"}}, {ID: "feed", Nodes: []string{"n1"}, PrimaryOn: []string{"n1"}},
		}}}, "keyring", Problem, "feed"},
		{"the same gossip key", nil, "k1", Facts{Gossip: gossip("k1")}, "gossip-keys", OK, ""},
		{"another gossip key", nil, "k0", Facts{Gossip: gossip("k1")}, "gossip-keys", Problem, "--gossip-key-file holds another one, k0"},
		{"another gossip key, from before a rotation", nil, "k0", Facts{Gossip: gossip("k1"), Folder: kept}, "gossip-keys", OK, "the copy in the data folder counts"},
		{"no gossip key in the settings", nil, "", Facts{Gossip: gossip("k1")}, "gossip-keys", Problem, "its settings name none"},
		{"gossip in clear text", nil, "k0", Facts{}, "gossip-keys", Problem, "in clear text"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Subject{Local: true, ID: "n1", DataDir: "/data", HTTPAddr: "127.0.0.1:8700", Keyring: tt.ring, GossipKey: tt.gossipKey}
			tt.facts.Lives, tt.facts.Status = true, client.Status{ID: "n1", ClusterID: "c1", Leader: "n1"}
			found := Judge(s, &tt.facts)
			i := slices.IndexFunc(found, func(f Finding) bool { return f.Check == tt.check })
			if got := found[i]; got.State != tt.state || !strings.Contains(got.Text, tt.says) || (got.Do == "") != (got.State == OK) {
				t.Errorf("%+v, want %s with %q", got, tt.state, tt.says)
			}
		})
	}
}

func TestAnAddressIsTriedTwice(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	to := []Reach{{What: "gossip", Addr: addr}, {What: "peers", Addr: "127.0.0.1:1", Own: true}}
	said := make(chan string, 1)
	go func() { // it begins to listen between the tries
		time.Sleep(dialPause / 2)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			said <- err.Error()
			return
		}
		defer l.Close()
		conn, err := l.Accept()
		if err != nil {
			said <- err.Error()
			return
		}
		defer conn.Close()
		p, _ := io.ReadAll(conn)
		said <- string(p)
	}()
	if dialAll(t.Context(), to); to[0].Err != nil {
		t.Fatal(to[0].Err)
	}
	if got := <-said; got != gossipHello {
		t.Errorf("it says %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if dialAll(ctx, to); to[0].Err == nil {
		t.Error("it dials when there is no time left")
	}
}

func TestJoinThatNamesOnlyItself(t *testing.T) {
	f := &Facts{StatusErr: errNotAsked, Joins: []Reach{{What: "gossip", Addr: "10.0.0.1:8702", Own: true}}}
	s := &Subject{Local: true}
	if got := judgeJoin(s, f); len(got) != 1 || got[0].State != Warning || !strings.Contains(got[0].Do, "--join 10.0.0.1:8702,HOST:8702") {
		t.Errorf("%+v", got)
	}
	s.Expect = 1
	if got := judgeJoin(s, f); len(got) != 1 || got[0].State != OK {
		t.Errorf("a cluster of one: %+v", got)
	}
}
