package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// NestServiceToken is a credential for a program, for one project or one
// environment. Its text is not kept.
type NestServiceToken struct {
	ID           uint64     `json:"id"`
	Name         string     `json:"name"`
	Organization uint64     `json:"organization"`
	Project      *uint64    `json:"project"`     // nil = it is for an environment
	Environment  *uint64    `json:"environment"` // nil = it is for a project
	ReadOnly     bool       `json:"read_only"`
	Created      time.Time  `json:"created_at"`
	CreatedByID  uint64     `json:"created_by"`
	CreatedBy    string     `json:"created_by_name"`
	Expires      *time.Time `json:"expires_at"`       // nil = never
	Networks     []string   `json:"allowed_networks"` // none = from everywhere
	LastUsed     *time.Time `json:"last_used_at"`     // to the minute
	Active       bool       `json:"is_active"`
}

// NewServiceToken says what service token to make: for one project or for one
// environment.
type NewServiceToken struct {
	Name        string   `json:"name"`
	Project     uint64   `json:"project,omitempty"`
	Environment uint64   `json:"environment,omitempty"`
	ReadOnly    bool     `json:"read_only"`
	ExpiresIn   string   `json:"expires_in,omitempty"`       // 90m, 12h, 30d or 1y; "" = never
	Networks    []string `json:"allowed_networks,omitempty"` // CIDR or addresses; none = from everywhere
}

// MadeServiceToken is a service token that was just made, with its text, which
// cannot be read again.
type MadeServiceToken struct {
	NestServiceToken
	Token string `json:"token"`
}

// ServiceTokens returns those of all organizations that the user may manage, or
// of what is not 0.
func (n *Nest) ServiceTokens(ctx context.Context, organization, project, environment uint64) iter.Seq2[NestServiceToken, error] {
	query := filters("organization", organization, "project", project, "environment", environment)
	return nestPages[NestServiceToken](ctx, n, nestCall{op: "list service tokens", path: "/service-tokens/", query: query})
}

// CreateServiceToken makes one.
func (n *Nest) CreateServiceToken(ctx context.Context, t NewServiceToken) (made MadeServiceToken, err error) {
	err = n.do(ctx, nestCall{op: "create a service token", method: http.MethodPost, path: "/service-tokens/", body: t}, &made)
	return made, err
}

// RevokeServiceToken makes one useless, at once and on all nodes.
func (n *Nest) RevokeServiceToken(ctx context.Context, id uint64) error {
	return n.do(ctx, nestCall{op: fmt.Sprintf("revoke service token %d", id), method: http.MethodDelete, path: nestPath("service-tokens", id)}, nil)
}

// NestWebhook is a URL that is told of changes in an organization.
type NestWebhook struct {
	ID             string     `json:"id"` // webhook_1
	URL            string     `json:"url"`
	Events         []string   `json:"events"`
	Organization   uint64     `json:"organization"`
	Active         bool       `json:"is_active"`
	Created        time.Time  `json:"created_at"`
	DisabledReason string     `json:"disabled_reason"`
	FailingSince   *time.Time `json:"failing_since"`

	Secret string `json:"secret,omitempty"` // what deliveries are signed with; only in the answer that sets it
}

// NewNestWebhook says what webhook to make.
type NewNestWebhook struct {
	URL          string   `json:"url"`
	Events       []string `json:"events"` // such as variable.created, or *
	Organization uint64   `json:"organization"`
	Secret       string   `json:"secret,omitempty"` // "" = one is drawn
}

// Webhooks returns those of all organizations that the user administers, or of
// one that is not 0.
func (n *Nest) Webhooks(ctx context.Context, organization uint64) iter.Seq2[NestWebhook, error] {
	return nestPages[NestWebhook](ctx, n, nestCall{op: "list webhooks", path: "/webhooks/", query: filters("organization", organization)})
}

// CreateWebhook makes one.
func (n *Nest) CreateWebhook(ctx context.Context, h NewNestWebhook) (made NestWebhook, err error) {
	err = n.do(ctx, nestCall{op: "create a webhook", method: http.MethodPost, path: "/webhooks/", body: h}, &made)
	return made, err
}

// NestWebhookChange is what to change of a webhook; nil leaves it as it is. An
// empty secret has another one drawn.
type NestWebhookChange struct {
	URL    *string  `json:"url,omitempty"`
	Events []string `json:"events,omitempty"`
	Active *bool    `json:"is_active,omitempty"`
	Secret *string  `json:"secret,omitempty"`
}

// UpdateWebhook changes one. Ids are with or without "webhook_".
func (n *Nest) UpdateWebhook(ctx context.Context, id string, c NestWebhookChange) (h NestWebhook, err error) {
	err = n.do(ctx, nestCall{op: "change webhook " + id, method: http.MethodPatch, path: hookPath(id), body: c}, &h)
	return h, err
}

// DeleteWebhook deletes one.
func (n *Nest) DeleteWebhook(ctx context.Context, id string) error {
	return n.do(ctx, nestCall{op: "delete webhook " + id, method: http.MethodDelete, path: hookPath(id)}, nil)
}

// NestDelivery is one message of a webhook.
type NestDelivery struct {
	ID          uint64     `json:"id"`
	Event       string     `json:"event"`
	Message     string     `json:"message_id"`
	Created     time.Time  `json:"created_at"`
	Status      string     `json:"status"` // pending, delivered, failed or dropped
	Attempts    int        `json:"attempts"`
	LastAttempt *time.Time `json:"last_attempt_at"`
	Response    *int       `json:"response_status"`
	Error       string     `json:"error"`
	NextAttempt *time.Time `json:"next_attempt_at"`
	DurationMS  int64      `json:"duration_ms"`
}

// Deliveries returns the latest messages of a webhook, the newest first.
func (n *Nest) Deliveries(ctx context.Context, webhook string) iter.Seq2[NestDelivery, error] {
	return nestPages[NestDelivery](ctx, n, nestCall{op: "list the deliveries of webhook " + webhook, path: hookPath(webhook, "deliveries")})
}

// Redeliver sends a message once more.
func (n *Nest) Redeliver(ctx context.Context, webhook string, delivery uint64) (d NestDelivery, err error) {
	call := nestCall{
		op: fmt.Sprintf("redeliver %d of webhook %s", delivery, webhook), method: http.MethodPost,
		path: hookPath(webhook, "deliveries", strconv.FormatUint(delivery, 10), "redeliver"),
	}
	err = n.do(ctx, call, &d)
	return d, err
}

// TestWebhook sends a message that tells of nothing.
func (n *Nest) TestWebhook(ctx context.Context, webhook string) (d NestDelivery, err error) {
	err = n.do(ctx, nestCall{op: "test webhook " + webhook, method: http.MethodPost, path: hookPath(webhook, "test")}, &d)
	return d, err
}

func hookPath(id string, more ...string) string {
	return "/webhooks/" + strings.Join(append([]string{url.PathEscape(id)}, more...), "/") + "/"
}
