package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Finding is one thing that the cluster says about itself, for its operator.
type Finding struct {
	Subject  string    `json:"subject"`  // leader, writes, disk, network, or a node's id
	Severity string    `json:"severity"` // failure, warning, info or ok
	Text     string    `json:"text"`
	Since    time.Time `json:"since,omitzero"`
	Do       string    `json:"do,omitempty"` // what an operator can do
}

// Why says what to explain. The zero value is everything that is worth a word.
type Why struct {
	About string // leader, writes, voter or stop
	Node  string // of voter and stop; alone it adds both for that node
}

// Why asks a node to explain the cluster, from what all members say that it can
// reach; it works without a leader. The worst finding comes first. It needs the
// root key.
func (c *Client) Why(ctx context.Context, w Why) (findings []Finding, err error) {
	q := url.Values{}
	if w.About != "" {
		q.Set("about", w.About)
	}
	if w.Node != "" {
		q.Set("node", w.Node)
	}
	var answer struct {
		Findings []Finding `json:"findings"`
	}
	err = operatorAPI{c, "/cluster"}.read(ctx, operatorCall{op: "explain the cluster", path: "/why", query: q}, &answer)
	return answer.Findings, err
}

// Events returns what the node that answers remembers of itself, the oldest
// first, each as JSON. It needs the root key.
func (c *Client) Events(ctx context.Context) (events []json.RawMessage, err error) {
	var answer struct {
		Events []json.RawMessage `json:"events"`
	}
	err = operatorAPI{c, "/cluster"}.read(ctx, operatorCall{op: "show the events", path: "/events"}, &answer)
	return answer.Events, err
}

type logLevel struct {
	Level string `json:"level"`
}

// LogLevel returns the level of the log of the node that answers: debug, info,
// warn or error. It needs the root key, as SetLogLevel does. Nodes have levels of
// their own, so a client of one endpoint is meant.
func (c *Client) LogLevel(ctx context.Context) (level string, err error) {
	var answer logLevel
	err = operatorAPI{c, "/cluster"}.read(ctx, operatorCall{op: "show the log level", path: "/log-level"}, &answer)
	return answer.Level, err
}

// SetLogLevel changes the level of the log of the node that answers, until the
// node ends or is told to read its settings again.
func (c *Client) SetLogLevel(ctx context.Context, level string) error {
	call := operatorCall{op: "change the log level", method: http.MethodPut, path: "/log-level"}
	return operatorAPI{c, "/cluster"}.change(ctx, call, logLevel{level}, nil)
}
