package recovery

import (
	"slices"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
)

// opNames are the kinds of operations, by command.OpKind.
var opNames = [...]string{
	command.Set: "set", command.Delete: "delete", command.DeleteSpan: "delete span",
	command.Add: "add", command.Touch: "touch", command.Reap: "reap",
}

// readTail tells what the log holds behind an index.
func readTail(logs raft.LogStore, known, last uint64) (Tail, error) {
	var t Tail
	if known >= last {
		return t, nil
	}
	t.First, t.Last, t.Ops = known+1, last, make(map[string]uint64)
	for i := known + 1; i <= last; i++ {
		var e raft.Log
		if err := logs.GetLog(i, &e); err != nil {
			return t, errs.E(errs.Invalid, "entry %d of the log: %w", i, err)
		}
		switch e.Type {
		case raft.LogConfiguration:
			t.Changes++
		case raft.LogCommand:
			if err := t.entry(e.Data); err != nil {
				return t, errs.E(errs.Invalid, "entry %d of the log: %w", i, err)
			}
		}
	}
	if len(t.Ops) == 0 {
		t.Ops = nil
	}
	return t, nil
}

func (t *Tail) entry(data []byte) error {
	e, err := command.DecodeEntry(data)
	if err != nil {
		return err
	}
	if e.Commands == nil {
		t.Pieces++
		return nil
	}
	for _, p := range e.Commands {
		c, err := command.Decode(p)
		if err != nil {
			return err
		}
		t.Commands++
		for _, o := range c.Ops {
			t.Ops[opNames[o.Kind]]++
		}
	}
	return nil
}

// configuration returns the last configuration in the log behind an index.
func configuration(logs raft.LogStore, behind, last uint64, conf raft.Configuration) (raft.Configuration, error) {
	for i := last; i > behind; i-- {
		var e raft.Log
		if err := logs.GetLog(i, &e); err != nil {
			return conf, errs.E(errs.Invalid, "entry %d of the log: %w", i, err)
		}
		if e.Type == raft.LogConfiguration {
			return raft.DecodeConfiguration(e.Data), nil
		}
	}
	return conf, nil
}

// split returns the ids of a configuration's servers, in order.
func split(conf raft.Configuration) (voters, others []string) {
	for _, s := range conf.Servers {
		if s.Suffrage == raft.Voter {
			voters = append(voters, string(s.ID))
		} else {
			others = append(others, string(s.ID))
		}
	}
	slices.Sort(voters)
	slices.Sort(others)
	return voters, others
}
