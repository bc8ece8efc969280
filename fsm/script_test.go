package fsm

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coveydb/covey/fsm/command"
)

var update = flag.Bool("update", false, "write what the machine answers into the scripts")

// The scripts of testdata/*.txt. A line that begins with "> " is a step; the
// lines after it, up to an empty one, are what the machine answered.
//
//	> machine ring=N [history=N] a new machine
//	> floor N                    commands that read before version N are refused
//	> entry STAMP COMMAND | …    apply one entry; each answer is a line
//	> chunk STAMP N/TOTAL COMMAND  apply one piece of a large command
//	> reopen                     close the store, and open it again
//	> dump [NOW]                 live records, at the machine's clock or NOW
//	> inside                     the expiry index, chunks and remembered ids
//	> history FROM               the changes of the versions from FROM on
//	> due NOW                    whether a reap has work
//
// A COMMAND is clauses with a ";" between: id=N since=N version=N at=MS
// reply=TEXT, "read KEY LIVE", "set KEY VALUE [TTL]", "add KEY NUMBER [TTL]",
// "touch KEY [TTL]", "delete KEY", "reap LIMIT". A KEY of the form lo..hi is a
// span.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, file, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want := strings.Split(string(text), "\n")
			for i, line := range strings.Split(got, "\n") {
				if i >= len(want) || line != want[i] {
					t.Fatalf("%s:%d:\n got %s\nwant %s", file, i+1, line, strings.Join(want[min(i, len(want)-1):min(i+1, len(want))], ""))
				}
			}
		})
	}
}

// runScript returns the script with the answers that the machine gives.
func runScript(t *testing.T, file, text string) string {
	var out strings.Builder
	s := &script{r: newRig(t, Options{Ring: 64})}
	answering := false
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		step, isStep := strings.CutPrefix(line, "> ")
		switch {
		case isStep:
			answer, err := s.step(step)
			if err != nil {
				t.Fatalf("%s:%d: %v", file, i+1, err)
			}
			out.WriteString(line + "\n" + answer)
			answering = true
		case line == "" || strings.HasPrefix(line, "#"):
			out.WriteString(line + "\n")
			answering = false
		case !answering:
			t.Fatalf("%s:%d: an answer without a step", file, i+1)
		}
	}
	return out.String()
}

type script struct{ r *rig }

func (s *script) step(line string) (string, error) {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "machine":
		var o Options
		if _, err := fmt.Sscanf(rest+" history=0", "ring=%d history=%d", &o.Ring, &o.History); err != nil {
			return "", err
		}
		s.r = newRig(s.r.t, o)
		return "", nil
	case "floor":
		floor, err := strconv.ParseUint(rest, 10, 64)
		s.r.m.st.Floor = floor
		return "", err
	case "reopen":
		s.r.close()
		s.r.open()
		return "", nil
	case "entry":
		stamp, commands, _ := strings.Cut(rest, " ")
		return s.entry(stamp, commands)
	case "chunk":
		return s.chunk(rest)
	case "dump":
		return s.dump(rest)
	case "inside":
		return s.inside(), nil
	case "history":
		return s.history(rest)
	case "due":
		now, err := strconv.ParseInt(rest, 10, 64)
		if err != nil {
			return "", err
		}
		v := s.r.view()
		defer v.Release()
		due, err := v.Due(now)
		return fmt.Sprintln(due), err
	}
	return "", fmt.Errorf("unknown step %q", verb)
}

func (s *script) entry(stamp, text string) (string, error) {
	at, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return "", err
	}
	var encoded [][]byte
	for part := range strings.SplitSeq(text, "|") {
		c, err := parseCommand(part)
		if err != nil {
			return "", err
		}
		encoded = append(encoded, c.Append(nil))
	}
	return s.apply(command.AppendEntry(nil, at, encoded...))
}

func (s *script) chunk(rest string) (string, error) {
	f := strings.SplitN(rest, " ", 3)
	var seq, total, stamp int
	if _, err := fmt.Sscanf(f[0]+" "+f[1], "%d %d/%d", &stamp, &seq, &total); err != nil {
		return "", err
	}
	c, err := parseCommand(f[2])
	if err != nil {
		return "", err
	}
	p := c.Append(nil)
	chunks := chunksOf(p, (len(p)+total-1)/total)
	return s.apply(command.AppendChunk(nil, int64(stamp), chunks[seq-1]))
}

func (s *script) apply(entry []byte) (string, error) {
	res, err := s.r.m.Apply([]Entry{s.r.raw(entry)})
	if err != nil {
		return "", err
	}
	names := []string{"", "applied", "conflict", "rejected", "forgotten", "waiting"}
	var out strings.Builder
	for _, r := range res[0] {
		fmt.Fprintf(&out, "%s version=%d time=%d", names[r.Outcome], r.Version, r.Time)
		if r.Duplicate {
			out.WriteString(" duplicate")
		}
		if len(r.Added) > 0 {
			fmt.Fprintf(&out, " added=%s", r.Added)
		}
		if len(r.Reply) > 0 {
			fmt.Fprintf(&out, " reply=%s", r.Reply)
		}
		if r.Msg != "" {
			out.WriteString(": " + r.Msg)
		}
		out.WriteByte('\n')
	}
	return out.String(), nil
}

func (s *script) dump(rest string) (string, error) {
	v := s.r.view()
	defer v.Release()
	now := v.Clock
	if rest != "" {
		var err error
		if now, err = strconv.ParseInt(rest, 10, 64); err != nil {
			return "", err
		}
	}
	var lines []string
	it := v.Scan(nil, nil, now)
	for it.Next() {
		r := it.Record()
		lines = append(lines, fmt.Sprintf("%s=%s version=%d expiry=%d\n", r.Key, r.Value, r.Version, r.Expiry))
	}
	if err := it.Close(); err != nil {
		return "", err
	}
	var back []string
	it = v.ScanBack(nil, nil, now)
	for it.Next() {
		r := it.Record()
		back = append(back, fmt.Sprintf("%s=%s version=%d expiry=%d\n", r.Key, r.Value, r.Version, r.Expiry))
	}
	if err := it.Close(); err != nil {
		return "", err
	}
	if slices.Reverse(back); !slices.Equal(lines, back) {
		return "", fmt.Errorf("downwards it reads %q", back)
	}
	return strings.Join(append(lines, "."), "") + "\n", nil
}

func (s *script) history(from string) (string, error) {
	first, err := strconv.ParseUint(from, 10, 64)
	if err != nil {
		return "", err
	}
	v := s.r.view()
	defer v.Release()
	var out strings.Builder
	fmt.Fprintf(&out, "kept from %d\n", v.History)
	err = v.Changes(first, 0, func(c *Change) bool {
		what := [...]string{"", "set", "delete", "span", "expire", "touch"}[c.Kind]
		fmt.Fprintf(&out, "%d.%d at %d %s %s", c.Version, c.Seq, c.Time, what, c.Key)
		if c.Kind == ChangeSpan {
			fmt.Fprintf(&out, "..%s", c.Hi)
		}
		if c.Kind == ChangeSet {
			fmt.Fprintf(&out, "=%s", c.Value)
		}
		for _, flag := range []struct {
			set  bool
			name string
		}{{c.Created, "created"}, {c.Long, "long"}, {c.Kind == ChangeSpan && c.Hi == nil, "endless"}} {
			if flag.set {
				out.WriteString(" " + flag.name)
			}
		}
		if c.Expiry != 0 {
			fmt.Fprintf(&out, " expiry=%d", c.Expiry)
		}
		out.WriteString("\n")
		return true
	})
	return out.String(), err
}

func (s *script) inside() string {
	v := s.r.view()
	defer v.Release()
	var out strings.Builder
	it := v.snap.Scan(nil, nil)
	defer it.Close()
	for it.Next() {
		k := it.Key()
		switch k[0] {
		case prefixExpiry:
			fmt.Fprintf(&out, "expiry %d %s\n", binary.BigEndian.Uint64(k[1:]), k[9:])
		case prefixChunk:
			fmt.Fprintf(&out, "chunk %d of %d bytes\n", binary.BigEndian.Uint64(k[17:]), len(it.Value()))
		case prefixChunkSet:
			stamp, _ := binary.Uvarint(it.Value())
			fmt.Fprintf(&out, "chunks since %d\n", stamp)
		case prefixID:
			id, res, _ := decodeRemembered(it.Value())
			fmt.Fprintf(&out, "slot %d: id %d at version %d\n", binary.BigEndian.Uint64(k[1:]), id[0], res.Version)
		}
	}
	return out.String()
}

func parseCommand(text string) (*command.Command, error) {
	c := &command.Command{}
	for clause := range strings.SplitSeq(text, ";") {
		f := strings.Fields(clause)
		if len(f) == 0 {
			continue
		}
		if name, value, ok := strings.Cut(f[0], "="); ok && len(f) == 1 {
			if err := parseField(c, name, value); err != nil {
				return nil, err
			}
			continue
		}
		if err := parseClause(c, f); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func parseField(c *command.Command, name, value string) error {
	if name == "reply" {
		c.Reply = []byte(value)
		return nil
	}
	n, err := strconv.ParseUint(value, 10, 64)
	switch name {
	case "id":
		c.ID = command.ID{byte(n)}
	case "since":
		c.Since = n
	case "version":
		c.Version = n
	case "at":
		c.At = int64(n)
	default:
		return fmt.Errorf("unknown field %q", name)
	}
	return err
}

func parseClause(c *command.Command, f []string) (err error) {
	if len(f) < 2 {
		return fmt.Errorf("too short: %q", f)
	}
	lo, hi, isSpan := strings.Cut(f[1], "..")
	o := command.Op{Key: []byte(lo)}
	var end []byte
	if hi != "" {
		end = []byte(hi)
	}
	ttl := 3 // where a TTL would be
	switch f[0] {
	case "read":
		r := command.Read{Lo: o.Key, Hi: end, Point: !isSpan}
		r.Live, err = strconv.ParseUint(f[2], 10, 64)
		c.Reads = append(c.Reads, r)
		return err
	case "reap":
		o = command.Op{Kind: command.Reap}
		o.Limit, err = strconv.ParseUint(f[1], 10, 64)
	case "set":
		o.Kind, o.Value = command.Set, []byte(f[2])
	case "add":
		o.Kind = command.Add
		o.Delta, _ = command.ParseNumber([]byte(f[2]))
	case "touch":
		o.Kind, ttl = command.Touch, 2
	case "delete":
		o.Kind = command.Delete
		if isSpan {
			o.Kind, o.Hi = command.DeleteSpan, end
		}
	default:
		return fmt.Errorf("unknown clause %q", f)
	}
	if err == nil && len(f) > ttl && o.Kind != command.Reap {
		o.TTL, err = strconv.ParseInt(f[ttl], 10, 64)
	}
	c.Ops = append(c.Ops, o)
	return err
}
