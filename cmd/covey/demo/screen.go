package demo

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/coveydb/covey/client"
)

// quietFor is how long the status line may stay away when the output is no
// terminal and nothing changes.
const quietFor = 10 * time.Second

// screen writes messages, and below them one line of status.
type screen struct {
	out      io.Writer
	terminal bool
	line     string // the status line on the terminal
	said     string // what the last printed status line was about
	saidAt   time.Time
}

// message prints one line above the status line.
func (s *screen) message(format string, args ...any) { s.print(fmt.Sprintf(format, args...) + "\n") }

// print writes text above the status line, which is drawn again.
func (s *screen) print(text string) {
	if s.terminal && s.line != "" {
		fmt.Fprintf(s.out, "\r\x1b[K%s%s", text, s.line)
		return
	}
	io.WriteString(s.out, text)
}

// status shows line: in place on a terminal, elsewhere only when about, which
// is what matters in it, has changed or ten seconds have passed.
func (s *screen) status(line, about string, now time.Time) {
	if s.terminal {
		s.line = line
		fmt.Fprintf(s.out, "\r\x1b[K%s", line)
		return
	}
	if about == s.said && now.Sub(s.saidAt) < quietFor {
		return
	}
	s.said, s.saidAt = about, now
	io.WriteString(s.out, line+"\n")
}

// end leaves the status line where it is.
func (s *screen) end() {
	if s.terminal && s.line != "" {
		io.WriteString(s.out, "\n")
		s.line = ""
	}
}

// welcome is what a person reads first.
func (d *demo) welcome(ctx context.Context) string {
	var b strings.Builder
	kept := "deleted at the end"
	if d.cfg.DataDir != "" {
		kept = "kept"
	}
	fmt.Fprintf(&b, "\nCovey is up: %d nodes, data and logs in %s (%s).\n\n", len(d.nodes), d.dir, kept)
	fmt.Fprintf(&b, "  %-5s %-24s %-17s %-17s %s\n", "NODE", "HTTP", "PEERS", "GOSSIP", "PID")
	for _, c := range d.nodes {
		fmt.Fprintf(&b, "  %-5s %-24s %-17s %-17s %d\n", c.id, c.url(), c.at.peer, c.at.gossip, d.pids[c.id])
	}
	if d.newKey != "" {
		fmt.Fprintf(&b, "\nRoot key, shown this once and kept in %s:\n  %s\n", filepath.Join(d.dir, rootKeyFile), d.newKey)
	}
	if d.newRestKey != "" {
		fmt.Fprintf(&b, "\nRestDB key, shown this once and kept in %s:\n  %s\n", filepath.Join(d.dir, restKeyFile), d.newRestKey)
	}
	restKey := fmt.Sprintf(`-H "x-apikey: $(cat %s)"`, shellQuote(filepath.Join(d.dir, restKeyFile)))
	url := func(i int) string { return d.nodes[i%len(d.nodes)].url() }
	fmt.Fprintf(&b, "\nPaste into another terminal:\n\n")
	for _, l := range []struct{ line, note string }{
		{fmt.Sprintf("curl -X PUT -d world %s/%s/hello", url(0), bucketID), "write through one node"},
		{fmt.Sprintf("curl -w '\\n' %s/%s/hello", url(1), bucketID), "read through another"},
		{fmt.Sprintf("curl -w '\\n' -X PATCH -d +1 %s/%s/hits", url(2), bucketID), "count, as often as you like"},
		{fmt.Sprintf("curl -X PUT -d soon-gone '%s/%s/flash?ttl=10'", url(0), bucketID), "a key for ten seconds"},
		{fmt.Sprintf("curl -w '\\n' '%s/%s/?values=true&format=json'", url(1), bucketID), "list all"},
		{fmt.Sprintf(`curl -w '\n' %s -d name=Ada %s/rest/people`, restKey, url(0)), "store a document"},
		{fmt.Sprintf(`curl -w '\n' %s -g '%s/rest/people?q={"name":"Ada"}'`, restKey, url(1)), "find it"},
		{fmt.Sprintf("curl -w '\\n' -d 'username=ada&email=ada@example.com&password=lovelace-1815' %s/api/auth/register/", url(0)), "a user with a token, for secrets"},
		{fmt.Sprintf(`curl -w '\n' -H "Authorization: Bearer $(cat %s)" %s/cluster/status`, shellQuote(filepath.Join(d.dir, rootKeyFile)), url(2)), "how the cluster is"},
	} {
		fmt.Fprintf(&b, "  %-74s # %s\n", l.line, l.note)
	}
	leader := d.nodes[0].id
	if s, err := d.client.Status(ctx); err == nil && d.pids[s.Leader] != 0 {
		leader = s.Leader
	}
	fmt.Fprintf(&b, "\nKill the leader, and see that the counter goes on from where it was:\n\n")
	fmt.Fprintf(&b, "  %-74s # %s leads; it starts again after %v\n", fmt.Sprintf("kill -9 %d", d.pids[leader]), leader, d.cfg.Restart)
	fmt.Fprintf(&b, "\nCtrl-C stops the cluster.\n\n")
	return b.String()
}

// shellQuote quotes text for a shell where it needs it.
func shellQuote(text string) string {
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// watch shows the status and what happens to the nodes until ctx ends.
func (d *demo) watch(ctx context.Context, events <-chan event) {
	defer d.screen.end()
	answers := make(chan statusAnswer, 1)
	ask := func() {
		s, err := d.client.Status(ctx)
		answers <- statusAnswer{s, err}
	}
	asking := true // one question at a time; events never wait for its answer
	go ask()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if asking {
				<-answers
			}
			return
		case e := <-events:
			d.happened(e)
		case a := <-answers:
			asking = false
			line, about := d.statusLine(a)
			d.screen.status(line, about, time.Now())
		case <-tick.C:
			if !asking {
				asking = true
				go ask()
			}
		}
	}
}

type statusAnswer struct {
	status client.Status
	err    error
}

func (d *demo) happened(e event) {
	if !e.ended {
		d.pids[e.child.id] = e.pid
		d.screen.message("%s started again, pid %d.", e.child.id, e.pid)
		return
	}
	delete(d.pids, e.child.id)
	how := "ended"
	if e.err != nil {
		how = "ended (" + e.err.Error() + ")"
	}
	d.screen.message("%s, pid %d, %s; it starts again in %v.", e.child.id, e.pid, how, d.cfg.Restart)
}

// statusLine returns the line, and what in it is worth a new line when it
// changes.
func (d *demo) statusLine(a statusAnswer) (line, about string) {
	running := fmt.Sprintf("%d/%d nodes run", len(d.pids), len(d.nodes))
	if a.err != nil {
		return "no status: " + a.err.Error() + " | " + running, running
	}
	s := a.status
	if s.Leader == "" {
		reason := s.Reason
		if reason == "" {
			reason = "no leader"
		}
		return reason + " | " + running, reason + running
	}
	alive := 0
	for _, m := range s.Members {
		if m.Alive {
			alive++
		}
	}
	about = fmt.Sprintf("leader %s (pid %d) | term %d", s.Leader, d.pids[s.Leader], s.Term)
	if d.pids[s.Leader] == 0 {
		about = fmt.Sprintf("leader %s | term %d", s.Leader, s.Term)
	}
	end := fmt.Sprintf("%d of %d members alive | %s", alive, len(s.Members), running)
	return fmt.Sprintf("%s | version %d | %s", about, s.Version, end), about + end
}
