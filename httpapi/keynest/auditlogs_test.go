package keynest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coveydb/covey/fsm"
	"github.com/coveydb/covey/internal/auth"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/vault"
)

const auditPath = "/api/audit-logs/"

func TestTheAuditLogNarrowedDown(t *testing.T) {
	w := newShared(t)
	w.store.Advance(24 * time.Hour) // 2023-11-15
	w.variable(w.eve, 1, "KEY", "s3cret")
	w.store.Advance(24 * time.Hour) // 2023-11-16
	w.send(w.ann, "PATCH", "/api/variables/1/", `{"value":"s3cret"}`)
	w.project(w.bob, 4, "Elsewhere")
	all := "variable_updated,variable_created,user_created,environment_created,project_created,membership_created,membership_created,organization_created"
	for _, tt := range []struct{ query, want string }{
		{"", all},
		{"action=variable_created", "variable_created"},
		{"action=create&target_type=variable", "variable_created"},
		{"action=variable_deleted", ""},
		{"action=%25", ""},
		{"target_type=environment", "environment_created"},
		{"target_type=project&user=1", "project_created"},
		{"user=2", "variable_created"},
		{"user=4", ""}, // bob
		{"user=0", ""},
		{"user=777", ""},
		{"user=", all},
		{"date_from=2023-11-15", "variable_updated,variable_created"},
		{"date_from=2023-11-15&date_to=2023-11-15", "variable_created"},
		{"date_to=2023-11-15&action=update", ""},
		{"date_to=2023-11-16&action=update", "variable_updated"},
		{"date_from=2023-11-17", ""},
		{"date_from=2023-11-16&date_to=2023-11-15", ""},
		{"page_size=1", "variable_updated"},
		{"page_size=1&page=last", "organization_created"},
	} {
		t.Run(tt.query, func(t *testing.T) {
			w := w.in(t)
			w.lists(tt.want, "action", w.get(w.ann, auditPath+"?"+tt.query))
		})
	}
	w.invalid(`{"date_from":["Enter a valid date."]}`, w.get(w.ann, auditPath+"?date_from=2023-02-30"))
	w.invalid(`{"user":["A valid integer is required."],"date_from":["Enter a valid date."],"date_to":["Enter a valid date."]}`,
		w.get(w.ann, auditPath+"?user=ann&date_from=yesterday&date_to=2023-1-1"))
	w.is(200, `{"count":1,"next":null,"previous":null,"results":[{"id":"*","user_name":"eve","user_email":"eve@example.com",
		"action":"variable_created","target_type":"variable","target_id":1,"ip_address":"127.0.0.1","timestamp":"2023-11-15T22:13:20Z",
		"details":{"variable_key":"KEY","environment_name":"dev","key":"KEY","environment":"dev","project":"Web"}}]}`,
		w.get(w.eve, auditPath+"?user=2&target_type=variable"))
	w.lists("project_created", "action", w.get(w.bob, auditPath+"?target_type=project&page_size=1&action="))
}

func TestWhoSeesTheAuditLog(t *testing.T) {
	w := newShared(t)
	w.codes([5]int{200, 200, 200, 200, 401}, "GET", auditPath, nil)
	w.codes([5]int{200, 200, 200, 200, 401}, "GET", auditPath+"export/", nil)
	if strings.Contains(w.get(w.bob, auditPath).body, "ann@") {
		t.Error("a stranger sees entries of an organization that is not his")
	}
	// The viewer is an admin at home; one who is a viewer only sees nothing.
	if a := w.send(w.vic, "DELETE", "/api/organizations/3/", ""); a.code != 204 {
		t.Fatalf("delete: %d %s", a.code, a.body)
	}
	w.is(200, `{"count":0,"next":null,"previous":null,"results":[]}`, w.get(w.vic, auditPath))
	w.file("audit.jsonl", "application/x-ndjson", `{"audit_heads":[]}`+"\n", w.get(w.vic, auditPath+"export/"))
}

// verified returns what an export proves.
func verified(t *testing.T, text string, known ...vault.AuditHead) *vault.AuditReport {
	t.Helper()
	r, err := vault.VerifyAudit(strings.NewReader(text), known...)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Faults {
		t.Error(f)
	}
	return r
}

func TestAnExportOfTheAuditLogCanBeVerified(t *testing.T) {
	w := newShared(t)
	w.send(w.ann, "PATCH", "/api/projects/1/", `{"name":"-cmd"}`)
	w.send(w.ann, "PATCH", "/api/organizations/1/", `{"name":"=1+1, \"quoted\" é"}`)
	lines := w.get(w.ann, auditPath+"export")
	report := verified(t, lines.body)
	if report.Entries != 8 || len(report.Heads) != 2 || report.Heads[0].Chain != "o1" {
		t.Errorf("proved %+v", report)
	}
	w.file("audit.jsonl", "application/x-ndjson", lines.body, lines)
	table := w.get(w.ann, auditPath+"export/?format=csv")
	w.file("audit.csv", "text/csv; charset=utf-8", table.body, table)
	if got := verified(t, table.body, report.Heads...); got.Entries != report.Entries {
		t.Errorf("%d entries in CSV, %d in JSON", got.Entries, report.Entries)
	}
	head := w.send(w.ann, "HEAD", auditPath+"export/", "")
	if got, want := head.header.Get("Content-Length"), fmt.Sprint(len(lines.body)); head.code != 200 || got != want {
		t.Errorf("HEAD: %d, length %s, want %s", head.code, got, want)
	}
	a := w.fails(400, "VALIDATION_ERROR", "Invalid format. Supported formats: jsonl, csv", w.get(w.ann, auditPath+"export/?format=json"))
	if a.header.Get("Content-Disposition") != "" {
		t.Error("a refusal to be kept as a file")
	}
	w.fails(401, "INVALID_TOKEN", "Invalid token.", w.get(strings.Repeat("0", 40), auditPath+"export/?format=json"))
	edited := strings.Replace(lines.body, "project_created", "project_deleted", 1)
	if r, err := vault.VerifyAudit(strings.NewReader(edited)); err != nil || len(r.Faults) == 0 {
		t.Errorf("an edited export is fine: %+v %v", r, err)
	}
}

// grow adds n entries of some 2.5 kB to the log of organization 1.
func (w *shared) grow(n int) {
	w.t.Helper()
	names := []string{strings.Repeat("é", 255), strings.Repeat("🔑", 255)}
	for n > 0 {
		part := min(n, 200)
		n -= part
		draw := vault.NewDraw()
		_, err := w.store.DB.Update(w.t.Context(), func(tx *kv.Tx) error {
			s, err := w.layer.As(tx, auth.Credential{Value: w.ann}, vault.Client{Draw: draw})
			for i := 0; i < part && err == nil; i++ {
				_, err = s.UpdateOrganization(1, vault.OrganizationFields{Name: &names[i%2]})
			}
			return err
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// states is a store whose Views fail from a certain one on, and that tells of
// each.
type states struct {
	*kvtest.Store
	left atomic.Int64
	each func()
}

func (s *states) View(ctx context.Context, c kv.Consistency) (*fsm.View, kv.ReadInfo, error) {
	if s.left.Add(-1) < 0 {
		return nil, kv.ReadInfo{}, errs.E(errs.Unavailable, "no leader")
	}
	if s.each != nil {
		s.each()
	}
	return s.Store.View(ctx, c)
}

func TestALongExportOfTheAuditLog(t *testing.T) {
	w := newShared(t)
	w.grow(1100)
	views := &states{Store: w.store}
	views.left.Store(1 << 30)
	w.serve(func(s *settings) { s.api.DB = kv.New(views) })
	t.Run("goes out in pieces, shows the log as it was at first, and waits for nobody", func(t *testing.T) {
		w := w.in(t)
		views.each = func() { w.grow(1) } // somebody works meanwhile
		a := w.get(w.ann, auditPath+"export/")
		views.each = nil
		report := verified(t, a.body)
		if a.header.Get("Content-Length") != "" || len(a.body) < 1<<20 {
			t.Errorf("%d entries in %d bytes, length %q", report.Entries, len(a.body), a.header.Get("Content-Length"))
		}
		if now := verified(t, w.get(w.ann, auditPath+"export/").body, report.Heads...); now.Entries != report.Entries+3 {
			t.Errorf("%d entries came while the parts were read, want one for each of the three parts", now.Entries-report.Entries)
		}
		w.file("audit.csv", "text/csv; charset=utf-8", "", w.send(w.ann, "HEAD", auditPath+"export/?format=csv", ""))
	})
	t.Run("is broken off by a fault", func(t *testing.T) {
		views.left.Store(2) // the heads and the first part
		defer views.left.Store(1 << 30)
		req, err := http.NewRequestWithContext(t.Context(), "GET", w.srv.URL+auditPath+"export/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Token "+w.ann)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if p, err := io.ReadAll(resp.Body); err == nil || resp.StatusCode != 200 || len(p) == 0 {
			t.Errorf("%d, %d bytes, and the end is taken for the end: %v", resp.StatusCode, len(p), err)
		}
	})
	t.Run("is an error if that comes before the first piece", func(t *testing.T) {
		views.left.Store(1)
		defer views.left.Store(1 << 30)
		w := w.in(t)
		if a := w.get(w.ann, auditPath+"export/"); a.code != 503 || a.header.Get("Content-Disposition") != "" {
			t.Errorf("%d %.200s", a.code, a.body)
		}
	})
}

func TestAClientThatStopsReadingTheAuditLogIsDropped(t *testing.T) {
	w := newShared(t)
	w.grow(1100)
	inner := New(Config{DB: w.store.DB, Store: w.layer, Recorder: w.recorder, PieceTime: 100 * time.Millisecond})
	ended := make(chan any, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			ended <- p
			if p != nil {
				panic(p)
			}
		}()
		inner.ServeHTTP(rw, r)
	}))
	srv.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		_ = c.(*net.TCPConn).SetWriteBuffer(4 << 10) // so that megabytes do not fit
		return ctx
	}
	srv.Start()
	defer srv.Close()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprintf(c, "GET %sexport/ HTTP/1.1\r\nHost: x\r\nAuthorization: Token %s\r\n\r\n", auditPath, w.ann)
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
		t.Fatalf("the answer begins with %q (%v)", line, err)
	}
	select {
	case p := <-ended:
		if p != http.ErrAbortHandler {
			t.Errorf("the handler ended with %v; the client could take half a log for a whole one", p)
		}
	case <-time.After(30 * time.Second):
		t.Error("the handler still waits for its client")
	}
}
