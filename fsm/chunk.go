package fsm

import (
	"encoding/binary"
	"fmt"

	"github.com/coveydb/covey/fsm/command"
)

// chunk keeps one piece of a large command in the state, so that snapshots and
// restarts hold it, and applies the whole when the last piece comes.
func (a *applier) chunk(c *command.Chunk) (command.Result, error) {
	if c.Seq < c.Total-1 {
		return a.keep(c), nil
	}
	res := command.Result{Outcome: command.Waiting, Version: a.st.Version, Time: a.st.Clock}
	whole, complete, err := a.assemble(c)
	if err != nil {
		return res, err
	}
	if !complete {
		res.Outcome = command.Forgotten
		res.Msg = "parts of the large transaction were given up before its last part came"
		return res, nil
	}
	a.dropChunks(c.Set)
	if res, err = a.encoded(whole); err != nil {
		return res, fmt.Errorf("chunked command: %w", err)
	}
	return res, nil
}

// keep stores a piece that is not the last one.
func (a *applier) keep(c *command.Chunk) command.Result {
	a.b.Set(chunkKey(c.Set, c.Seq), c.Data)
	a.b.Set(chunkSetKey(c.Set), binary.AppendUvarint(nil, uint64(a.st.Clock)))
	return command.Result{Outcome: command.Waiting, Version: a.st.Version, Time: a.st.Clock}
}

func (a *applier) assemble(last *command.Chunk) (whole []byte, complete bool, err error) {
	for seq := range last.Total - 1 {
		p, ok, err := a.b.Get(chunkKey(last.Set, seq))
		if err != nil || !ok {
			return nil, false, err
		}
		if len(whole)+len(p) > command.MaxBytes {
			return nil, false, fmt.Errorf("%w (chunks over the limit of a command)", errCorrupt)
		}
		whole = append(whole, p...)
	}
	return append(whole, last.Data...), true, nil
}

func (a *applier) dropChunks(set command.ID) {
	a.b.Delete(chunkSetKey(set))
	a.b.DeleteSpan(chunkKey(set, 0), chunkKey(set, 1<<63))
}
