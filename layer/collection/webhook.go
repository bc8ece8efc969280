package collection

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/outgoing/webhook"
)

// A WebhookSpec says what a target wants to be told. Its lists are empty for
// all there is.
type WebhookSpec struct {
	URL         string   `json:"url"`
	Collections []string `json:"collections,omitempty"`
	Methods     []string `json:"methods,omitempty"` // POST PUT DELETE; a PATCH is told as PUT
	Note        string   `json:"note,omitempty"`    // for people
}

// hook is one webhook as it is stored. Its URL is sealed like its secret: services
// put secrets into URLs.
type hook struct {
	ID          string    `json:"id"`
	Created     int64     `json:"created"` // unix milliseconds
	Target      []byte    `json:"target"`  // the URL, sealed
	Secret      []byte    `json:"secret"`  // sealed
	Collections []string  `json:"collections,omitempty"`
	Methods     []string  `json:"methods,omitempty"`
	Note        string    `json:"note,omitempty"`
	Disabled    *disabled `json:"disabled,omitempty"`
}

// disabled says why a hook is told nothing any more.
type disabled struct {
	Since  int64  `json:"since"` // unix milliseconds
	Reason string `json:"reason"`
}

// hookRow holds all webhooks of a database, in the order of their making: they
// are read together, by each write while there are any.
type hookRow struct {
	Hooks []*hook `json:"hooks"`
}

// Bounds of webhooks.
const (
	maxHooks           = 50 // of one database
	maxHookCollections = 50
	maxReason          = 500 // bytes
)

// A Webhook is one that was checked, and given an id and a secret, before the
// transaction that adds it.
type Webhook struct {
	ID     string // 12 hexadecimal digits
	Secret string // what its messages are signed with; whsec_ and base64
	db     string
	spec   WebhookSpec
	target []byte // the URL, sealed
	sealed []byte // the secret
}

// NewWebhook checks what a webhook is to be and draws its id and its secret.
// That and the URL are sealed: a node without a keyring is errs.Invalid.
func (s *Store) NewWebhook(db string, spec WebhookSpec) (Webhook, error) {
	if err := spec.normalize(s.cfg.AllowPrivate); err != nil {
		return Webhook{}, err
	}
	var id [idBytes]byte
	_, _ = rand.Read(id[:]) // documented never to return an error
	h := Webhook{ID: hex.EncodeToString(id[:]), Secret: webhook.NewSecret(), db: db, spec: spec}
	var err error
	if h.target, err = s.cfg.Keyring.Seal([]byte(spec.URL), targetPlace(db, h.ID)); err != nil {
		return Webhook{}, err
	}
	h.sealed, err = s.cfg.Keyring.Seal([]byte(h.Secret), hookPlace(db, h.ID))
	return h, err
}

// normalize refuses what makes no webhook, and writes the rest in one way.
func (spec *WebhookSpec) normalize(private bool) error {
	if err := webhook.CheckURL(spec.URL, private); err != nil {
		return err
	}
	if len(spec.Note) > maxNote || !utf8.ValidString(spec.Note) {
		return errs.E(errs.Invalid, "note of a webhook: at most %d bytes of UTF-8 are allowed", maxNote)
	}
	if len(spec.Collections) > maxHookCollections {
		return errs.E(errs.Invalid, "%d collections for one webhook, the limit is %d; none stands for all", len(spec.Collections), maxHookCollections)
	}
	for _, name := range spec.Collections {
		if !ValidName(name) {
			return errs.E(errs.Invalid, "%q cannot be the name of a collection", name)
		}
	}
	spec.Collections = inOrder(spec.Collections)
	methods := make([]string, 0, len(spec.Methods))
	for _, m := range spec.Methods {
		switch m = strings.ToUpper(m); m {
		case http.MethodPatch:
			m = http.MethodPut
		case http.MethodPost, http.MethodPut, http.MethodDelete:
		default:
			return errs.E(errs.Invalid, "method %.20q: webhooks are told of POST, PUT and DELETE", m)
		}
		methods = append(methods, m)
	}
	spec.Methods = inOrder(methods)
	return nil
}

// inOrder returns a sorted copy without repeats.
func inOrder(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// hookPlace is the place that a webhook's secret is sealed for, targetPlace that of
// its URL. Names of databases and ids hold no slash.
func hookPlace(db, id string) []byte   { return []byte("collection/webhook/" + db + "/" + id) }
func targetPlace(db, id string) []byte { return append(hookPlace(db, id), "/url"...) }

// AddWebhook stores a webhook. Writes that are committed later are told to it,
// no others.
func (s *Store) AddWebhook(tx *kv.Tx, h Webhook) (WebhookInfo, error) {
	return s.changeHooks(tx, h.db, func(hooks []*hook) ([]*hook, *hook, error) {
		if len(hooks) >= maxHooks {
			return nil, nil, errs.E(errs.TooLarge, "database %s has %d webhooks, which is the limit", h.db, len(hooks))
		}
		if slices.ContainsFunc(hooks, func(o *hook) bool { return o.ID == h.ID }) {
			return nil, nil, errs.E(errs.Exists, "webhook %s is there already: make another", h.ID)
		}
		made := &hook{
			ID: h.ID, Created: tx.Now(), Target: h.target, Secret: h.sealed,
			Collections: h.spec.Collections, Methods: h.spec.Methods, Note: h.spec.Note,
		}
		return append(hooks, made), made, nil
	})
}

// RemoveWebhook deletes a webhook with all that it has not been told yet.
func (s *Store) RemoveWebhook(tx *kv.Tx, db, id string) error {
	_, err := s.changeHooks(tx, db, func(hooks []*hook) ([]*hook, *hook, error) {
		i := slices.IndexFunc(hooks, func(h *hook) bool { return h.ID == id })
		if i < 0 {
			return nil, nil, errNoHook(id)
		}
		removed := hooks[i]
		outbox.Drop(tx, hookQueue(db, id))
		return slices.Delete(hooks, i, i+1), removed, nil
	})
	return err
}

// EnableWebhook makes a webhook that was disabled hear of writes again, of those
// from now on.
func (s *Store) EnableWebhook(tx *kv.Tx, db, id string) error {
	_, err := s.changeHooks(tx, db, func(hooks []*hook) ([]*hook, *hook, error) {
		i := slices.IndexFunc(hooks, func(h *hook) bool { return h.ID == id })
		if i < 0 {
			return nil, nil, errNoHook(id)
		}
		on := *hooks[i]
		on.Disabled = nil
		hooks[i] = &on
		return hooks, &on, nil
	})
	return err
}

// disable stops telling a webhook anything. What waits for it is dropped: after
// what has gone wrong with the first, the rest would stand without it.
func (s *Store) disable(tx *kv.Tx, db, id, reason string) error {
	if _, err := s.open(tx, db); errs.Is(err, errs.NotFound) {
		return nil // the database is gone, with the webhook
	}
	_, err := s.changeHooks(tx, db, func(hooks []*hook) ([]*hook, *hook, error) {
		i := slices.IndexFunc(hooks, func(h *hook) bool { return h.ID == id })
		if i < 0 {
			return nil, nil, errNoHook(id)
		}
		if hooks[i].Disabled != nil {
			return hooks, hooks[i], nil // the first reason counts
		}
		off := *hooks[i]
		off.Disabled = &disabled{Since: tx.Now(), Reason: cut(reason, maxReason)}
		hooks[i] = &off
		outbox.Drop(tx, hookQueue(db, id))
		return hooks, &off, nil
	})
	if errs.Is(err, errs.NotFound) {
		return nil // it was removed meanwhile
	}
	return err
}

// cut returns at most n bytes of a text, in whole characters.
func cut(text string, n int) string {
	if len(text) > n {
		text = text[:n]
	}
	return strings.ToValidUTF8(text, "")
}

// changeHooks replaces the webhooks of a database by what change makes of a copy
// of their list, and describes the one that it names. The row of the database
// says whether there are any.
func (s *Store) changeHooks(tx *kv.Tx, db string, change func([]*hook) ([]*hook, *hook, error)) (WebhookInfo, error) {
	d, err := s.open(tx, db)
	if err != nil {
		return WebhookInfo{}, err
	}
	hooks, err := s.hooksOf(tx, db)
	if err != nil {
		return WebhookInfo{}, err
	}
	hooks, one, err := change(slices.Clone(hooks))
	if err != nil {
		return WebhookInfo{}, err
	}
	if len(hooks) == 0 {
		tx.Delete(hooksKey(db))
	} else {
		tx.Set(hooksKey(db), encodeJSON(hookRow{hooks}), 0)
	}
	if d.Hooks != (len(hooks) > 0) {
		changed := *d
		changed.Hooks = len(hooks) > 0
		s.setDatabase(tx, db, &changed)
	}
	return s.describeHook(db, one), nil
}

// hooksOf returns the webhooks of a database. They are shared, and must not be
// changed.
func (s *Store) hooksOf(tx *kv.Tx, db string) ([]*hook, error) {
	row, _, err := s.hooks.Get(tx, hooksKey(db), decodeJSON[hookRow])
	if err != nil || row == nil {
		return nil, err
	}
	return row.Hooks, nil
}

// hook returns one webhook, which must not be changed.
func (s *Store) hook(tx *kv.Tx, db, id string) (*hook, error) {
	hooks, err := s.hooksOf(tx, db)
	if err != nil {
		return nil, err
	}
	for _, h := range hooks {
		if h.ID == id {
			return h, nil
		}
	}
	return nil, errNoHook(id)
}

func errNoHook(id string) error { return errs.E(errs.NotFound, "webhook %.50q: not found", id) }

// dropHooks deletes the webhooks of a database that is dropped, and what waits
// for them.
func (s *Store) dropHooks(tx *kv.Tx, db string) error {
	hooks, err := s.hooksOf(tx, db)
	if err != nil {
		return err
	}
	for _, h := range hooks {
		outbox.Drop(tx, hookQueue(db, h.ID))
	}
	tx.Delete(hooksKey(db))
	return nil
}
