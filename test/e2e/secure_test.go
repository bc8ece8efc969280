package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// block is a piece of a document that is to be pasted.
type block struct{ section, where, text string }

// blocks returns the blocks of docs/security.md that say where they are to be
// run: on the desk, or on a node.
func blocks(t *testing.T) (all []block) {
	t.Helper()
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	var b *block
	section := ""
	for line := range strings.Lines(string(text)) {
		where, opens := strings.CutPrefix(strings.TrimSpace(line), "```sh ")
		switch {
		case b != nil && strings.HasPrefix(line, "```"):
			all, b = append(all, *b), nil
		case b != nil:
			b.text += line
		case opens:
			b = &block{section: section, where: where}
		case strings.HasPrefix(line, "## "):
			section = strings.TrimSpace(line[3:])
		}
	}
	return all
}

// machines are the desk and the nodes of the document, all on loopback: every
// machine has an address of its own in 127.0.0.0/8 and a folder in place of its
// root folder.
type machines struct {
	t      *testing.T
	root   string
	prefix string // of addresses, in place of 10.0.0.
	nodes  map[string]*machine
}

// machine is a process of a node on it.
type machine struct {
	t      *testing.T
	addr   string
	start  func() *exec.Cmd
	log    lockedBuffer
	cmd    *exec.Cmd
	exited chan struct{}
}

// What stands in for ssh and scp: the far machine is a folder.
const (
	shimSSH = `#!/bin/sh -e
host=$1; shift
exec sh -ec "$(printf '%s ' "$@" | sed "s#/etc/#$ROOT/$host/etc/#g; s#/var/lib/#$ROOT/$host/var/lib/#g")"
`
	shimSCP = `#!/bin/sh -e
for last; do :; done
for file; do
  if [ "$file" != "$last" ]; then cp -p "$file" "$ROOT/${last%%:*}${last#*:}"; fi
done
`
)

func newMachines(t *testing.T) *machines {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8 on loopback")
	}
	for _, tool := range []string{"sh", "curl", "base64"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the document's commands need %s", tool)
		}
	}
	m := &machines{
		t: t, root: t.TempDir(), nodes: map[string]*machine{},
		prefix: fmt.Sprintf("127.%d.%d.", 1+rand.IntN(250), 1+rand.IntN(250)),
	}
	for name, text := range map[string]string{"ssh": shimSSH, "scp": shimSCP} {
		m.write("bin/"+name, text, 0o755)
	}
	if err := os.Symlink(binary, filepath.Join(m.root, "bin", "covey")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(m.root, "desk"), 0o700); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *machines) write(name, text string, mode os.FileMode) {
	m.t.Helper()
	path := filepath.Join(m.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machines) env() []string {
	return append(os.Environ(), "ROOT="+m.root, "PATH="+filepath.Join(m.root, "bin")+":"+os.Getenv("PATH"))
}

// desk runs a block on the desk, whose variables last from block to block, and
// returns what it prints.
func (m *machines) desk(text string) string {
	m.t.Helper()
	script := "set -e; umask 077; if [ -e ../variables ]; then . ../variables; fi\n" + strings.ReplaceAll(text, "10.0.0.", m.prefix) + "\nexport -p > ../variables\n"
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir, cmd.Env = filepath.Join(m.root, "desk"), m.env()
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		m.t.Fatalf("%v in\n%s\n%s%s", err, text, out, &errOut)
	}
	return string(out)
}

// node runs a block on the machine with a number, as the node with that number.
func (m *machines) node(text string, number int) *machine {
	id, addr := fmt.Sprintf("n%d", number), fmt.Sprintf("%s%d", m.prefix, number)
	_, command, _ := strings.Cut(text, "\n") // the first line is the node's own
	return m.run(id, addr, strings.ReplaceAll(command, "10.0.0.", m.prefix))
}

// run starts a command on the machine at addr.
func (m *machines) run(id, addr, command string) *machine {
	m.t.Helper()
	dir := filepath.Join(m.root, addr)
	command = strings.ReplaceAll(command, "covey serve", "exec covey serve --log-format text")
	command = strings.NewReplacer("/etc/covey", dir+"/etc/covey", "/var/lib/covey", dir+"/var/lib/covey").Replace(command)
	n := &machine{t: m.t, addr: addr, start: func() *exec.Cmd {
		cmd := exec.Command("sh", "-c", "ID="+id+" HOST="+addr+"\n"+command)
		cmd.Env = m.env()
		return cmd
	}}
	m.nodes[id] = n
	n.up()
	m.t.Cleanup(func() {
		n.down(syscall.SIGKILL)
		if m.t.Failed() {
			m.t.Logf("log of %s:\n%s", id, tail(n.log.String(), 30))
		}
	})
	return n
}

func (n *machine) up() {
	n.t.Helper()
	n.cmd, n.exited = n.start(), make(chan struct{})
	n.cmd.Stdout, n.cmd.Stderr = &n.log, &n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	go func(cmd *exec.Cmd, exited chan struct{}) { _ = cmd.Wait(); close(exited) }(n.cmd, n.exited)
}

func (n *machine) down(s syscall.Signal) {
	_ = n.cmd.Process.Signal(s) // it may have ended
	<-n.exited
}

// logs waits until the log holds all words in one line.
func (n *machine) logs(words ...string) {
	n.t.Helper()
	within(n.t, "a line of the log with "+strings.Join(words, ", "), func() bool {
		for line := range strings.Lines(n.log.String()) {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
				return true
			}
		}
		return false
	})
}

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	pause := pauses()
	for end := time.Now().Add(patience); !ok(); time.Sleep(pause()) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// client trusts the CAs in files of the desk.
func (m *machines) client(files ...string) *http.Client {
	m.t.Helper()
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: m.pool(files...)}, ForceAttemptHTTP2: true}
	m.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 15 * time.Second}
}

func (m *machines) pool(files ...string) *x509.CertPool {
	m.t.Helper()
	pool := x509.NewCertPool()
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(m.root, "desk", f))
		if err != nil || !pool.AppendCertsFromPEM(text) {
			m.t.Fatalf("%s: %v", f, err)
		}
	}
	return pool
}

// ready waits until nodes are ready.
func (m *machines) ready(ca string, ids ...string) {
	m.t.Helper()
	c := m.client(ca)
	for _, id := range ids {
		within(m.t, id+" is ready", func() bool {
			resp, err := c.Get("https://" + m.nodes[id].addr + ":8700/readyz")
			if err != nil {
				return false
			}
			_ = resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		})
	}
}

// setUp runs the document's section about three nodes and returns what the desk
// saw in the end.
func (m *machines) setUp(all []block) (seen string) {
	m.t.Helper()
	for _, b := range all {
		if b.section != "Three nodes" {
			continue
		}
		if b.where == "desk" {
			seen = m.desk(b.text)
			continue
		}
		for number := 1; number <= 3; number++ {
			m.node(b.text, number)
		}
		m.ready("certs/ca.pem", "n1", "n2", "n3")
	}
	if len(m.nodes) != 3 {
		m.t.Fatal("the document sets up no three nodes")
	}
	return seen
}

// members returns who is a member and who leads.
func (m *machines) members() (ids []string, leader string) {
	m.t.Helper()
	var st status
	if err := json.Unmarshal([]byte(m.desk("covey cluster status -o json")), &st); err != nil {
		m.t.Fatal(err)
	}
	for _, member := range st.Members {
		if member.Role == "voter" || member.Role == "non-voter" {
			ids = append(ids, member.ID)
		}
	}
	return ids, st.Leader
}

func TestASecureClusterByTheDocument(t *testing.T) {
	t.Parallel()
	m, all := newMachines(t), blocks(t)
	if seen := m.setUp(all); !strings.HasSuffix(seen, "world") {
		t.Errorf("the desk saw %q", seen)
	}
	for _, b := range all {
		switch {
		case b.section != "A fourth node, with a token":
		case b.where == "desk":
			m.desk(b.text)
		default:
			m.node(b.text, 4)
			m.ready("certs/ca.pem", "n4")
		}
	}
	if ids, _ := m.members(); !slices.Contains(ids, "n4") {
		t.Errorf("the node with a token is not among the members %v", ids)
	}

	// Whoever comes without what the document gives stays outside.
	m.desk("covey cert ca --dir other; covey cert node x2 --dir other --host 10.0.0.6")
	for addr, files := range map[string]string{"5": "gossip.key", "6": "gossip.key other/ca.pem other/x2.pem other/x2.key"} {
		m.desk("ssh 10.0.0." + addr + " mkdir -p /etc/covey /var/lib/covey; scp " + files + " 10.0.0." + addr + ":/etc/covey/")
	}
	const ports = "covey serve --id $ID --data-dir /var/lib/covey/$ID --http-addr $HOST:8700 --peer-addr $HOST:8701 --gossip-addr $HOST:8702 --gossip-key-file /etc/covey/gossip.key"
	join := " --join " + m.prefix + "1:8702"
	bare := m.run("x1", m.prefix+"5", ports+join)
	foreign := m.run("x2", m.prefix+"6", ports+join+" --peer-ca /etc/covey/ca.pem --peer-cert /etc/covey/x2.pem --peer-key /etc/covey/x2.key")
	_, id := m.members()
	leader := m.nodes[id]
	leader.logs("WRN", "node=x1", "does not prove that it is this node", "without TLS")
	leader.logs("WRN", "node=x2", "is of no CA that this node trusts")
	bare.logs("WRN", "it speaks TLS and this node does not")
	foreign.logs("WRN", "refuses this node's certificate")
	m.knock("n1", tls.Certificate{}, "it shows no certificate")
	m.knock("n1", m.pair("other/x2"), "(x2, signed by Covey CA")
	if ids, _ := m.members(); slices.Contains(ids, "x1") || slices.Contains(ids, "x2") || len(ids) != 4 {
		t.Errorf("the members are %v", ids)
	}
	thief := m.run("n9", m.prefix+"2", ports+join+" --peer-ca /etc/covey/ca.pem --peer-cert /etc/covey/node.pem --peer-key /etc/covey/node.key")
	thief.logs("is the certificate of node n2, and this is node n9")
}

func (m *machines) pair(name string) tls.Certificate {
	m.t.Helper()
	base := filepath.Join(m.root, "desk", name)
	pair, err := tls.LoadX509KeyPair(base+".pem", base+".key")
	if err != nil {
		m.t.Fatal(err)
	}
	return pair
}

// knock dials the peer port of a node, which must refuse it and say why in its
// log.
func (m *machines) knock(id string, cert tls.Certificate, why string) {
	m.t.Helper()
	if err := m.dial(id, cert); err == nil {
		m.t.Errorf("%s lets in whoever comes with %q", id, why)
	}
	m.nodes[id].logs("WRN", "refused a peer connection", "remote=127.0.0.1", why)
}

// dial shakes hands on the peer port of a node with a certificate, or none.
func (m *machines) dial(id string, cert tls.Certificate) error {
	conn, err := tls.Dial("tcp", m.nodes[id].addr+":8701", &tls.Config{
		InsecureSkipVerify: true, // whom the node trusts is asked, not who it is
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &cert, nil
		},
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	// With TLS 1.3 a refusal comes with the first read; without one nothing comes,
	// as the node waits for a word.
	_, err = conn.Read(make([]byte, 1))
	if os.IsTimeout(err) {
		return nil
	}
	return err
}

// traffic is clients that write and read through all nodes.
type traffic struct {
	done   atomic.Int64
	failed atomic.Int64
	first  atomic.Pointer[string]
	stop   func()
}

// load starts clients. They trust what is in trusted; every tenth request of
// each comes on a new connection.
func (m *machines) load(clients int, trusted *atomic.Pointer[x509.CertPool]) *traffic {
	l := &traffic{}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	l.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	m.t.Cleanup(l.stop)
	for i := range clients {
		wg.Go(func() {
			var c *http.Client
			for n := 0; ctx.Err() == nil; n++ {
				if n%10 == 0 {
					if c != nil {
						c.CloseIdleConnections()
					}
					c = &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{
						TLSClientConfig: &tls.Config{RootCAs: trusted.Load()}, ForceAttemptHTTP2: i%2 == 0,
					}}
				}
				url := fmt.Sprintf("https://%s%d:8700/load-bucket-0123456789/k%d", m.prefix, 1+(i+n/10)%3, i)
				if err := exchange(c, url, fmt.Sprint(n)); err != nil {
					text := err.Error()
					l.first.CompareAndSwap(nil, &text)
					l.failed.Add(1)
				}
				l.done.Add(1)
				breathe()
			}
		})
	}
	return l
}

// exchange writes a value and reads it again.
func exchange(c *http.Client, url, value string) error {
	for _, method := range []string{"PUT", "GET"} {
		req, err := http.NewRequest(method, url, strings.NewReader(value))
		if err != nil {
			return err
		}
		resp, err := c.Do(req)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK || method == "GET" && string(text) != value {
			return fmt.Errorf("%s %s: %s %s", method, url, resp.Status, text)
		}
	}
	return nil
}

func TestCertificatesAreRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	m, all := newMachines(t), blocks(t)
	m.setUp(all)
	m.desk("covey bucket create --id load-bucket-0123456789")
	old := m.pair("certs/n1")
	var trusted atomic.Pointer[x509.CertPool]
	trusted.Store(m.pool("certs/ca.pem"))
	l := m.load(size(4, 8), &trusted)
	steps, read := 0, []int{2, 3, 5, 6} // lines of both uses of the files, of that for peers alone, and so on
	for _, b := range all {
		if b.where != "desk" || b.section != "Replacing certificates" && b.section != "Replacing the CA" {
			continue
		}
		m.desk(b.text)
		steps++
		if _, err := os.Stat(filepath.Join(m.root, "desk", "ca2")); err == nil {
			trusted.Store(m.pool("certs/ca.pem", "ca2/ca.pem"))
		}
		for id, n := range m.nodes {
			within(t, fmt.Sprintf("%s has read its files after step %d", id, steps), func() bool {
				return strings.Count(n.log.String(), "read again; new connections use it") >= read[steps-1]
			})
		}
		before := l.done.Load()
		within(t, "requests go on", func() bool { return l.done.Load() > before+int64(size(50, 200)) })
	}
	if steps != len(read) {
		t.Errorf("the document has %d steps", steps)
	}
	trusted.Store(m.pool("ca2/ca.pem"))
	before := l.done.Load()
	within(t, "requests with the new CA alone", func() bool { return l.done.Load() > before+int64(size(100, 300)) })
	l.stop()
	if n := l.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", n, l.done.Load(), *l.first.Load())
	}
	t.Logf("%d writes and as many reads, on %d connections and more", l.done.Load(), l.done.Load()/10)

	if err := m.dial("n2", m.pair("ca2/n1")); err != nil {
		t.Errorf("a certificate of the new CA is refused: %v", err)
	}
	m.knock("n2", old, "is of no CA that this node trusts")
	// All connections of a node that starts anew are under the new CA.
	m.nodes["n3"].down(syscall.SIGTERM)
	m.nodes["n3"].up()
	m.ready("ca2/ca.pem", "n3")
}
