package vault

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/coveydb/covey/kv/feed"
	"github.com/coveydb/covey/kv/outbox"
	"github.com/coveydb/covey/kv/posting"
	"github.com/coveydb/covey/outgoing/webhook"
)

// receiver is a listening server that a webhook points to. It checks both
// signatures of what it gets.
type receiver struct {
	t      *testing.T
	url    string
	status chan int // of the next answers; 200 when it is empty

	mu     sync.Mutex
	secret string
	got    []posted
}

type posted struct{ id, body string }

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t, status: make(chan int, 100)}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.url = s.URL + "/hook"
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		r.t.Error(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.verify(body, q.Header); err != nil {
		r.t.Errorf("%v of %s", err, body)
	}
	r.got = append(r.got, posted{q.Header.Get("webhook-id"), string(body)})
	select {
	case status := <-r.status:
		w.WriteHeader(status)
	default:
	}
}

// verify checks a message as the document says, and with a library for the
// Standard Webhooks.
func (r *receiver) verify(body []byte, h http.Header) error {
	key := []byte(r.secret)
	var library *standardwebhooks.Webhook
	var err error
	if strings.HasPrefix(r.secret, "whsec_") {
		library, err = standardwebhooks.NewWebhook(r.secret)
	} else {
		library, err = standardwebhooks.NewWebhookRaw(key)
	}
	if err == nil {
		err = library.Verify(body, h)
	}
	if err != nil {
		return err
	}
	var at int64
	var digest string
	if _, err := fmt.Sscanf(h.Get("X-KeyNest-Signature"), "t=%d,v1=%s", &at, &digest); err != nil {
		return fmt.Errorf("signature %q: %w", h.Get("X-KeyNest-Signature"), err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%d.%s", at, body)
	if digest != hex.EncodeToString(mac.Sum(nil)) || time.Since(time.Unix(at, 0)).Abs() > time.Minute {
		return fmt.Errorf("the signature %s is not that", h.Get("X-KeyNest-Signature"))
	}
	return nil
}

func (r *receiver) messages() []posted {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]posted(nil), r.got...)
}

// hooked is a world with a webhook that points to a receiver.
type hooked struct {
	*world
	*receiver
	ann, org uint64
	hook     Webhook
	sender   *posting.Sender
}

func newHooked(t *testing.T, secret string) *hooked {
	w := newWorld(t, func(c *Config) { c.AllowPrivate = true })
	h := &hooked{world: w, receiver: newReceiver(t), ann: w.user("ann")}
	h.org = w.organization(h.ann, "Acme")
	h.hook = w.hookWith(h.ann, WebhookFields{URL: &h.url, Events: &[]string{"*"}, Organization: &h.org, Secret: &secret})
	h.secret = h.hook.Secret
	poster := &webhook.Poster{AllowPrivate: true}
	t.Cleanup(poster.Close)
	h.sender = &posting.Sender{DB: w.DB, Hooks: w.s.Hooks(), Try: poster.Try}
	return h
}

// run delivers with a true outbox until the test ends.
func (h *hooked) run() {
	changes := feed.New(h.world.Store)
	r := &outbox.Runner{
		DB: h.DB, Feed: changes, Leads: func() bool { return true }, Log: slog.New(slog.DiscardHandler),
		Kinds: map[string]outbox.Kind{HookKind: {Sender: h.sender, Policy: posting.Policy()}},
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	h.world.t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// until waits for something to be so.
func (h *hooked) until(what string, so func() bool) {
	h.world.t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			h.world.t.Fatalf("not so: %s; the log is %+v", what, h.log())
		}
	}
}

func (h *hooked) log() (list []Delivery) {
	h.world.t.Helper()
	h.must(h.ann, func(s *Session) error {
		page, err := s.Deliveries(h.hook.ID, Paging{Size: MaxPageSize})
		list = page.Items
		return err
	})
	return list
}

func (h *hooked) show() (shown Webhook) {
	h.world.t.Helper()
	h.must(h.ann, func(s *Session) (err error) {
		shown, err = s.Webhook(h.hook.ID)
		return err
	})
	return shown
}

func (h *hooked) redeliver(number uint64) (d Delivery) {
	h.world.t.Helper()
	h.must(h.ann, func(s *Session) (err error) {
		d, err = s.Redeliver(h.hook.ID, number)
		return err
	})
	return d
}
