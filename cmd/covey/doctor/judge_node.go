package doctor

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/internal/pki"
	"github.com/coveydb/covey/node/room"
)

func ok(format string, args ...any) []Finding {
	return []Finding{{State: OK, Text: fmt.Sprintf(format, args...)}}
}

func skipped(format string, args ...any) []Finding {
	return []Finding{{State: Skipped, Text: fmt.Sprintf(format, args...)}}
}

func found(state State, text, do string) Finding { return Finding{State: state, Text: text, Do: do} }

// orOK returns findings, or the one that all is well.
func orOK(findings []Finding, format string, args ...any) []Finding {
	if len(findings) > 0 {
		return findings
	}
	return ok(format, args...)
}

const noNode = "no node of this machine is named; give --data-dir or --config"

func judgeSettings(s *Subject, _ *Facts) []Finding {
	if !s.Local && len(s.Settings) == 0 {
		return skipped(noNode)
	}
	return orOK(s.Settings, "the node would start with them")
}

// Who may do what with a file.
const (
	permOthers = 0o007
	permGroup  = 0o070
)

func judgeModes(s *Subject, f *Facts) (out []Finding) {
	if len(f.Modes) == 0 && len(f.Denied) == 0 {
		return skipped("no files with secrets are named")
	}
	for _, m := range f.Modes {
		what := fmt.Sprintf("--%s %s", m.Flag, m.Path)
		switch {
		case errors.Is(m.Err, fs.ErrNotExist):
			out = append(out, found(Problem, what+" does not exist", "make it, or take it from another node; docs/operations.md says how"))
		case m.Err != nil:
			out = append(out, found(Problem, fmt.Sprintf("%s: %v", what, m.Err), "let the user that the node runs as read it"))
		case m.Perm&permOthers != 0:
			out = append(out, found(Problem, fmt.Sprintf("%s has mode %04o: every user of this machine has access", what, m.Perm), "chmod 600 "+m.Path))
		case m.Perm&permGroup != 0:
			out = append(out, found(Warning, fmt.Sprintf("%s has mode %04o: its group has access", what, m.Perm), "chmod 600 "+m.Path+", unless the group is only the node's"))
		}
	}
	reader := ""
	if f.User.Known {
		reader = fmt.Sprintf("; %s, whose data folder %s is, can read all that are named", f.User.Name, s.DataDir)
	}
	return orOK(append(out, judgeDenied(s, f)...), "%d files with secrets, open to their owner only%s", len(f.Modes), reader)
}

func judgeFolder(s *Subject, f *Facts) []Finding {
	if !s.Local || s.DataDir == "" {
		return skipped(noNode)
	}
	kept := f.Folder
	switch {
	case kept.Err != nil:
		return []Finding{found(Problem, kept.Err.Error(), "do what it says; a node whose folder is damaged is replaced: the same flags and an empty folder")}
	case kept.Empty && f.Lives:
		return judgeEmptied(s, f)
	case kept.Empty:
		return ok("data folder %s holds no node yet", s.DataDir)
	case f.Lives && !s.Chosen && f.StatusErr == nil && kept.ClusterID != f.Status.ClusterID && kept.ClusterID != "" && f.Status.ClusterID != "" && f.Status.ID == kept.NodeID:
		return []Finding{found(Problem, fmt.Sprintf("node %s runs in cluster %s, but data folder %s is of cluster %s: it was replaced under the running node", kept.NodeID, f.Status.ClusterID, s.DataDir, kept.ClusterID),
			doEmptied(kept.NodeID))}
	case f.StatusErr == nil && kept.ClusterID != "" && f.Status.ClusterID != "" && kept.ClusterID != f.Status.ClusterID:
		return []Finding{found(Problem, fmt.Sprintf("data folder %s belongs to cluster %s, but %s is of cluster %s", s.DataDir, kept.ClusterID, s.Endpoint, f.Status.ClusterID),
			"name addresses of the own cluster with --join and --endpoint, or start with an empty folder to join the other cluster")}
	}
	return ok("data folder %s belongs to node %s", s.DataDir, kept.NodeID)
}

// judgeEmptied judges a folder without a node while one answers on the node's
// address.
func judgeEmptied(s *Subject, f *Facts) []Finding {
	id := s.ID
	if id == "" {
		id = "ID"
	}
	if f.StatusErr == nil && !s.Chosen {
		if s.ID != "" && f.Status.ID != s.ID {
			return ok("data folder %s holds no node yet", s.DataDir) // whose address it is the ports tell
		}
		id = f.Status.ID
		return []Finding{found(Problem, fmt.Sprintf("node %s runs, but data folder %s holds no node: it was emptied or replaced under the running node, which loses all that it has when it stops", id, s.DataDir), doEmptied(id))}
	}
	return []Finding{found(Warning, fmt.Sprintf("a node answers on %s, but data folder %s holds none: if it is this one, the folder was emptied or replaced under it", s.HTTPAddr, s.DataDir), doEmptied(id))}
}

func doEmptied(id string) string {
	return "correct --data-dir, or mount the disk that is missing; if the data is gone: stop the node, then covey cluster remove " + id + " through another one, then start it with an empty folder"
}

func judgeDisk(s *Subject, f *Facts) []Finding {
	if !s.Local || !f.Disk.Known {
		return skipped(noNode)
	}
	least := s.Watermark.Marks(f.Disk.Total).Low
	text := fmt.Sprintf("%s of %s are free on the disk of %s", room.Bytes(f.Disk.Free), room.Bytes(f.Disk.Total), s.DataDir)
	refuse := "; below " + room.Bytes(least) + " writes that add data are refused"
	const do = "make room, or move the folder to a larger disk"
	switch {
	case f.Disk.Free < least:
		return []Finding{found(Problem, text+refuse, do)}
	case f.Disk.Free < 2*least:
		return []Finding{found(Warning, text+refuse, do)}
	}
	return ok("%s", text)
}

// slowFsync is what a disk for a log should stay well below; Raft's time-outs
// set the bound above which it cannot work.
const slowFsync = 50 * time.Millisecond

func judgeFsync(s *Subject, f *Facts) []Finding {
	switch {
	case !s.Local || s.DataDir == "":
		return skipped(noNode)
	case errors.Is(f.Fsync.Err, fs.ErrPermission):
		return []Finding{found(Problem, fmt.Sprintf("%s cannot be written to: %v", s.DataDir, f.Fsync.Err), "give the folder to the user that the node runs as, and run this as that user")}
	case f.Fsync.Err != nil:
		return []Finding{found(Problem, fmt.Sprintf("%s cannot be written to: %v", s.DataDir, f.Fsync.Err), "look at the disk and at the kernel's log; replace the node if the disk is failing")}
	}
	text := fmt.Sprintf("4 KiB are durable in %v (half of %d tries; the slowest took %v)", round(f.Fsync.Median), fsyncProbes, round(f.Fsync.Worst))
	heartbeat := s.Heartbeat
	if heartbeat <= 0 {
		heartbeat = time.Second
	}
	switch {
	case f.Fsync.Median > heartbeat/3:
		return []Finding{found(Problem, text+fmt.Sprintf(": with --heartbeat %v the node will lose elections and the lead", heartbeat), "use a faster disk, or raise --heartbeat on all nodes to three times the slowest")}
	case f.Fsync.Median > slowFsync:
		return []Finding{found(Warning, text+": every write waits for that", "use a disk of its own, or one with a cache that survives power loss")}
	}
	return ok("%s", text)
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// Open files: what a node can be run with, and what many streams need.
const (
	leastFiles = 1024
	goodFiles  = 4096
)

func judgeOpenFiles(s *Subject, f *Facts) []Finding {
	o := f.OpenFiles
	if !s.Local || o.Limit == 0 {
		return skipped(noNode)
	}
	whose, do := "this shell's limit", "raise it for the node: ulimit -n 32768, or LimitNOFILE=32768 in the systemd unit"
	if o.OfNode {
		whose = fmt.Sprintf("the node has %d open, its limit", o.InUse)
	}
	switch {
	case o.Limit < leastFiles:
		return []Finding{found(Problem, fmt.Sprintf("%s is %d files; at least %d are needed", whose, o.Limit, leastFiles), do)}
	case o.OfNode && o.InUse > o.Limit/5*4:
		return []Finding{found(Problem, fmt.Sprintf("%s is %d files", whose, o.Limit), do)}
	case o.OfNode && o.Limit < goodFiles:
		return []Finding{found(Warning, fmt.Sprintf("%s is %d files: too few for many streams", whose, o.Limit), do)}
	}
	return ok("%s is %d files", whose, o.Limit)
}

func judgePorts(s *Subject, f *Facts) (out []Finding) {
	switch {
	case !s.Local:
		return skipped(noNode)
	case f.Lives && f.StatusErr == nil && !s.Chosen && f.self(s) != "" && f.Status.ID != f.self(s):
		return []Finding{found(Problem, fmt.Sprintf("--http-addr %s is served by node %q, not by %q", s.HTTPAddr, f.Status.ID, f.self(s)), "give each node on a machine addresses of its own")}
	case f.Lives:
		return ok("a node answers on %s", s.HTTPAddr)
	}
	for _, p := range f.Ports {
		what := fmt.Sprintf("--%s %s", p.Flag, p.Addr)
		switch {
		case p.Err == nil:
		case errors.Is(p.Err, syscall.EADDRINUSE):
			out = append(out, found(Problem, what+" is in use, and no node answers on "+s.HTTPAddr, "stop the process that has it (ss -tulpn shows which), or choose another address"))
		case errors.Is(p.Err, syscall.EADDRNOTAVAIL):
			out = append(out, found(Problem, what+" is no address of this machine", "listen on an address of this machine, or on 0.0.0.0, and tell others with --advertise where to find the node"))
		default:
			out = append(out, found(Problem, fmt.Sprintf("%s: %v", what, p.Err), "choose another address"))
		}
	}
	return orOK(out, "the node does not run; its %d ports are free", len(f.Ports))
}

func judgeAdvertised(s *Subject, f *Facts) []Finding {
	a := f.Advertised
	const do = "give --advertise with a name or an address by which the other nodes reach this one"
	switch {
	case !s.Local:
		return skipped(noNode)
	case a.Unspecified:
		return []Finding{found(Problem, "others would be told to reach this node by an address that means any", do)}
	case a.Err != nil:
		return []Finding{found(Problem, fmt.Sprintf("%s, by which others reach this node, does not resolve: %v", a.Host, a.Err), do+", or mend the name's DNS entry")}
	case !a.Here:
		return []Finding{found(Warning, fmt.Sprintf("%s (%s), by which others reach this node, is no address of this machine", a.Host, strings.Join(a.Addrs, ", ")), "if no address translation leads here, "+do)}
	}
	return ok("others reach this node by %s", a.Host)
}

func judgeJoin(s *Subject, f *Facts) (out []Finding) {
	if !s.Local || len(f.Joins) == 0 {
		return skipped("no --join addresses are named")
	}
	if !slices.ContainsFunc(f.Joins, func(r Reach) bool { return !r.Own }) {
		if s.Expect == 1 {
			return ok("--join names only this node, and --bootstrap-expect 1 wants no other")
		}
		return []Finding{found(Warning, fmt.Sprintf("--join names only this node itself (%s), so it finds no other one by itself", f.Joins[0].Addr),
			"add the gossip addresses of other nodes: --join "+f.Joins[0].Addr+",HOST:"+portOf(f.Joins[0].Addr))}
	}
	others, silent := 0, 0
	for _, r := range f.Joins {
		if r.Own {
			continue
		}
		others++
		if m, what := f.otherPort(r.Addr); what != "" {
			silent++
			out = append(out, found(Problem, fmt.Sprintf("--join %s is the address of node %s for %s, not for gossip", r.Addr, m.ID, what), "write "+m.GossipAddr))
			continue
		}
		if r.Err == nil {
			continue
		}
		silent++
		var dns *net.DNSError
		if errors.As(r.Err, &dns) {
			out = append(out, found(Problem, fmt.Sprintf("--join %s does not resolve: %v", r.Addr, dns.Err), "write the name that the node advertises, or mend its DNS entry"))
			continue
		}
		out = append(out, found(Warning, fmt.Sprintf("--join %s does not answer: %v", r.Addr, r.Err), "start that node, open the port for TCP and UDP, or take the address out"))
	}
	if others > 0 && silent == others {
		for i := range out {
			out[i].State = Problem
		}
	}
	return orOK(out, "%d addresses of other nodes answer", others)
}

// otherPort returns the member that has addr for something else than gossip,
// and for what.
func (f *Facts) otherPort(addr string) (m client.Member, what string) {
	for _, m := range f.Status.Members {
		switch addr {
		case m.GossipAddr:
			return m, ""
		case m.PeerAddr:
			return m, "peers"
		case m.HTTPAddr:
			return m, "clients"
		}
	}
	return m, ""
}

// renew is how long before its end a certificate should be replaced, at most;
// one that lives shorter, a sixth of its life.
const renew = 30 * 24 * time.Hour

func judgeCertificates(s *Subject, f *Facts) (out []Finding) {
	if len(f.Chains) == 0 {
		return skipped("no certificates are named")
	}
	for _, c := range f.Chains {
		out = append(out, judgeChain(s, f, c)...)
	}
	return orOK(out, "%d certificates are valid", len(f.Chains))
}

func judgeChain(s *Subject, f *Facts, c Chain) (out []Finding) {
	if c.Err != nil {
		return []Finding{found(Problem, fmt.Sprintf("certificate for %s: %v", c.Use, c.Err), "name files in PEM that the node's user can read")}
	}
	what := fmt.Sprintf("certificate %s", c.Cert)
	if c.Mismatch != nil {
		out = append(out, found(Problem, fmt.Sprintf("%s and the key %s do not belong together: %v", what, c.Key, c.Mismatch), "name the key that the certificate was made with, or make both anew: covey cert node"))
	}
	if c.Untrusted != nil {
		out = append(out, found(Problem, fmt.Sprintf("%s does not lead to %s: %v", what, c.CA, c.Untrusted), "use the CA that has signed it, or have it signed by that CA, for servers and clients"))
	}
	out = append(out, judgeLife(what, c.Leaf, f.Now, "replace it; it is read again when the file changes")...)
	for _, ca := range c.Authorities {
		out = append(out, judgeLife(fmt.Sprintf("CA %q in %s", ca.Subject.CommonName, c.CA), ca, f.Now, "add a new CA to the file on all nodes, then replace the nodes' certificates")...)
	}
	return append(out, judgeNames(s, f, c)...)
}

func judgeLife(what string, c *x509.Certificate, now time.Time, do string) []Finding {
	left := c.NotAfter.Sub(now)
	end := c.NotAfter.UTC().Format(time.DateTime)
	switch {
	case left <= 0:
		return []Finding{found(Problem, what+" expired at "+end, do)}
	case now.Before(c.NotBefore):
		return []Finding{found(Problem, what+" is not valid before "+c.NotBefore.UTC().Format(time.DateTime), "set this machine's clock, or wait")}
	case left < min(renew, c.NotAfter.Sub(c.NotBefore)/6):
		return []Finding{found(Warning, what+" expires at "+end, do)}
	}
	return nil
}

// judgeNames compares the names in a certificate with those by which the node
// is reached.
func judgeNames(s *Subject, f *Facts, c Chain) (out []Finding) {
	if id := f.self(s); c.Use == "peer" && id != "" {
		role, name, err := pki.Identify(c.Leaf)
		if err != nil || role == pki.RoleClient || role == pki.RoleNode && name != id {
			out = append(out, found(Problem, fmt.Sprintf("certificate %s is that of %s %q, not of node %q", c.Cert, role, name, id), "name this node's certificate, or make one: covey cert node"))
		}
	}
	host := f.Advertised.Host
	if host == "" || f.Advertised.Unspecified || c.Leaf.VerifyHostname(host) == nil {
		return out
	}
	names := strings.Join(append(append([]string{}, c.Leaf.DNSNames...), ipTexts(c.Leaf.IPAddresses)...), ", ")
	text := fmt.Sprintf("certificate %s is for %s, not for %s, by which others reach this node", c.Cert, names, host)
	if c.Use != "peer" { // clients may come by another name
		return append(out, found(Warning, text, "clients that come by that name refuse it: have it signed for the name too"))
	}
	return append(out, found(Problem, text, "have it signed for that name, or change --advertise"))
}

func ipTexts(ips []net.IP) (out []string) {
	for _, ip := range ips {
		out = append(out, ip.String())
	}
	return out
}
