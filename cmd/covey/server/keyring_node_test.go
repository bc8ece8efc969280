package server

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coveydb/covey/internal/seal"
)

// The whole node, as SIGHUP and the operator's API see it.
func TestANodeReadsItsKeyringAgain(t *testing.T) {
	cfg := single(t)
	s, _ := start(t, cfg)
	next, err := seal.Rotate(cfg.KeyringFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	ask := func(method, path string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, s.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+testRootKey)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	for end := time.Now().Add(30 * time.Second); ; {
		code, text := ask("POST", "/cluster/keyring/rewrap")
		if code == 201 && strings.Contains(text, `"key":"`+next+`"`) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d %s", code, text)
		}
		time.Sleep(50 * time.Millisecond)
	}
	for end := time.Now().Add(30 * time.Second); ; {
		_, text := ask("GET", "/cluster/keyring")
		if strings.Contains(text, `"finished":`) && strings.Contains(text, `"primary_on":["n1"]`) {
			break
		}
		if time.Now().After(end) {
			t.Fatal(text)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := os.WriteFile(cfg.KeyringFile, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), cfg.KeyringFile) {
		t.Errorf("a damaged file: %v", err)
	}
}

// A keyring that comes without a file serves as one that has one does, and stays
// as it is.
func TestAKeyringWithoutAFile(t *testing.T) {
	cfg := single(t)
	text, err := os.ReadFile(cfg.KeyringFile)
	if err != nil {
		t.Fatal(err)
	}
	cfg.KeyringFile, cfg.Keyring = "", string(text)
	s, _ := start(t, cfg)
	if code, text := call(t, http.DefaultClient, "POST", s.URL()+"/", "signing_key=k&secret_key=s"); code != 200 {
		t.Errorf("%d %s", code, text)
	}
	if err := s.Reload(); err != nil {
		t.Error(err)
	}
	cfg.Keyring = `{"primary":"a"}`
	if _, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "--keyring-file") {
		t.Errorf("a keyring that is none: %v", err)
	}
}
