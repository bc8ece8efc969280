package sdk

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	// What the binary is built from: otherwise a result would be taken from the
	// cache although that has changed.
	_ "github.com/coveydb/covey/cmd/covey/cli"
	"github.com/coveydb/covey/test/cluster"
)

var (
	full   = flag.Bool("full", false, "run in the sizes that releases are held to")
	binary string
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Processes of clusters mostly wait for each other: more tests than there are
	// processors at once take no longer each.
	if n := flag.Lookup("test.parallel"); n.Value.String() == n.DefValue {
		if err := n.Value.Set(fmt.Sprint(size(12, 4))); err != nil {
			panic(err)
		}
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "covey-sdk-")
	if err == nil {
		defer os.RemoveAll(dir)
		binary, err = cluster.Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// size chooses between the size for every run and that for releases.
func size(small, large int) int {
	if *full {
		return large
	}
	return small
}

// interpreter finds a program, or skips the test.
func interpreter(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("this machine has no %s", name)
	}
	return path
}

// watch looks at all files of a folder: go test keeps the result of a test only
// as long as the files that the test itself has looked at stay the same.
func watch(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// account makes a user with a name, with an organization, a project and an
// environment, and returns its token and the ids of the three.
func account(t *testing.T, url, name string) (token string, organization, project, environment int) {
	t.Helper()
	var user struct {
		Token        string
		Organization struct{ ID int }
	}
	post(t, url+"/api/auth/register/", "", map[string]any{"username": name, "email": name + "@example.com", "password": "correct-horse-battery-7"}, &user)
	var made struct{ ID int }
	post(t, url+"/api/projects/", user.Token, map[string]any{"name": name, "organization": user.Organization.ID}, &made)
	project = made.ID
	post(t, url+"/api/environments/", user.Token, map[string]any{"name": name, "project": project}, &made)
	return user.Token, user.Organization.ID, project, made.ID
}

// post sends JSON, which must be answered with 201.
func post(t *testing.T, url, token string, body, answer any) {
	t.Helper()
	p, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(p))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Token "+token)
	}
	res, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("POST %s: %s", url, res.Status)
	}
	if err := json.NewDecoder(res.Body).Decode(answer); err != nil {
		t.Fatal(err)
	}
}
