package mail

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv/kvtest"
	"github.com/coveydb/covey/layer/collection"
)

func TestAMailIsADocumentAndAnItem(t *testing.T) {
	w := newWorld(t)
	b := w.must(`{"to":"ann@example.org","subject":"Hi","html":"<p>1 < 2 & \u2028</p>","company":"Shop Ltd","sendername":"The Shop"}`)
	if len(b.Drafts) != 1 || w.desk.Warning(b) != "" || w.pending() != 1 {
		t.Fatalf("%d mails, warning %q, %d pending", len(b.Drafts), w.desk.Warning(b), w.pending())
	}
	want := map[string]any{
		"_id": b.Drafts[0].ID.String(), "to": "ann@example.org", "status": "queued", "transport": "restdb_mailer", "from": "shop@example.com",
		"subject": "Hi", "company": "Shop Ltd", "sendername": "The Shop", "unsubscribelink": base + b.links[0].token, "_dbname": "default",
		"track": false, "body": "<p>1 < 2 & \u2028</p>", "tracking-status": "queued", "tracking-date": w.time().UTC().Format(timeLayout),
	}
	if diff := cmp.Diff([]map[string]any{want}, w.documents(collection.EmailOutbound)); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	w.Advance(time.Second)
	if settled, err := w.deliver(b.Drafts[0].ID); !settled || err != nil {
		t.Fatal(settled, err)
	}
	letter := Letter{
		ID: b.Drafts[0].ID.String(), Date: time.UnixMilli(kvtest.Start).UTC(), SenderName: "The Shop", To: "ann@example.org", Subject: "Hi",
		HTML:        "<p>1 < 2 & \u2028</p>" + `<p style="color:#666;font-size:small">Shop Ltd<br><a href="` + base + b.links[0].token + `">Unsubscribe</a></p>`,
		Unsubscribe: base + b.links[0].token,
	}
	if diff := cmp.Diff([]Letter{letter}, w.sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	want["status"], want["tracking-status"], want["tracking-date"] = "sent", "sent", w.time().UTC().Format(timeLayout)
	if diff := cmp.Diff([]map[string]any{want}, w.documents(collection.EmailOutbound)); diff != "" {
		t.Errorf("document once sent (-want +got):\n%s", diff)
	}
}

func TestEveryReceiverGetsHisOwn(t *testing.T) {
	w := newWorld(t)
	b := w.must(`[{"to":["a@x.org","b@x.org"],"html":"one"},{"to":"c@x.org","html":{"body":"two","other":1}}]`)
	docs := w.documents(collection.EmailOutbound)
	if len(docs) != 3 || w.pending() != 3 {
		t.Fatalf("%d documents, %d pending", len(docs), w.pending())
	}
	links := map[any]bool{}
	for i, want := range []string{"a@x.org one", "b@x.org one", "c@x.org two"} {
		if got := fmt.Sprint(docs[i]["to"], " ", docs[i]["body"]); got != want || docs[i]["_id"] != b.Drafts[i].ID.String() {
			t.Errorf("%d: %s, want %s", i, got, want)
		}
		links[docs[i]["unsubscribelink"]] = true
	}
	if len(links) != 3 {
		t.Errorf("%d links", len(links))
	}
	if b := w.must(`[]`); len(b.Drafts) != 0 {
		t.Errorf("%d mails of none", len(b.Drafts))
	}
}

func TestAConflictPostsOnce(t *testing.T) {
	w := newWorld(t)
	w.insert(collection.EmailTemplates, `{"name":"t","html":"{{a}}"}`)
	b, err := Parse([]byte(`{"to":"a@x.org","template":"t","html":{"a":"1"}}`), w.time(), base)
	if err != nil {
		t.Fatal(err)
	}
	w.ConflictNext(2)
	if err := w.commit(b); err != nil {
		t.Fatal(err)
	}
	docs := w.documents(collection.EmailOutbound)
	if len(docs) != 1 || w.pending() != 1 || docs[0]["_id"] != b.Drafts[0].ID.String() || docs[0]["body"] != "1" {
		t.Errorf("%v, %d pending", docs, w.pending())
	}
}

func TestNothingIsKeptOfAPostThatFails(t *testing.T) {
	w := newWorld(t)
	w.FailNext(errs.E(errs.Unavailable, "no leader"))
	if _, err := w.post(`{"to":"a@x.org","html":"x"}`); !errs.Is(err, errs.Unavailable) {
		t.Errorf("got %v", err)
	}
	if _, err := w.post(`[{"to":"a@x.org","html":"x"},{"to":"a@x.org","template":"none","html":{}}]`); !errs.Is(err, errs.Invalid) {
		t.Errorf("got %v", err)
	}
	if n, m := len(w.documents(collection.EmailOutbound)), w.pending(); n != 0 || m != 0 {
		t.Errorf("%d documents, %d pending", n, m)
	}
}

func TestWhatIsNoMail(t *testing.T) {
	w := newWorld(t)
	w.insert(collection.EmailTemplates, `[{"name":"ok","subject":"For {{name}}","html":"x"},{"name":"open","html":"{{#a}}"},
		{"name":"includes","html":"{{> /etc/passwd}}"},{"name":"no text","html":7}]`)
	long := strings.Repeat("x", 999)
	for body, want := range map[string]string{
		`{}`:                                                                   "to REQUIRED, html REQUIRED",
		`{"to":"","html":""}`:                                                  "to REQUIRED, html REQUIRED",
		`{"to":[],"html":"x"}`:                                                 "to REQUIRED",
		`{"to":7,"html":"x"}`:                                                  "to TYPE email",
		`{"to":["a@x.org",""],"html":"x"}`:                                     "to TYPE email",
		`{"to":"nobody","html":"x"}`:                                           "to TYPE email",
		`{"to":"a@x.org, b@x.org","html":"x"}`:                                 "to TYPE email",
		`{"to":"Ann <a@x.org>","html":"x"}`:                                    "to TYPE email",
		`{"to":"a@x.org\r\nBcc: b","html":"x"}`:                                "to TYPE email",
		`{"to":"a@x.org\u0000","html":"x"}`:                                    "to TYPE email",
		`{"to":"\"a b\"@x.org","html":"x"}`:                                    "to TYPE email",
		`{"to":"a@x.org","html":"x","subject":7}`:                              "subject TYPE text",
		`{"to":"a@x.org","html":"x","subject":"a\nBcc: b@x.org"}`:              "subject REGEX",
		`{"to":"a@x.org","html":"x","subject":"a\u0085b"}`:                     "subject REGEX",
		`{"to":"a@x.org","html":"x","subject":"` + long + `"}`:                 "subject REGEX",
		`{"to":"a@x.org","html":"x","sendername":"a\rb","company":"a\nb"}`:     "company REGEX, sendername REGEX",
		`{"to":"a@x.org","html":7}`:                                            "html TYPE text",
		`{"to":"a@x.org","html":{"body":{}}}`:                                  "html TYPE text",
		`{"to":"a@x.org","html":{"text":"x"}}`:                                 "html REQUIRED",
		`[{"to":"a@x.org","html":"x"},{"to":"b","html":"x"}]`:                  "to TYPE email 1",
		`{"to":"a@x.org","template":"none","html":{}}`:                         "template TYPE",
		`{"to":"a@x.org","template":"open","html":{}}`:                         "template TYPE",
		`{"to":"a@x.org","template":"includes","html":{}}`:                     "template TYPE",
		`{"to":"a@x.org","template":"no text","html":{}}`:                      "template TYPE",
		`{"to":"a@x.org","template":"ok","html":[1]}`:                          "html TYPE JSON",
		`{"to":"a@x.org","template":"ok"}`:                                     "html REQUIRED",
		`{"to":"a@x.org","template":"ok","html":{"name":"a\r\nBcc: b@x.org"}}`: "subject TYPE",
		`[{"to":"a@x.org","template":"ok","html":{}},{"to":"a@x.org","template":"none","html":{}}]`: "template TYPE 1",
	} {
		_, err := w.post(body)
		var invalid *collection.ValidationError
		if !errors.As(err, &invalid) {
			t.Errorf("%.80s: %v", body, err)
			continue
		}
		var got []string
		for _, f := range invalid.List {
			text := f.Field + " " + strings.Join(f.Message[1:], " ")
			if f.Index != nil {
				text += fmt.Sprint(" ", *f.Index)
			}
			got = append(got, text)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%.80s: %v, want %s", body, got, want)
		}
	}
	for body, kind := range map[string]errs.Kind{
		`7`: errs.Invalid, `[7]`: errs.Invalid, `{`: errs.Invalid,
		"[" + strings.TrimSuffix(strings.Repeat(`{"to":"a@x.org","html":"x"},`, 1001), ",") + "]":                errs.Invalid,
		`{"html":"x","to":[` + strings.TrimSuffix(strings.Repeat(`"a@x.org",`, 1001), ",") + `]}`:                errs.Invalid,
		`{"html":"` + strings.Repeat("x", 1<<20) + `","to":[` + strings.Repeat(`"a@x.org",`, 30) + `"b@x.org"]}`: errs.TooLarge,
		`{"html":"` + strings.Repeat("x", 1<<20+1) + `","to":"b@x.org"}`:                                         errs.Invalid,
		`{"to":"` + strings.Repeat("x", 250) + `@x.org","html":"x"}`:                                             errs.Invalid,
	} {
		if _, err := w.post(body); !errs.Is(err, kind) {
			t.Errorf("%.60s: %v, want %v", body, err, kind)
		}
	}
	if n := len(w.documents(collection.EmailOutbound)); n != 0 {
		t.Errorf("%d documents", n)
	}
}

func TestWarnings(t *testing.T) {
	w := newWorld(t)
	b := w.must(`{"to":"a@x.org","html":"x","cc":"b@x.org","\u0007bell":1,"transport":"Gmail"}`)
	if got, want := w.desk.Warning(b), `left out: \abell, cc; the transport is recorded only: Gmail`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := w.documents(collection.EmailOutbound)[0]["transport"]; got != "Gmail" {
		t.Errorf("transport %v", got)
	}
	w.desk.From = ""
	if got, want := w.desk.Warning(w.must(`{"to":"a@x.org","html":"x"}`)), "queued: this cluster has no mail relay"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTemplates(t *testing.T) {
	w := newWorld(t)
	w.insert(collection.EmailTemplates, `{"name":"bill","subject":"Bill for {{name}}",
		"html":"<p>{{name}} {{{raw}}} {{n}} {{big}} {{f}}{{none}}{{null}}</p>{{#items}}<li>{{.}}</li>{{/items}}{{^zero}}none{{/zero}}"}`)
	w.must(`{"to":"a@x.org","template":"bill","html":{"name":"<Ann & Co>","raw":"<b>","n":3,"big":12345678,"f":1.50,"null":null,"items":[1,"<2>",null],"zero":0}}`)
	w.must(`{"to":"a@x.org","template":"bill","subject":"Mine, {{name}}","html":"{\"name\":\"Bob\"}"}`)
	docs := w.documents(collection.EmailOutbound)
	for i, want := range []string{
		`Bill for <Ann & Co>|<p>&lt;Ann &amp; Co&gt; <b> 3 12345678 1.50</p><li>1</li><li>&lt;2&gt;</li><li></li>none`,
		`Mine, Bob|<p>Bob    </p>none`,
	} {
		if got := fmt.Sprint(docs[i]["subject"], "|", docs[i]["body"]); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestATemplateIsBounded(t *testing.T) {
	hundred := make([]any, 100)
	for i := range hundred {
		hundred[i] = "x"
	}
	long := strings.Repeat("y", 1<<16)
	with := map[string]any{"a": hundred, "long": long}
	for name, source := range map[string]string{
		"repeats for ever": strings.Repeat("{{#a}}", 20) + strings.Repeat("{{/a}}", 20),
		"too long":         strings.Repeat("{{{long}}}", 100),
		"whole, too often": strings.Repeat("{{.}}", 5000),
		"too deep":         strings.Repeat("{{#a}}", 10_000) + strings.Repeat("{{/a}}", 10_000),
		"deep and slow":    strings.Repeat("{{#long}}", maxDepth+1) + strings.Repeat("{{/long}}", maxDepth+1),
		"too many tags":    strings.Repeat("{{a}}", maxTags+1),
		"a long name":      "{{" + strings.Repeat("a.", 1000) + "a}}",
		"too long itself":  strings.Repeat("x", maxSource+1),
		"a partial within": "{{#a}}{{>b}}{{/a}}",
	} {
		t.Run(name, func(t *testing.T) {
			left := work(maxWork)
			if text, err := left.render(source, with, nil, maxHTML); err == nil {
				t.Errorf("it came to %d bytes", len(text))
			}
		})
	}
}

// A request may hold a thousand mails that are each within their bounds.
func TestTheTemplatesOfARequestAreBoundedTogether(t *testing.T) {
	w := newWorld(t)
	w.insert(collection.EmailTemplates, `{"name":"t","html":"{{#a}}{{#a}}{{/a}}{{/a}}."}`)
	mail := `{"to":"a@x.org","template":"t","html":{"a":[` + strings.Repeat("1,", 290) + `1]}}`
	w.must(mail)
	_, err := w.post("[" + strings.Repeat(mail+",", maxWork/80_000) + mail + "]")
	var invalid *collection.ValidationError
	if !errors.As(err, &invalid) || !strings.Contains(invalid.List[0].Message[0], "send fewer at once") {
		t.Fatalf("got %v", err)
	}
	if n := len(w.documents(collection.EmailOutbound)); n != 1 {
		t.Errorf("%d documents", n)
	}
}

func FuzzRender(f *testing.F) {
	f.Add("{{a}}{{{b}}}{{#c}}{{.}}{{/c}}{{^d}}x{{/d}}{{=<< >>=}}<<a>>", `{"a":1,"b":"<","c":[1,{"d":null}]}`)
	f.Add("{{#a}}{{#a}}{{a.b.c}}{{/a}}{{/a}}", `{"a":[[1],[2]]}`)
	f.Add("{{{}}}", `{}`)
	f.Fuzz(func(t *testing.T, source, object string) {
		left := work(maxWork)
		text, err := left.render(source, values([]byte(object)), nil, 1000)
		if err == nil && len(text) > 1000 {
			t.Errorf("%d bytes", len(text))
		}
	})
}
