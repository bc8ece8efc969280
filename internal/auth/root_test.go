package auth

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

func TestRootKeysFollowTheCluster(t *testing.T) {
	const file, kept, other = "the key of the file", "a key that the cluster keeps", "another one"
	set := RootSet{Valid: []NamedHash{{"k1", NewSalted(kept)}, {"k2", NewSalted(other)}}}
	dropped := RootSet{Valid: set.Valid[:1], Dropped: []Salted{NewSalted("nobody's"), NewSalted(file)}}
	for _, c := range []struct {
		name, text string
		set        RootSet
		want       map[string]string // credential -> id, "" = refused
	}{
		{"its own alone", file, RootSet{}, map[string]string{file: FileKey, kept: ""}},
		{"all of them", file, set, map[string]string{file: FileKey, kept: "k1", other: "k2", "x": "", "": ""}},
		{"its own was dropped", file, dropped, map[string]string{file: "", kept: "k1", other: ""}},
		{"without its own", "", set, map[string]string{file: "", kept: "k1", other: "k2", "": ""}},
		{"what was dropped and is kept all the same", "", RootSet{Valid: set.Valid, Dropped: []Salted{NewSalted(kept)}}, map[string]string{kept: "k1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := NewRootKeys(c.text)
			k.Follow(c.set)
			for text, want := range c.want {
				if id, ok := k.Which(Credential{Value: text}); id != want || ok != (want != "") || k.Match(Credential{Value: text}) != ok {
					t.Errorf("%q: got %q, %v, want %q", text, id, ok, want)
				}
			}
			_, has := k.File()
			if want := c.want[file] == FileKey; has != want {
				t.Errorf("File is valid: %v, want %v", has, want)
			}
		})
	}
	empty := NewRootKeys("")
	if !empty.None() || empty.Match(Credential{}) {
		t.Error("without a key nothing must match")
	}
	if empty.Follow(set); empty.None() {
		t.Error("the cluster keeps keys")
	}
	if k := NewRootKey(""); !k.None() || k.Match(Credential{Value: "x"}) {
		t.Error("a nil key matches something")
	}
}

func TestRootKeysPrintNothing(t *testing.T) {
	const text = "a root key that nobody sees"
	k := NewRootKeys(text)
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", k)
		fmt.Fprintf(&out, verb+"\n", struct{ K *RootKey }{k})
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "key", k)
	for _, bad := range []string{text, fmt.Sprintf("%x", text), fmt.Sprint(k.file.Hash[:]), fmt.Sprintf("%x", k.file.Hash[:])} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("%q is printed:\n%s", bad, out.String())
		}
	}
}

func TestRootKeysAreFollowedWhileTheyAreAsked(t *testing.T) {
	k := NewRootKeys("file")
	set := RootSet{Valid: []NamedHash{{"k1", NewSalted("kept")}}}
	k.Follow(set)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				if !k.Match(Credential{Value: "kept"}) {
					t.Error("a valid key was refused")
					return
				}
			}
		})
	}
	for range 1000 {
		k.Follow(set)
	}
	wg.Wait()
}
