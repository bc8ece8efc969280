package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/coveydb/covey/fsm/command"
	"github.com/coveydb/covey/internal/errs"
)

// heldLog is a log whose entries stay in flight until the test settles them.
type heldLog struct {
	mu      sync.Mutex
	entries []*heldEntry
	came    chan struct{}
}

type heldEntry struct {
	data    []byte
	settled chan struct{}
	err     error
	results any
}

func (e *heldEntry) Error() error  { <-e.settled; return e.err }
func (e *heldEntry) Response() any { return e.results }
func (e *heldEntry) Index() uint64 { return 0 }

func (l *heldLog) apply(entry []byte) raft.ApplyFuture {
	e := &heldEntry{data: entry, settled: make(chan struct{})}
	l.mu.Lock()
	l.entries = append(l.entries, e)
	l.mu.Unlock()
	l.came <- struct{}{}
	return e
}

func (l *heldLog) entry(i int) *heldEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entries[i]
}

// commands decodes what entry i holds.
func (l *heldLog) commands(t *testing.T, i int) [][]byte {
	t.Helper()
	e, err := command.DecodeEntry(l.entry(i).data)
	if err != nil {
		t.Fatal(err)
	}
	return e.Commands
}

type outcome struct {
	res command.Result
	err error
}

func startProposer(t *testing.T) (*proposer, *heldLog, context.CancelFunc) {
	t.Helper()
	l := &heldLog{came: make(chan struct{}, 1000)}
	p := newProposer(l.apply, func() int64 { return 7 }, newMeters())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); p.run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return p, l, cancel
}

func propose(t *testing.T, p *proposer, c []byte) <-chan outcome {
	t.Helper()
	done := make(chan outcome, 1)
	if err := p.add(proposal{c, func(r command.Result, err error) { done <- outcome{r, err} }}); err != nil {
		t.Fatal(err)
	}
	return done
}

// What waits while two entries are in flight goes into the third together.
func TestCommandsThatWaitShareAnEntry(t *testing.T) {
	p, l, _ := startProposer(t)
	var answers []<-chan outcome
	for i := range 2 {
		answers = append(answers, propose(t, p, []byte{byte(i)}))
		<-l.came
	}
	for i := 2; i < 10; i++ {
		answers = append(answers, propose(t, p, []byte{byte(i)}))
	}
	l.entry(0).results = []command.Result{{Outcome: command.Applied, Version: 1}}
	close(l.entry(0).settled)
	<-l.came
	if got := l.commands(t, 2); len(got) != 8 {
		t.Fatalf("the third entry holds %d commands, want 8", len(got))
	}
	results := make([]command.Result, 8)
	for i := range results {
		results[i].Version = uint64(i + 3)
	}
	l.entry(2).results = results
	close(l.entry(2).settled)
	l.entry(1).err = raft.ErrLeadershipLost
	close(l.entry(1).settled)
	for i, a := range answers {
		o := <-a
		switch {
		case i == 1:
			if errs.KindOf(o.err) != errs.Unknown {
				t.Errorf("command 1: %v, want an unknown outcome", o.err)
			}
		case i == 0 && o.res.Version != 1, i > 1 && o.res.Version != uint64(i+1), o.err != nil:
			t.Errorf("command %d: got version %d, %v", i, o.res.Version, o.err)
		}
	}
}

func TestFailuresAreSortedByWhetherTheLogCanHaveTheEntry(t *testing.T) {
	for err, want := range map[error]errs.Kind{
		raft.ErrNotLeader: errs.Unavailable, raft.ErrEnqueueTimeout: errs.Unavailable,
		raft.ErrLeadershipTransferInProgress: errs.Unavailable,
		raft.ErrLeadershipLost:               errs.Unknown, raft.ErrRaftShutdown: errs.Unknown,
		raft.ErrAbortedByRestore: errs.Unknown, errors.New("new"): errs.Unknown,
	} {
		e := &heldEntry{settled: make(chan struct{}), err: err}
		close(e.settled)
		if _, got := resultsOf(e); errs.KindOf(got) != want {
			t.Errorf("%v is %v, want %v", err, errs.KindOf(got), want)
		}
	}
}

func TestALargeCommandGoesInPiecesOneAtATime(t *testing.T) {
	p, l, _ := startProposer(t)
	big := bytes.Repeat([]byte("0123456789abcdef"), command.ChunkBytes/8)
	answer := propose(t, p, big)
	var whole []byte
	for i := 0; len(whole) < len(big); i++ {
		<-l.came
		if i == 0 { // others do not wait behind it
			small := propose(t, p, []byte("small"))
			<-l.came
			l.entry(1).results = []command.Result{{Version: 9}}
			close(l.entry(1).settled)
			if o := <-small; o.res.Version != 9 {
				t.Errorf("the small command: %v", o)
			}
		}
		n := i
		if i > 0 {
			n = i + 1
		}
		e, err := command.DecodeEntry(l.entry(n).data)
		if err != nil || e.Chunk == nil {
			t.Fatalf("entry %d is no chunk: %v", n, err)
		}
		if e.Chunk.Seq != uint64(i) || int(e.Chunk.Total) != 2 {
			t.Errorf("piece %d of %d, want %d of 2", e.Chunk.Seq, e.Chunk.Total, i)
		}
		whole = append(whole, e.Chunk.Data...)
		l.entry(n).results = []command.Result{{Version: 5}}
		close(l.entry(n).settled)
	}
	if o := <-answer; o.err != nil || o.res.Version != 5 || !bytes.Equal(whole, big) {
		t.Errorf("got %v, and %d of %d bytes", o, len(whole), len(big))
	}
}

func TestALargeCommandWithoutItsLastPieceIsNotApplied(t *testing.T) {
	p, l, _ := startProposer(t)
	answer := propose(t, p, make([]byte, command.ChunkBytes+1))
	<-l.came
	l.entry(0).err = raft.ErrLeadershipLost
	close(l.entry(0).settled)
	if o := <-answer; errs.KindOf(o.err) != errs.Unavailable {
		t.Errorf("got %v, want it certainly not applied", o.err)
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	p, l, _ := startProposer(t)
	for range 2 {
		propose(t, p, []byte("x"))
		<-l.came
	}
	var err error
	for range queueBytes/(1<<20) + 2 {
		if err = p.add(proposal{make([]byte, 1<<20), func(command.Result, error) {}}); err != nil {
			break
		}
	}
	if errs.KindOf(err) != errs.Unavailable {
		t.Errorf("got %v, want the queue to be full", err)
	}
	close(l.entry(0).settled)
	close(l.entry(1).settled)
	go func() { // let the rest through, so that the proposer can end
		for i := 2; ; i++ {
			<-l.came
			close(l.entry(i).settled)
		}
	}()
}

func TestAStoppedProposerRefusesWhatItDidNotPropose(t *testing.T) {
	p, l, stop := startProposer(t)
	for range 2 {
		propose(t, p, []byte("x"))
		<-l.came
	}
	waiting := propose(t, p, []byte("y"))
	stop()
	if o := <-waiting; errs.KindOf(o.err) != errs.Unavailable {
		t.Errorf("got %v", o.err)
	}
	if err := p.add(proposal{[]byte("z"), nil}); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("after the stop: %v", err)
	}
	close(l.entry(0).settled)
	close(l.entry(1).settled)
}

func TestReadersThatWaitShareARound(t *testing.T) {
	begun, release := make(chan int, 10), make(chan struct{})
	runs := 0
	r := &rounds{limit: readLimit}
	r.run = func(ctx context.Context) (point, error) {
		runs++ // rounds run one at a time
		begun <- runs
		<-release
		return point{version: uint64(runs)}, nil
	}
	got := make(chan string, 20)
	join := func(name string) {
		p, err := r.join(context.Background())
		got <- fmt.Sprintf("%s:%d:%v", name, p.version, err)
	}
	go join("first")
	<-begun
	for range 9 {
		go join("late")
	}
	for { // until all nine have joined: they share one round, which the first must not be
		r.mu.Lock()
		joined := r.next != nil
		r.mu.Unlock()
		if joined {
			break
		}
	}
	release <- struct{}{}
	if g := <-got; g != "first:1:<nil>" {
		t.Errorf("got %s", g)
	}
	close(release)
	for range 9 {
		if g := <-got; g == "late:1:<nil>" {
			t.Error("a reader got a round that began before it joined")
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.join(ctx); err != nil && errs.KindOf(err) != errs.Unavailable {
		t.Errorf("a reader that gives up: %v", err)
	}
}
