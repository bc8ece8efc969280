package node_test

import (
	"os"
	"testing"
	"time"
)

// A voter that lost its folder does not help one to lead that was down when
// others, and it, acknowledged writes.
func TestAWipedVoterElectsNobodyWhoLacksWhatItAcknowledged(t *testing.T) {
	members := newCluster(t, 3)
	lead := leaderOf(t, members)
	var others []*member
	for _, m := range members {
		if m != lead {
			others = append(others, m)
		}
	}
	behind, wiped := others[0], others[1]
	behind.stop()
	lead.set("k", "acknowledged")
	lead.stop()
	wiped.stop()
	if err := os.RemoveAll(wiped.config.DataDir); err != nil {
		t.Fatal(err)
	}
	wiped.config.Join = []string{behind.config.GossipAddr}
	behind.start()
	wiped.start()
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if behind.IsLeader() || wiped.IsLeader() {
			t.Fatal("a node leads without what was acknowledged")
		}
	}
	lead.start()
	wiped.waitReady()
	if got := wiped.get("k"); got != "acknowledged" {
		t.Errorf("k is %q", got)
	}
}
