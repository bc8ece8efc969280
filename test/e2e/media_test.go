package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fileLength is the most that a file may have unless an operator says otherwise.
const fileLength = 10 << 20

// noise is a file that does not compress, another one for each seed.
func noise(seed uint64, n int) []byte {
	p := make([]byte, n)
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = source.Read(p) // documented never to return an error
	return p
}

// upload sends one file, and returns its id if that was answered with 201.
func (s *server) upload(p []byte) (id string, err error) {
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, err := form.CreateFormFile("file", "a.bin")
	if err != nil {
		return "", err
	}
	_, _ = part.Write(p) // to memory
	_ = form.Close()
	req, err := http.NewRequest("POST", "http://"+s.http+"/media", &b)
	if err != nil {
		return "", err
	}
	req.Header.Set("x-apikey", restKey)
	req.Header.Set("Content-Type", form.FormDataContentType())
	resp, err := (&http.Client{Timeout: 60 * time.Second}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	var up struct{ IDs []string }
	if err != nil || resp.StatusCode != 201 || json.Unmarshal(answer, &up) != nil || len(up.IDs) != 1 {
		return "", fmt.Errorf("upload: %d %.200s %w", resp.StatusCode, answer, err)
	}
	return up.IDs[0], nil
}

// sumOf downloads a file from this node and returns the sum of its bytes.
func (s *server) sumOf(id string) (sum [32]byte, err error) {
	resp, err := (&http.Client{Timeout: 60 * time.Second}).Get("http://" + s.http + "/media/" + id)
	if err != nil {
		return sum, err
	}
	defer resp.Body.Close()
	h := sha256.New()
	n, err := io.Copy(h, resp.Body)
	if err != nil || resp.StatusCode != 200 || n != resp.ContentLength {
		return sum, fmt.Errorf("download: %d with %d bytes: %w", resp.StatusCode, n, err)
	}
	return [32]byte(h.Sum(nil)), nil
}

// An upload through a follower is whole or absent when the leader is killed
// meanwhile; one that was answered is whole on all nodes.
func TestAnUploadOutlivesTheLeader(t *testing.T) {
	t.Parallel()
	servers := newRestCluster(t, 3)
	answered := make(map[string][32]byte)
	for round := range size(2, 12) {
		p := noise(uint64(round), fileLength)
		leader := leaderOf(t, servers)
		follower := servers[rand.N(3)]
		for follower == leader {
			follower = servers[rand.N(3)]
		}
		var id string
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { id, err = follower.upload(p) })
		time.Sleep(time.Duration(rand.N(400)) * time.Millisecond) // anywhere in the upload
		leader.kill()
		wg.Wait()
		leader.start()
		leader.waitReady(patience)
		t.Logf("round %d: %q %v", round, id, err)
		if err == nil {
			answered[id] = sha256.Sum256(p)
		}
	}
	last := noise(1000, fileLength)
	id, err := servers[0].upload(last)
	if err != nil {
		t.Fatalf("after all: %v", err)
	}
	answered[id] = sha256.Sum256(last)
	for id, want := range answered {
		for _, s := range servers {
			if got, err := s.sumOf(id); err != nil || got != want {
				t.Errorf("%s on %s: sum %x, want %x (%v)", id, s.id, got[:4], want[:4], err)
			}
		}
	}
}

// memory returns what the process has in memory now and had at most, in MiB.
func (s *server) memory(t *testing.T) (now, peak int) {
	t.Helper()
	p, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Skip("the memory of a process cannot be read here")
	}
	value := func(name string) int {
		_, rest, _ := strings.Cut(string(p), name+":")
		n, _ := strconv.Atoi(strings.Fields(rest)[0])
		return n >> 10
	}
	return value("VmRSS"), value("VmHWM")
}

// Many downloads at once take about a chunk of memory each, not a file.
func TestParallelDownloadsStream(t *testing.T) {
	t.Parallel()
	servers := newRestCluster(t, 1)
	p := noise(1, fileLength)
	id, err := servers[0].upload(p)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := servers[0].memory(t)
	downloads := size(40, 200)
	bodies := make([]io.ReadCloser, downloads)
	for i := range bodies { // all are under way before the first one goes on
		resp, err := http.Get("http://" + servers[0].http + "/media/" + id)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		bodies[i] = resp.Body
	}
	var wg sync.WaitGroup
	for _, body := range bodies {
		wg.Go(func() {
			h := sha256.New()
			if _, err := io.Copy(h, body); err != nil || [32]byte(h.Sum(nil)) != sha256.Sum256(p) {
				t.Errorf("a download went wrong: %v", err)
			}
		})
	}
	wg.Wait()
	_, peak := servers[0].memory(t)
	t.Logf("%d downloads of 10 MiB: %d MiB before, %d MiB at most", downloads, before, peak)
	if most := before + 150 + downloads; peak > most {
		t.Errorf("the node took %d MiB, want at most %d", peak, most)
	}
}
