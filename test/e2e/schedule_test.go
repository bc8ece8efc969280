package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
)

// Three nodes share a schedule. One backup is made, by the leader; it is encrypted,
// verified, and not made again when the leader dies. A new cluster is restored from
// where it lies.
func TestAScheduledBackupIsMadeOnceAndRestoredFromItsPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	recipients, identities := filepath.Join(dir, "recipients"), filepath.Join(dir, "identities")
	for path, text := range map[string]string{recipients: id.Recipient().String(), identities: id.String()} {
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	place := filepath.Join(dir, "nightly")
	if err := os.Mkdir(place, 0o700); err != nil {
		t.Fatal(err)
	}
	servers := newCluster(t, 3)
	bucket := servers[0].must("POST", "/", "")
	servers[0].must("PUT", "/"+bucket+"/k", "v")
	for _, s := range servers {
		s.kill()
		s.extra = []string{"--backup-to", "file://" + place, "--backup-age-recipients", recipients}
	}
	for _, s := range servers {
		s.start()
	}
	for _, s := range servers {
		s.waitReady(patience)
	}

	list := func() []string {
		out, _ := mustCovey(t, "backup", "list", "file://"+place)
		return strings.Split(strings.TrimSpace(out), "\n")
	}
	servers[0].waitFor("backed up", patience, func() error {
		if all := list(); len(all) != 1 || !strings.HasSuffix(all[0], "yes\tyes") { // encrypted, verified
			return fmt.Errorf("there are %q", all)
		}
		return nil
	})
	lost := leaderOf(t, servers)
	lost.kill()
	var left []*server
	for _, s := range servers {
		if s != lost {
			left = append(left, s)
		}
	}
	next := leaderOf(t, left)
	next.waitFor("aware of the last backup", patience, func() error {
		_, metrics, err := next.do("GET", "/metrics", "", nil)
		if err == nil && !strings.Contains(metrics, "covey_backup_last_success_timestamp_seconds 1.") {
			err = errors.New("its metric does not tell")
		}
		return err
	})
	all := list()
	if len(all) != 1 {
		t.Fatalf("the next leader made it again: %q", all)
	}
	name := strings.Split(all[0], "\t")[0]
	if _, stderr, code := covey(t, "backup", "verify", "file://"+place+"/"+name); code == 0 || !strings.Contains(stderr, "encrypted") {
		t.Errorf("verify without the identity: exit code %d\n%s", code, stderr)
	}
	mustCovey(t, "backup", "verify", "file://"+place+"/"+name, "--age-identities", identities)

	fresh := newServer(t, "m1", 1)
	fresh.start()
	fresh.waitReady(patience)
	key := filepath.Join(dir, "root.key")
	if err := os.WriteFile(key, []byte(rootKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustCovey(t, "restore", "file://"+place+"/"+name, "--age-identities", identities, "--endpoint", "http://"+fresh.http, "--root-key-file", key, "--yes")
	if got := fresh.must("GET", "/"+bucket+"/k", ""); got != "v" {
		t.Errorf("read %q", got)
	}
}
