package fsm

import "github.com/coveydb/covey/fsm/command"

// ring finds the last commands by id. Each command's id and result stand in
// the store in slot version mod size; this is the index over them.
type ring struct {
	ids      []command.ID // by slot
	versions map[command.ID]uint64
}

func newRing(size uint64) ring {
	return ring{ids: make([]command.ID, size), versions: make(map[command.ID]uint64, size)}
}

func decodeRemembered(p []byte) (command.ID, command.Result, error) {
	var id command.ID
	if len(p) < len(id) {
		return id, command.Result{}, errCorrupt
	}
	n := copy(id[:], p)
	res, err := command.DecodeResult(p[n:])
	return id, res, err
}

// find returns the version at which id was applied.
func (g *ring) find(id command.ID) (version uint64, ok bool) {
	version, ok = g.versions[id]
	return version, ok
}

// put remembers id at version, in the place of the command ring-size versions
// before it.
func (g *ring) put(id command.ID, version uint64) {
	slot := version % uint64(len(g.ids))
	if old := g.ids[slot]; g.versions[old]%uint64(len(g.ids)) == slot {
		delete(g.versions, old)
	}
	g.ids[slot] = id
	g.versions[id] = version
}
