package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// promoted is how many variables a promotion of these tests has.
const promoted = 500

// A promotion of 500 variables is whole or absent when the leader is killed in
// the middle of it; repeated under its Idempotency-Key it is done once, and the
// histories that all nodes tell have no gap.
func TestAPromotionIsWholeOrAbsentWhenTheLeaderDies(t *testing.T) {
	t.Parallel()
	x := newPair(t)
	rounds := size(3, 20)
	outcomes := map[string]int{}
	for round := 1; round <= rounds; round++ {
		value := fmt.Sprint("round-", round)
		x.ada.want(x.servers[round%3], 200, "POST", fmt.Sprintf("/api/environments/%d/import/", x.staging),
			fields{"data": dotenv(promoted, value)})
		leader := leaderOf(t, x.servers)
		key := fmt.Sprintf("promotion-of-round-%08d", round)
		through := leader // which takes the promotion with it, if it is not done
		if round%3 == 0 {
			through = followerOf(t, x.servers) // which goes on with it at the next leader
		}
		answered := make(chan bool, 1)
		go func() {
			code, _, err := x.promote(through, key)
			answered <- err == nil && code == 200
		}()
		time.Sleep(time.Duration(rand.N(40)) * time.Millisecond) // anywhere in the promotion
		leader.kill()
		done := <-answered

		seen := x.uniform(x.servers, leader)
		switch {
		case done && seen != value:
			t.Fatalf("round %d: the promotion was acknowledged, and all values are %q", round, seen)
		case seen == value:
			outcomes["whole"]++
		case round == 1 && seen == "" || seen == fmt.Sprint("round-", round-1):
			outcomes["absent"]++
		default:
			t.Fatalf("round %d: all values are %q", round, seen)
		}
		x.repeat(key, leader)
		if seen := x.uniform(x.servers, leader); seen != value {
			t.Fatalf("round %d: after the repeat all values are %q", round, seen)
		}
		leader.start()
		leader.waitReady(patience)
	}
	t.Logf("what was seen after the kills: %v", outcomes)
	for _, s := range x.servers {
		x.dense(s, rounds)
	}
}

// promote sends the promotion through a node.
func (x *pair) promote(s *server, key string) (code int, answer string, err error) {
	return s.do("POST", fmt.Sprintf("/api/environments/%d/promote/", x.staging), fmt.Sprintf(`{"to":%d}`, x.production), map[string]string{
		"Authorization": "Token " + x.ada.token, "Content-Type": "application/json", "Idempotency-Key": key,
	})
}

// repeat sends it through the nodes that are up until it is acknowledged.
func (x *pair) repeat(key string, down *server) {
	x.t.Helper()
	up := others(x.servers, down)
	up[0].waitFor("done with the promotion", patience, func() error {
		code, answer, err := x.promote(up[rand.N(len(up))], key)
		if err == nil && code != 200 {
			err = fmt.Errorf("%d %s", code, answer)
		}
		if err == nil || code >= 500 {
			return err
		}
		x.t.Fatalf("promotion: %v", err)
		return nil
	})
}

func others(servers []*server, but *server) []*server {
	return slices.DeleteFunc(slices.Clone(servers), func(s *server) bool { return s == but })
}

// uniform returns the value that all variables of the target have, "" if there
// are none: there are all of them or none, through each node that is up.
func (x *pair) uniform(servers []*server, down *server) (value string) {
	x.t.Helper()
	for i, s := range others(servers, down) {
		var values map[string]string
		s.waitFor("back", patience, func() error {
			r, err := x.ada.try(s, "GET", fmt.Sprintf("/api/environments/%d/export/?format=json", x.production), nil)
			if err == nil && r.status != 200 {
				err = fmt.Errorf("%d %s", r.status, r.text)
			}
			if err != nil {
				return err
			}
			return json.Unmarshal([]byte(r.text), &values)
		})
		different := map[string]bool{}
		for _, v := range values {
			different[v] = true
		}
		if len(values) != 0 && len(values) != promoted || len(different) > 1 {
			x.t.Fatalf("through %s there are %d of %d variables, with values %v", s.id, len(values), promoted, slices.Sorted(maps.Keys(different)))
		}
		if i > 0 && value != values["KEY_0000"] {
			x.t.Fatalf("through %s all values are %q, through another node %q", s.id, values["KEY_0000"], value)
		}
		value = values["KEY_0000"]
	}
	return value
}

// dense checks that a node tells a version of every variable for every round, the
// last ten of them, and of each the value that it had.
func (x *pair) dense(s *server, rounds int) {
	x.t.Helper()
	r := x.ada.want(s, 200, "GET", fmt.Sprintf("/api/environments/%d/variables/", x.production), nil)
	var all struct {
		Results []struct{ ID, Version int }
	}
	if err := json.Unmarshal([]byte(r.text), &all); err != nil {
		x.t.Fatal(err)
	}
	if len(all.Results) != promoted {
		x.t.Fatalf("%s has %d variables", s.id, len(all.Results))
	}
	for i, v := range all.Results {
		if v.Version != rounds {
			x.t.Fatalf("%s: variable %d has version %d after %d promotions", s.id, v.ID, v.Version, rounds)
		}
		if !*full && i%50 != 0 {
			continue
		}
		r := x.ada.want(s, 200, "GET", fmt.Sprintf("/api/variables/%d/versions/", v.ID), nil)
		var history struct {
			Results []struct {
				Version int
				Value   string `json:"decrypted_value"`
			}
		}
		if err := json.Unmarshal([]byte(r.text), &history); err != nil {
			x.t.Fatal(err)
		}
		if len(history.Results) != min(rounds, 10) {
			x.t.Errorf("%s: variable %d has %d versions: %s", s.id, v.ID, len(history.Results), r.text)
		}
		for j, h := range history.Results {
			if want := rounds - j; h.Version != want || h.Value != fmt.Sprint("round-", want) {
				x.t.Errorf("%s: version %d of variable %d is version %d, %q", s.id, want, v.ID, h.Version, h.Value)
			}
		}
	}
}
