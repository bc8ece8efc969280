package keynest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/content"
	"github.com/pb33f/libopenapi-validator/errors"

	"github.com/coveydb/covey/httpapi/web"
)

// conformity checks requests and answers against an OpenAPI document.
type conformity struct {
	mu    sync.Mutex // what it stands on fills caches without one
	check validator.Validator
}

// document is the API's, read once for all tests.
var document = sync.OnceValues(func() (*conformity, error) {
	d, err := libopenapi.NewDocument(openAPIText)
	if err != nil {
		return nil, err
	}
	check, errs := validator.NewValidator(d,
		config.WithBodyDecoder("application/x-ndjson", content.TextDecoder()), // which is not JSON
		config.WithBodyDecoder("application/x-www-form-urlencoded", content.DecoderFunc(decodeForm)),
		config.WithBodyDecoder("multipart/form-data", content.DecoderFunc(decodeParts)))
	if len(errs) > 0 {
		return nil, errs[0]
	}
	return &conformity{check: check}, nil
})

// decodeForm reads a form as clients mean it: all fields are texts.
func decodeForm(in *content.DecodeInput) (any, error) {
	body, err := io.ReadAll(in.Body)
	fields := map[string]any{}
	for _, pair := range web.SplitPairs(string(body)) {
		fields[pair.Name] = pair.Value
	}
	return fields, err
}

func decodeParts(in *content.DecodeInput) (any, error) {
	_, params, err := mime.ParseMediaType(in.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	fields := map[string]any{}
	parts := multipart.NewReader(in.Body, params["boundary"])
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			return fields, nil
		}
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return nil, err
		}
		fields[part.FormName()] = string(data)
	}
}

// maxJudged bounds the bodies that are held against the document.
const maxJudged = 1 << 20

// conforms holds a request and its answer against the document: the answer is
// one that is described, and a request that was served is one too.
func (w *world) conforms(sent *http.Request, path, body string, a response) {
	w.t.Helper()
	c, err := document()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range c.judge(sent, path, body, a) {
		w.t.Errorf("%s %s: %d %.300s is not as the OpenAPI document says: %s", sent.Method, path, a.code, a.body, p)
	}
}

// judge returns what is wrong with an exchange.
func (c *conformity) judge(sent *http.Request, path, body string, a response) (wrong []string) {
	if a.code >= 400 {
		wrong = envelopeFaults(sent.Method, a)
	}
	req, ok := describable(sent, path)
	if !ok || len(a.body) > maxJudged {
		return wrong
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	answer := &http.Response{StatusCode: a.code, Header: a.header, Body: io.NopCloser(strings.NewReader(a.body)), ContentLength: int64(len(a.body))}
	_, problems := c.check.ValidateHttpResponse(req, answer)
	wrong = append(wrong, texts(problems)...)
	if a.code < 300 && len(body) <= maxJudged {
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		_, problems = c.check.ValidateHttpRequestSync(req)
		for _, p := range texts(problems) {
			wrong = append(wrong, "a request that was served: "+p)
		}
	}
	return wrong
}

// describable returns the request that the document describes: the path has
// its slash, and what is known to be forgiven is gone. What is refused before
// the server has made out where it leads is no matter of the document.
func describable(sent *http.Request, path string) (*http.Request, bool) {
	u, err := url.Parse(path)
	if err != nil || !strings.HasPrefix(u.Path, "/") {
		return nil, false
	}
	t := parseTarget(u.EscapedPath())
	to, ok := newRoutes()[t.place]
	if !ok || to.work[sent.Method] == nil {
		return nil, false
	}
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/")+"/", ""
	if t.place == atOpenAPI {
		u.Path = "/api/openapi.json"
	}
	forgive(u)
	return &http.Request{Method: sent.Method, URL: u, Header: sent.Header.Clone()}, true
}

// forgive takes away what the contract has the server forgive, and the document
// does not offer: sizes that are none, and a filter that is no id.
func forgive(u *url.URL) {
	values := u.Query()
	for _, name := range []string{"page_size", "organization"} {
		if n, err := strconv.Atoi(values.Get(name)); err != nil || n < 1 || name == "page_size" && n > 100 {
			values.Del(name)
		}
	}
	for name, list := range values {
		if len(list) == 1 && list[0] == "" { // as if it were not there
			values.Del(name)
		}
	}
	u.RawQuery = values.Encode()
}

// envelopeFaults returns what is wrong with the form of an error, whatever the
// path.
func envelopeFaults(method string, a response) (wrong []string) {
	if got := a.header.Get("Content-Type"); got != "application/json" {
		wrong = append(wrong, fmt.Sprintf("an error of type %q", got))
	}
	if method == http.MethodHead {
		return wrong
	}
	var e struct{ Error, Detail, Code, Timestamp string }
	d := json.NewDecoder(strings.NewReader(a.body))
	if err := d.Decode(&e); err != nil || d.More() {
		return append(wrong, fmt.Sprintf("an error that is no JSON: %v", err))
	}
	if e.Error == "" || e.Detail != e.Error || e.Code == "" || e.Timestamp == "" {
		wrong = append(wrong, "an error that lacks something, or says two things")
	}
	want, ok := codes[a.code]
	if !ok {
		want = "SERVER_ERROR"
	}
	if e.Code != want && (a.code != 400 || e.Code != "PARSE_ERROR") && (a.code != 401 || e.Code != "AUTHENTICATION_REQUIRED" && e.Code != "INVALID_CREDENTIALS") {
		wrong = append(wrong, fmt.Sprintf("code %s with status %d", e.Code, a.code))
	}
	return wrong
}

func texts(problems []*errors.ValidationError) (list []string) {
	for _, p := range problems {
		text := p.Message + ": " + p.Reason
		for _, s := range p.SchemaValidationErrors {
			text += "\n\t" + s.KeywordLocation + ": " + s.Reason
		}
		list = append(list, text)
	}
	return list
}

// It is not that anything will do.
func TestTheDocumentRefuses(t *testing.T) {
	c, err := document()
	if err != nil {
		t.Fatal(err)
	}
	const (
		token    = "Authorization: Token 0123456789abcdef0123456789abcdef01234567"
		stamp    = "2023-11-14T22:13:20Z"
		project  = `{"id":1,"name":"Web","description":null,"organization":1,"organization_name":"Acme","created_at":"` + stamp + `","updated_at":"` + stamp + `","created_by_name":"","environment_count":0}`
		envelope = `{"error":"Not found.","details":null,"code":"NOT_FOUND","timestamp":"` + stamp + `","detail":"Not found."}`
	)
	page := func(results string) string {
		return `{"count":1,"next":null,"previous":null,"results":[` + results + `]}`
	}
	good := exchange{"GET", "/api/projects/1/", "", 200, project}
	for name, tt := range map[string]struct {
		change func(*exchange)
		want   string // part of the complaint, "" for none
	}{
		"nothing":                 {func(*exchange) {}, ""},
		"a page":                  {func(x *exchange) { x.path, x.answer = "/api/projects/?page=last", page(project) }, ""},
		"an error":                {func(x *exchange) { x.code, x.answer = 404, envelope }, ""},
		"a field too many":        {func(x *exchange) { x.answer = strings.Replace(project, `"id"`, `"owner":1,"id"`, 1) }, "owner"},
		"a field too few":         {func(x *exchange) { x.answer = strings.Replace(project, `"id":1,`, "", 1) }, "missing"},
		"null for a text":         {func(x *exchange) { x.answer = strings.Replace(project, `"Acme"`, "null", 1) }, "got null"},
		"fractions of a second":   {func(x *exchange) { x.answer = strings.ReplaceAll(project, "20Z", "20.5Z") }, "pattern"},
		"an id as text":           {func(x *exchange) { x.answer = strings.Replace(project, `"id":1`, `"id":"1"`, 1) }, "got string"},
		"a bare list":             {func(x *exchange) { x.path, x.answer = "/api/projects/", "["+project+"]" }, "got array"},
		"a bad thing on a page":   {func(x *exchange) { x.path, x.answer = "/api/projects/", page(`{"id":1}`) }, "missing"},
		"a bad page":              {func(x *exchange) { x.path, x.answer = "/api/projects/?page=0", page(project) }, "page"},
		"an undescribed status":   {func(x *exchange) { x.code, x.answer = 402, envelope }, "402"},
		"the code of another":     {func(x *exchange) { x.code, x.answer = 403, envelope }, "code NOT_FOUND"},
		"two texts":               {func(x *exchange) { x.code, x.answer = 404, strings.Replace(envelope, `"detail":"N`, `"detail":"n`, 1) }, "two things"},
		"an error's unknown part": {func(x *exchange) { x.code, x.answer = 404, strings.Replace(envelope, `{`, `{"stack":"x",`, 1) }, "stack"},
		"a 403 with details":      {func(x *exchange) { x.code, x.answer = 404, strings.Replace(envelope, `null`, `{"a":["b"]}`, 1) }, "details"},
		"a request without a name": {func(x *exchange) {
			x.method, x.path, x.body, x.code = "POST", "/api/projects/", `{"organization":1}`, 201
		}, "missing property 'name'"},
		"a name of signs": {func(x *exchange) {
			x.method, x.path, x.body, x.code = "POST", "/api/projects/", `{"organization":1,"name":"a/b"}`, 201
		}, "pattern"},
	} {
		t.Run(name, func(t *testing.T) {
			x := good
			tt.change(&x)
			sent, err := http.NewRequest(x.method, "http://example.com"+x.path, bytes.NewReader(nil))
			if err != nil {
				t.Fatal(err)
			}
			header, value, _ := strings.Cut(token, ": ")
			sent.Header.Set(header, value)
			sent.Header.Set("Content-Type", "application/json")
			got := strings.Join(c.judge(sent, x.path, x.body, response{x.code, x.answer, http.Header{"Content-Type": jsonType}}), "\n")
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("complaints %q, want %q", got, tt.want)
			}
		})
	}
}

type exchange struct {
	method, path, body string
	code               int
	answer             string
}
