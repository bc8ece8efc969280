package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFilesThatTheNodesUserCannotRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // the test's folder, else closed to others
		t.Fatal(err)
	}
	key := filepath.Join(dir, "etc", "keyring.json")
	if err := os.WriteFile(key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.json")
	if err := os.Symlink(key, link); err != nil {
		t.Fatal(err)
	}
	uid, gid, known := ownerOf(must(os.Stat(key)))
	if !known {
		t.Skip("files have no owners here")
	}
	for _, tt := range []struct {
		name      string
		user      User
		file, way os.FileMode
		path      string
		denied    string
	}{
		{"the owner", User{Known: true, UID: uid}, 0o600, 0o700, key, ""},
		{"the owner, without the right", User{Known: uid != 0, UID: uid}, 0o060, 0o700, key, map[bool]string{true: key}[uid != 0]},
		{"another user", User{Known: true, UID: uid + 1}, 0o600, 0o755, key, key},
		{"another user, by a link", User{Known: true, UID: uid + 1}, 0o600, 0o755, link, key},
		{"another user, and all may read", User{Known: true, UID: uid + 1}, 0o604, 0o755, key, ""},
		{"one of the group", User{Known: true, UID: uid + 1, Groups: []uint32{gid}}, 0o640, 0o755, key, ""},
		{"one of the group, which may not", User{Known: true, UID: uid + 1, Groups: []uint32{gid}}, 0o604, 0o755, key, key},
		{"one who cannot come there", User{Known: true, UID: uid + 1}, 0o604, 0o700, key, filepath.Dir(key)},
		{"root", User{Known: true}, 0, 0o700, key, ""},
		{"nobody knows who", User{}, 0o600, 0o700, key, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.Chmod(key, tt.file); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Dir(key), tt.way); err != nil {
				t.Fatal(err)
			}
			got := denied(tt.user, []File{{"keyring-file", tt.path}})
			if (len(got) > 0) != (tt.denied != "") || len(got) > 0 && got[0].At != tt.denied {
				t.Fatalf("%+v", got)
			}
			tt.user.Name = "covey"
			for _, f := range judgeModes(&Subject{DataDir: "/data"}, &Facts{User: tt.user, Denied: got, Modes: []Mode{{Perm: 0o600}}}) {
				if (f.State == Problem) != (tt.denied != "") || tt.denied != "" && (!strings.Contains(f.Text, "--keyring-file "+tt.path+" cannot be read by covey, whose data folder /data is") || !strings.HasPrefix(f.Do, "chown covey "+tt.denied)) {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestTheNodesUserIsTheOwnerOfItsFolder(t *testing.T) {
	dir := t.TempDir()
	if u := folderUser(dir); u.Known && (u.UID != uint32(os.Getuid()) || u.Name == "") {
		t.Errorf("%+v", u)
	}
	if os.Getuid() == 0 && os.Chown(dir, 54321, -1) == nil {
		if u := folderUser(dir); !u.Known || u.UID != 54321 || u.Name != "54321" {
			t.Errorf("%+v", u)
		}
		mine := filepath.Join(dir, "node.json")
		if err := os.WriteFile(mine, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(mine, 54322, -1); err != nil {
			t.Fatal(err)
		}
		if u := folderUser(dir); !u.Known || u.UID != 54322 {
			t.Errorf("with what a node has written: %+v", u)
		}
	}
	if u := folderUser(filepath.Join(dir, "none")); u.Known {
		t.Errorf("%+v", u)
	}
}
