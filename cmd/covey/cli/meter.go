package cli

import (
	"fmt"
	"sync/atomic"
	"time"
)

// meter tells on stderr how far a long transfer is: each second in place on a
// terminal, else a line in ten seconds.
type meter struct {
	a            *app
	what         string
	total        int64 // bytes; 0 = nobody knows
	began        time.Time
	count, bytes atomic.Int64
	end, ended   chan struct{}
}

// meter starts one. The caller stops it.
func (a *app) meter(what string, total int64) *meter {
	m := &meter{a: a, what: what, total: total, began: time.Now(), end: make(chan struct{}), ended: make(chan struct{})}
	every := 10 * time.Second
	if a.env.StderrTerminal {
		every = time.Second
	}
	go m.run(every)
	return m
}

func (m *meter) add(count, bytes int64) {
	m.count.Add(count)
	m.bytes.Add(bytes)
}

// stop returns when nothing more is written.
func (m *meter) stop() {
	close(m.end)
	<-m.ended
}

func (m *meter) run(every time.Duration) {
	defer close(m.ended)
	tick := time.NewTicker(every)
	defer tick.Stop()
	shown := false
	for {
		select {
		case now := <-tick.C:
			line := m.line(now.Sub(m.began))
			if m.a.env.StderrTerminal {
				shown, line = true, "\r\x1b[K"+line+"\r"
			} else {
				line += "\n"
			}
			fmt.Fprint(m.a.env.Stderr, line)
		case <-m.end:
			if shown {
				fmt.Fprint(m.a.env.Stderr, "\r\x1b[K")
			}
			return
		}
	}
}

// line says what is done after so long.
func (m *meter) line(elapsed time.Duration) string {
	count, size := m.count.Load(), m.bytes.Load()
	text := fmt.Sprintf("%d %s, ", count, m.what)
	if size > 0 || count == 0 { // not all that is counted has a size
		text += byteText(size) + ", "
	}
	text += fmt.Sprintf("%.0f/s", float64(count)/elapsed.Seconds())
	if m.total > 0 && size > 0 {
		left := time.Duration(float64(elapsed) * float64(max(m.total-size, 0)) / float64(size))
		text += fmt.Sprintf(", %v left", left.Round(time.Second))
	}
	return text
}

// byteText shortens a size.
func byteText(n int64) string {
	const unit = 1024
	size, units := float64(n), "KMGTPE"
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	i := -1
	for size >= unit && i < len(units)-1 {
		size /= unit
		i++
	}
	return fmt.Sprintf("%.1f %ciB", size, units[i])
}
