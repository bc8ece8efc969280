package node

import "testing"

func TestTheLogIsKeptByBytes(t *testing.T) {
	const most = 10_240
	t.Run("small entries are kept by number", func(t *testing.T) {
		var l logSize
		for i := range uint64(20_000) {
			l.add(i+1, 200)
		}
		if got := l.trailing(20_000, most); got != most || l.due() {
			t.Errorf("%d entries stay", got)
		}
	})
	t.Run("large ones by bytes", func(t *testing.T) {
		var l logSize
		snapshots := 0
		for i := range uint64(20_000) {
			l.add(i+1, 256<<10)
			if l.due() {
				snapshots++
			}
		}
		if got := l.trailing(20_000, most); got > trailingBytes>>18+8 || got < trailingBytes>>18-8 {
			t.Errorf("%d entries stay", got)
		}
		if snapshots != 20_000>>9 || len(l.marks) > trailingBytes>>20+3 {
			t.Errorf("%d snapshots, %d marks", snapshots, len(l.marks))
		}
		for i := range uint64(20_000) { // and small ones again
			l.add(20_000+i+1, 50_000)
		}
		if got := l.trailing(40_000, most); got < trailingBytes/50_000-100 || got > trailingBytes/50_000+100 {
			t.Errorf("%d entries stay", got)
		}
	})
	t.Run("a few huge ones stay", func(t *testing.T) {
		var l logSize
		for i := range uint64(500) {
			l.add(i+1, 32<<20)
		}
		if got := l.trailing(500, most); got != leastTrailing {
			t.Errorf("%d entries stay", got)
		}
		if got := l.trailing(500, 10); got != 10 {
			t.Errorf("%d entries stay, 10 are wanted", got)
		}
	})
}
