package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// keynest answers the operator of the KeyNest API as operator does.
func keynest(t *testing.T, answers ...http.HandlerFunc) (*KeyNest, func() []operated) {
	r, calls := operator(t, answers...)
	return r.c.KeyNest(), calls
}

func TestCallsOfKeyNestAreThoseOfTheAPI(t *testing.T) {
	ctx := t.Context()
	read := func(body io.ReadCloser, err error) error {
		if err != nil {
			return err
		}
		return body.Close()
	}
	for _, tt := range []struct {
		name string
		call func(k *KeyNest) error
		want operated
	}{
		{"create user", func(k *KeyNest) error {
			_, err := k.CreateUser(ctx, NewUser{Email: "a@b.example", Username: "ann", Password: "secret"})
			return err
		}, operated{"POST", "/users", `{"email":"a@b.example","username":"ann","password":"secret"}`}},
		{"show user", func(k *KeyNest) error {
			_, err := k.User(ctx, "a/b%c@d.example")
			return err
		}, operated{"GET", "/users/a%2Fb%25c@d.example", ""}},
		{"disable", func(k *KeyNest) error { return k.DisableUser(ctx, "a@b.example") }, operated{"POST", "/users/a@b.example/disable", ""}},
		{"enable", func(k *KeyNest) error { return k.EnableUser(ctx, "a@b.example") }, operated{"POST", "/users/a@b.example/enable", ""}},
		{"reset", func(k *KeyNest) error { return k.ResetPassword(ctx, "a@b.example", "next") }, operated{"PUT", "/users/a@b.example/password", `{"password":"next"}`}},
		{"export", func(k *KeyNest) error { return read(k.ExportAudit(ctx, AuditScope{}, "csv")) }, operated{"GET", "/audit/export?format=csv", ""}},
		{"export an organization", func(k *KeyNest) error { return read(k.ExportAudit(ctx, AuditScope{Organization: 7}, "jsonl")) }, operated{"GET", "/audit/export?format=jsonl&organization=7", ""}},
		{"heads of an account", func(k *KeyNest) error {
			for _, err := range k.AuditHeads(ctx, AuditScope{Account: "a+b@c.example"}) {
				return err
			}
			return nil
		}, operated{"GET", "/audit/heads?account=a%2Bb%40c.example", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, calls := keynest(t, says(200, "{}"))
			if err := tt.call(k); err != nil {
				t.Fatal(err)
			}
			tt.want.target = "/cluster/keynest" + tt.want.target
			if diff := cmp.Diff([]operated{tt.want}, calls(), cmp.AllowUnexported(operated{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	k, calls := keynest(t, says(200, "{}"))
	_, err := k.User(ctx, "")
	for _, err := range []error{err, k.DisableUser(ctx, ""), k.EnableUser(ctx, ""), k.ResetPassword(ctx, "", "p")} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("no address: %v", err)
		}
	}
	if n := len(calls()); n != 0 {
		t.Errorf("%d calls were sent", n)
	}
}

func TestHeadsOfTheAuditLogComeLineByLine(t *testing.T) {
	lines := `{"audit_heads":[{"chain":"o1","number":3,"hash":"aa"},{"chain":"o2","number":1,"hash":"bb"}]}` + "\n" +
		`{"audit_heads":[{"chain":"u1","number":2,"hash":"cc"}]}` + "\n"
	breaks := func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, lines[:len(lines)-10])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   []string
		fails  string
	}{
		{"whole", says(200, lines), []string{"o1 3 aa", "o2 1 bb", "u1 2 cc"}, ""},
		{"none", says(200, `{"audit_heads":[]}`), nil, ""},
		{"broken off", breaks, []string{"o1 3 aa", "o2 1 bb"}, "unexpected EOF"},
		{"something else", says(200, "hello"), nil, "not what was asked for"},
		{"not found", says(404, `{"error":{"message":"nobody"}}`), nil, "nobody"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, _ := keynest(t, tt.answer)
			var got []string
			var failed error
			for h, err := range k.AuditHeads(t.Context(), AuditScope{}) {
				if failed = err; err == nil {
					got = append(got, fmt.Sprint(h.Chain, " ", h.Number, " ", h.Hash))
				}
			}
			if !slices.Equal(got, tt.want) || (tt.fails == "") != (failed == nil) || failed != nil && !strings.Contains(failed.Error(), tt.fails) {
				t.Errorf("%q, %v; want %q, %q", got, failed, tt.want, tt.fails)
			}
		})
	}
}

func TestAnExportThatBreaksOffIsAnError(t *testing.T) {
	k, _ := keynest(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "a whole line\n")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	body, err := k.ExportAudit(t.Context(), AuditScope{}, "jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if text, err := io.ReadAll(body); !errors.Is(err, io.ErrUnexpectedEOF) || string(text) != "a whole line\n" {
		t.Errorf("%q, %v", text, err)
	}
}
