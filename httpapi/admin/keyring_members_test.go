package admin

import (
	"testing"

	"github.com/coveydb/covey/cluster"
)

func TestWhoIsNoMemberIsNotWaitedForWithMasterKeys(t *testing.T) {
	s := newSafe(t)
	s.cluster.status.Members = append(s.cluster.status.Members, cluster.Member{ID: "n3", Role: cluster.RoleNone, Alive: true})
	if k := s.status("").key(s.old); len(k.Missing) != 0 {
		t.Errorf("it is missing on %v", k.Missing)
	}
	s.cluster.status.Members[2].Role = cluster.RoleVoter
	if k := s.status("").key(s.old); len(k.Missing) != 1 {
		t.Errorf("a member that has said nothing is not counted: %+v", k)
	}
}
