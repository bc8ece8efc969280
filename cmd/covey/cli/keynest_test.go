package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/vault"
)

const annsPassword = " fox trot 42 hedges "

// asRootWith is asRoot with a standard input.
func (w *world) asRootWith(stdin string, args ...string) outcome {
	w.t.Helper()
	return w.runIn(stdin, []string{envRootKey + "=" + rootKey, "COVEY_TIMEOUT=30s"}, args...)
}

// login is what the KeyNest API does.
func (w *world) login(email, password string) error {
	w.t.Helper()
	var c vault.Candidate
	if _, err := w.store.DB.View(w.t.Context(), kv.Consistency{}, func(tx *kv.Tx) (err error) {
		c, err = w.vault.FindUser(tx, email)
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.vault.Verify(w.t.Context(), c, password); err != nil {
		return err
	}
	_, err := w.store.DB.Update(w.t.Context(), func(tx *kv.Tx) error {
		_, _, err := w.vault.Login(tx, c, vault.Client{IP: "192.0.2.1", Draw: vault.NewDraw()})
		return err
	})
	return err
}

func TestUsersAreCreatedShownAndDisabled(t *testing.T) {
	w := newWorld(t)
	create := []string{"keynest", "user", "create", "Ann@Example.com", "--username", "ann", "--first-name", "Ann"}
	if o := w.asRootWith(annsPassword+"\r\n", create...); o != (outcome{}) {
		t.Fatalf("create: %+v", o)
	}
	if o := w.asRootWith(annsPassword, create...); o.code != exitConflict || !strings.Contains(o.errOut, "email: User with this email already exists.") || strings.Contains(o.errOut, "trot") {
		t.Errorf("create again: %+v", o)
	}
	const shown = "1\tann@example.com\tann\tAnn\t"
	const joined = "\t2023-11-14 22:13:20\t"
	w.walk([]step{
		{0, shown + "active" + joined + "never\t1 Ann's Organization (admin)\n", []string{"keynest", "user", "show", "ANN@example.com"}},
		{exitNotFound, `user "eve@example.com": not found`, []string{"keynest", "user", "show", "eve@example.com"}},
		{exitNotFound, "not found", []string{"keynest", "user", "disable", "eve@example.com"}},
	})
	if err := w.login("ann@example.com", annsPassword); err != nil {
		t.Errorf("login: %v", err)
	}
	w.walk([]step{
		{0, "", []string{"keynest", "user", "disable", "ann@example.com"}},
		{0, shown + "disabled" + joined + "2023-11-14 22:13:20\t1 Ann's Organization (admin)\n", []string{"keynest", "user", "show", "ann@example.com"}},
		{exitPartly, "1 of 2 done", []string{"keynest", "user", "enable", "ann@example.com", "eve@example.com"}},
	})
	if err := w.login("ann@example.com", annsPassword); err != nil {
		t.Errorf("login after enable: %v", err)
	}
	var u []client.User
	if o := w.asRoot("keynest", "user", "show", "ann@example.com", "-o", "json"); json.Unmarshal([]byte(o.out), &u) != nil || len(u) != 1 || u[0].ID != 1 || !u[0].Active || len(u[0].Organizations) != 1 {
		t.Errorf("as JSON: %+v", o)
	}
	if o := w.run("keynest", "user", "show", "ann@example.com"); o.code != exitDenied || !strings.Contains(o.errOut, "--root-key-file") {
		t.Errorf("without the root key: %+v", o)
	}
}

func TestPasswordsComeFromAFileOrAPipe(t *testing.T) {
	w := newWorld(t)
	create := func(more ...string) []string {
		return append([]string{"keynest", "user", "create", "ann@example.com", "--username", "ann"}, more...)
	}
	for _, tt := range []struct {
		code        int
		stdin, says string
		args        []string
	}{
		{exitUsage, "x", "--username is missing", []string{"keynest", "user", "create", "ann@example.com"}},
		{exitFailed, "", "the password is empty", create()},
		{exitFailed, "\n", "the password is empty", create()},
		{exitFailed, "one line\nand another\n", "longer than one line", create()},
		{exitFailed, strings.Repeat("x", maxSecret+1), "is larger than", create()},
		{exitFailed, "", "no such file", create("--password-file", "/does/not/exist")},
		{exitFailed, "12345678", "password: This password is too common.", create()},
	} {
		if o := w.asRootWith(tt.stdin, tt.args...); o.code != tt.code || !strings.Contains(o.errOut, tt.says) {
			t.Errorf("%q: %+v, want %d and %q", tt.args, o, tt.code, tt.says)
		}
	}
	if o := w.asRoot(create("--password-file", file(t, annsPassword+"\n"))...); o != (outcome{}) {
		t.Fatalf("from a file: %+v", o)
	}
	if o := w.asRootWith("quite another 42\n", "keynest", "user", "reset-password", "ann@example.com"); o != (outcome{}) {
		t.Fatalf("reset: %+v", o)
	}
	if err := w.login("ann@example.com", annsPassword); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the old password: %v", err)
	}
	if err := w.login("ann@example.com", "quite another 42"); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if o := w.asRootWith("short", "keynest", "user", "reset-password", "ann@example.com"); o.code != exitFailed || !strings.Contains(o.errOut, "at least 8 characters") {
		t.Errorf("a short password: %+v", o)
	}
	a := &app{env: Env{Stdin: strings.NewReader("x"), StdinTerminal: true}}
	if _, err := (&passwordFlag{file: "-"}).read(t.Context(), a); exitCode(err) != exitUsage {
		t.Errorf("from a terminal: %v", err)
	}
}
