package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// mailServer is a real SMTP server that outlives the nodes, and keeps the
// Message-IDs of what it has taken.
type mailServer struct {
	addr string

	mu    sync.Mutex
	taken map[string]int
	later int           // so many mails are told to come again
	hold  chan struct{} // unless nil, no answer before it is closed, though the mail is taken
}

func newMailServer(t *testing.T) *mailServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mailServer{addr: l.Addr().String(), taken: map[string]int{}}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mailSession{m}, nil }))
	s.Domain, s.ErrorLog = "test", log.New(io.Discard, "", 0)
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return m
}

func (m *mailServer) ids() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.taken)
}

type mailSession struct{ *mailServer }

func (s *mailSession) Mail(string, *smtp.MailOptions) error { return nil }
func (s *mailSession) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (s *mailSession) Reset()                               {}
func (s *mailSession) Logout() error                        { return nil }

func (s *mailSession) Data(r io.Reader) error {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, m.Body); err != nil {
		return err
	}
	if err := s.take(m.Header.Get("Message-Id")); err != nil || s.hold == nil {
		return err
	}
	<-s.hold
	return nil
}

func (m *mailServer) take(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.later > 0 {
		m.later--
		return &smtp.SMTPError{Code: 451, Message: "come again"}
	}
	m.taken[id]++
	return nil
}

// newMailCluster is newRestCluster of three with more flags.
func newMailCluster(t *testing.T, flags ...string) []*server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "restdb.key")
	if err := os.WriteFile(file, []byte(restKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	servers := make([]*server, 3)
	for i := range servers {
		servers[i] = newServer(t, fmt.Sprintf("n%d", i+1), len(servers))
		servers[i].join = servers[0].gossip
		servers[i].extra = append([]string{"--restdb-key-file", file}, flags...)
		servers[i].start()
	}
	for _, s := range servers {
		s.waitReady(patience)
	}
	return servers
}

// mail posts mails and returns their ids and the warning.
func (s *server) mail(t *testing.T, body string) (ids []string, warning string) {
	t.Helper()
	code, text, err := s.rest("POST", "/mail", body)
	var answer struct {
		Result []struct {
			ID string `json:"email_outbound_id"`
		}
		Warning string
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &answer)
	}
	if err != nil || code != 201 {
		t.Fatalf("POST /mail to %s: %d %s %v", s.id, code, text, err)
	}
	for _, r := range answer.Result {
		ids = append(ids, r.ID)
	}
	return ids, answer.Warning
}

// Every mail that was acknowledged is sent at least once, under its own id, and
// its document says so, though the leader dies in between and the relay asks to
// come again.
func TestMailsAreSentAcrossALeaderChange(t *testing.T) {
	t.Parallel()
	relay := newMailServer(t)
	relay.later = 5
	servers := newMailCluster(t, "--smtp", "smtp://"+relay.addr, "--smtp-from", "Shop <shop@example.com>")
	if code, text, err := servers[1].rest("POST", "/rest/email_templates", `{"name":"hi","subject":"Hi {{name}}","html":"<p>{{name}}</p>"}`); code != 201 || err != nil {
		t.Fatalf("template: %d %s %v", code, text, err)
	}
	var all []string
	post := func(s *server, body string) {
		t.Helper()
		ids, warning := s.mail(t, body)
		if warning != "" {
			t.Errorf("warning %q", warning)
		}
		all = append(all, ids...)
	}
	batch := func(s *server) {
		post(s, `[{"to":["a@x.org","b@x.org"],"html":"1"},{"to":"c@x.org","template":"hi","html":{"name":"<Ann>"}},{"to":"d@x.org","subject":"S","html":{"body":"2"}}]`)
		for i := range 6 {
			post(s, fmt.Sprintf(`{"to":"e%d@x.org","html":"3"}`, i))
		}
	}
	victim := leaderOf(t, servers)
	others := slices.DeleteFunc(slices.Clone(servers), func(s *server) bool { return s == victim })
	batch(others[0])
	batch(victim)
	victim.kill()
	others[0].waitReady(patience)
	others[1].waitReady(patience)
	batch(others[1])
	batch(others[0])
	others[0].waitFor("done with all mails", 60*time.Second, func() error {
		code, text, err := others[0].rest("GET", `/rest/email_outbound?h={"$groupby":["status"],"$aggregate":["COUNT:n"]}`, "")
		if want := fmt.Sprintf(`{"sent":{"COUNT n":%d}}`, len(all)); err != nil || code != 200 || text != want {
			return fmt.Errorf("%d %s %w, want %s", code, text, err, want)
		}
		return nil
	})
	taken := relay.ids()
	for _, id := range all {
		name := "<" + id + "@example.com>"
		if taken[name] == 0 {
			t.Errorf("mail %s was not sent", id)
		}
		delete(taken, name)
	}
	if len(taken) != 0 || len(all) != 40 {
		t.Errorf("%d mails, and the relay got others: %v", len(all), taken)
	}
	// Without a relay mails wait, and the answer says so.
	for _, s := range others {
		s.kill()
	}
	for _, s := range servers {
		s.extra = s.extra[:len(s.extra)-4]
		s.start()
	}
	others[0].waitReady(patience)
	ids, warning := others[0].mail(t, `{"to":"late@x.org","html":"4"}`)
	if warning != "queued: this cluster has no mail relay" {
		t.Errorf("warning %q", warning)
	}
	if code, text, err := others[0].rest("GET", "/rest/email_outbound/"+ids[0], ""); err != nil || code != 200 || !strings.Contains(text, `"status":"queued"`) {
		t.Errorf("a mail without a relay: %d %s %v", code, text, err)
	}
}

// A mail that the relay has taken, but the leader did not live to hear of, is
// sent again by the next one under the same Message-ID.
func TestAMailWhoseAnswerWasLostIsSentAgainUnderTheSameID(t *testing.T) {
	t.Parallel()
	relay := newMailServer(t)
	relay.hold = make(chan struct{})
	servers := newMailCluster(t, "--smtp", "smtp://"+relay.addr, "--smtp-from", "Shop <shop@example.com>")
	ids, _ := servers[0].mail(t, `{"to":"a@x.org","html":"1"}`)
	message := "<" + ids[0] + "@example.com>"
	leader := leaderOf(t, servers)
	leader.waitFor("sending the mail", patience, func() error {
		if relay.ids()[message] == 0 {
			return errors.New("the relay has not got it")
		}
		return nil
	})
	leader.kill()
	close(relay.hold)
	others := slices.DeleteFunc(servers, func(s *server) bool { return s == leader })
	others[0].waitFor("done with the mail", patience, func() error {
		code, text, err := others[0].rest("GET", "/rest/email_outbound/"+ids[0], "")
		if err != nil || code != 200 || !strings.Contains(text, `"status":"sent"`) {
			return fmt.Errorf("%d %s %w", code, text, err)
		}
		return nil
	})
	if taken := relay.ids(); taken[message] < 2 || len(taken) != 1 {
		t.Errorf("the relay has taken %v, want %s more than once", taken, message)
	}
}
