package node

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

type echo struct {
	Text string `json:"text"`
}

// handleEcho makes n answer with its id and what it was sent.
func handleEcho(n *Node) {
	n.HandleAdmin("echo", func(ctx context.Context, from string, body json.RawMessage) (any, error) {
		var q echo
		if err := decodeAdmin(body, &q); err != nil {
			return nil, err
		}
		switch q.Text {
		case "wait":
			<-ctx.Done()
			return nil, errs.E(errs.Unavailable, "waited")
		case "conflict":
			return nil, errs.E(errs.Conflict, "that is a conflict of %s", n.cfg.ID)
		}
		return echo{from + " to " + n.cfg.ID + ": " + q.Text}, nil
	})
}

func TestOperationsOfPeers(t *testing.T) {
	t.Parallel()
	nodes := three(t, 200*time.Millisecond)
	for _, n := range nodes {
		handleEcho(n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	a, b := nodes[1], nodes[2]
	var got echo
	for _, to := range []*Node{a, b} {
		if err := a.CallAdmin(ctx, to.cfg.ID, "echo", echo{"hello"}, &got); err != nil || got.Text != a.cfg.ID+" to "+to.cfg.ID+": hello" {
			t.Errorf("to %s: %q, %v", to.cfg.ID, got.Text, err)
		}
		if err := a.CallAdmin(ctx, to.cfg.ID, "echo", echo{"conflict"}, &got); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "of "+to.cfg.ID) {
			t.Errorf("to %s: %v", to.cfg.ID, err)
		}
		if err := a.CallAdmin(ctx, to.cfg.ID, "dance", nil, nil); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), `"dance"`) {
			t.Errorf("to %s: %v", to.cfg.ID, err)
		}
		if err := a.CallAdmin(ctx, to.cfg.ID, "echo", 7, nil); !errs.Is(err, errs.Invalid) {
			t.Errorf("to %s: %v", to.cfg.ID, err)
		}
		short, end := context.WithTimeout(ctx, 50*time.Millisecond)
		if err := a.CallAdmin(short, to.cfg.ID, "echo", echo{"wait"}, nil); err == nil {
			t.Errorf("to %s: it did not wait", to.cfg.ID)
		}
		end()
	}
	if err := a.AskLeader(ctx, "echo", echo{"hello"}, &got); err != nil || got.Text != a.cfg.ID+" to "+nodes[0].cfg.ID+": hello" {
		t.Errorf("the leader: %q, %v", got.Text, err)
	}
}

func TestOperationsAreBounded(t *testing.T) {
	var d desk
	hold := make(chan struct{})
	entered := make(chan struct{}, adminDesks)
	d.handlers = map[string]AdminHandler{
		"hold": func(context.Context, string, json.RawMessage) (any, error) {
			entered <- struct{}{}
			<-hold
			return nil, nil
		},
		"much": func(context.Context, string, json.RawMessage) (any, error) {
			return strings.Repeat("x", adminBytes), nil
		},
	}
	ended := make(chan error, adminDesks)
	for range adminDesks {
		go func() {
			_, err := d.run(context.Background(), "n1", adminRequest{Op: "hold"})
			ended <- err
		}()
	}
	for range adminDesks {
		<-entered
	}
	if _, err := d.run(context.Background(), "n1", adminRequest{Op: "hold"}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("one more: %v", err)
	}
	close(hold)
	for range adminDesks {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if _, err := d.run(context.Background(), "n1", adminRequest{Op: "much"}); !errs.Is(err, errs.Internal) {
		t.Errorf("an answer without bounds: %v", err)
	}
}

func FuzzAdminCall(f *testing.F) {
	f.Add([]byte(`{"op":"echo","ms":5,"body":{"text":"x"}}`))
	f.Add([]byte(`{"op":"echo"}{}`))
	f.Add([]byte(`{"op":"echo","body":[`))
	f.Add([]byte(`{"op":"echo","ms":-9223372036854775808}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		n := &Node{}
		handleEcho(n)
		done := make(chan error, 1)
		n.admin.serve(context.Background(), "n1", body, func(_ []byte, err error) { done <- err })
		if strings.Contains(string(body), "wait") {
			return // that is what it does
		}
		if err := <-done; err == nil && !json.Valid(body) {
			t.Errorf("%q was answered", body)
		}
	})
}
