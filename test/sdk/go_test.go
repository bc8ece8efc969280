package sdk

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/test/cluster"
)

// Whatever becomes of the leader, a variable is created once, and each change of
// one makes one version.
func TestTheGoClientWritesOnceWhileLeadersDie(t *testing.T) {
	t.Parallel()
	c := cluster.Start(t, binary, 3)
	token, _, _, environment := account(t, c.Nodes[0].URL(), "gopher")
	cl, err := client.New(client.Config{Endpoints: c.URLs(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	n, ctx := cl.Nest(token), t.Context()
	counter, err := n.CreateVariable(ctx, uint64(environment), "COUNTER", "0")
	if err != nil {
		t.Fatal(err)
	}
	stop := c.KillLeaders(t, 5*time.Second)
	begin, rounds := time.Now(), 0
	for ; time.Since(begin) < time.Duration(size(6, 60))*time.Second && rounds < 9_000; rounds++ { // an environment has room for 10,000
		key := fmt.Sprintf("KEY_%d", rounds)
		if v, err := n.CreateVariable(ctx, uint64(environment), key, key); err != nil || v.Key != key || v.Version != 1 {
			t.Fatalf("create %s: %+v, %v", key, v, err)
		}
		value := fmt.Sprint(rounds + 1)
		v, err := n.UpdateVariable(ctx, counter.ID, client.NestVariableChange{Value: &value, Version: uint64(rounds + 1)})
		if err != nil || v.Version != uint64(rounds+2) {
			t.Fatalf("change %d: %+v, %v", rounds+1, v, err)
		}
	}
	killed := stop()
	all, _, err := n.Variables(ctx, uint64(environment), client.NestVariableQuery{})
	if err != nil || len(all) == 0 {
		t.Fatalf("%d variables, %v", len(all), err)
	}
	if len(all) != rounds+1 || all[0].Value != fmt.Sprint(rounds) || all[0].Version != uint64(rounds+1) {
		t.Errorf("%d variables after %d rounds; the counter is %+v", len(all), rounds, all[0])
	}
	if _, err := n.CreateVariable(ctx, uint64(environment), "KEY_0", ""); !errors.Is(err, client.ErrConflict) {
		t.Errorf("a key twice: %v", err)
	}
	if killed == 0 || rounds < 10 {
		t.Errorf("%d rounds, %d leaders killed", rounds, killed)
	}
	t.Logf("%d rounds, %d leaders killed", rounds, killed)
}
