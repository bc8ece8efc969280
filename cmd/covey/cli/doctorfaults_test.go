package cli

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/coveydb/covey/cmd/covey/doctor"
	"github.com/coveydb/covey/internal/freeport"
	"github.com/coveydb/covey/internal/pki"
	"github.com/coveydb/covey/internal/seal"
)

// fault is one thing that is wrong.
type fault struct {
	name  string
	plant func(p *patient, s map[string]string) (args []string)
	check string
	says  string
	state doctor.State
}

var faults = []fault{
	{"the data folder of another node", func(p *patient, s map[string]string) []string {
		p.write("n9/node.json", `{"format":1,"node_id":"n9"}`)
		s["data_dir"] = p.path("n9")
		return nil
	}, "data-folder", `belongs to node "n9"`, doctor.Problem},
	{"the data folder of a newer release", func(p *patient, s map[string]string) []string {
		p.write("new/node.json", `{"format":99,"node_id":"n4"}`)
		s["data_dir"] = p.path("new")
		return nil
	}, "data-folder", "has format 99", doctor.Problem},
	{"a damaged data folder", func(p *patient, s map[string]string) []string {
		p.write("bad/node.json", `{"form`)
		s["data_dir"] = p.path("bad")
		return nil
	}, "data-folder", "is damaged", doctor.Problem},
	{"the data folder of another cluster", func(p *patient, s map[string]string) []string {
		p.write("foreign/node.json", `{"format":1,"node_id":"n4","cluster_id":"0123456789abcdef0123456789abcdef"}`)
		s["data_dir"] = p.path("foreign")
		return p.elsewhere()
	}, "data-folder", "belongs to cluster 0123456789abcdef0123456789abcdef", doctor.Problem},
	{"a file where the data folder should be", func(p *patient, s map[string]string) []string {
		s["data_dir"] = p.write("file", "")
		return nil
	}, "data-folder", "not a directory", doctor.Problem},
	{"a root key that all may read", func(p *patient, s map[string]string) []string {
		s["root_key_file"] = p.write("open.key", rootKey+"-of-a-cluster\n")
		p.chmod("open.key", 0o644)
		return nil
	}, "files", "has mode 0644", doctor.Problem},
	{"a keyring that all may read", func(p *patient, s map[string]string) []string {
		must(seal.Create(p.path("open.json")))
		s["keyring_file"] = p.path("open.json")
		p.chmod("open.json", 0o644)
		return nil
	}, "settings", "run chmod 600", doctor.Problem},
	{"a keyring without the cluster's keys", func(p *patient, s map[string]string) []string {
		must(seal.Create(p.path("other.json")))
		s["keyring_file"] = p.path("other.json")
		return p.elsewhere()
	}, "keyring", "the keyring file lacks master key", doctor.Problem},
	{"another gossip key", func(p *patient, s map[string]string) []string {
		s["gossip_key_file"] = p.write("other.gossip", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=\n")
		return p.elsewhere()
	}, "gossip-keys", "none that the cluster uses", doctor.Problem},
	{"another root key", func(p *patient, s map[string]string) []string {
		s["root_key_file"] = p.write("other.key", "quite-another-root-key\n")
		return p.elsewhere()
	}, "cluster", "does not take the root key", doctor.Problem},
	{"a port that is taken", func(p *patient, s map[string]string) []string {
		l := must(net.Listen("tcp", "127.0.0.1:0"))
		p.t.Cleanup(func() { l.Close() })
		s["peer_addr"] = l.Addr().String()
		return nil
	}, "ports", "is in use", doctor.Problem},
	{"the HTTP port of another node", func(p *patient, s map[string]string) []string {
		s["http_addr"] = p.nodes[1].HTTPAddr
		return nil
	}, "ports", `is served by node "n2"`, doctor.Problem},
	{"an address of another machine", func(p *patient, s map[string]string) []string {
		s["gossip_addr"] = "192.0.2.1:8702"
		return nil
	}, "ports", "no address of this machine", doctor.Problem},
	{"an advertised address that means any", func(p *patient, s map[string]string) []string {
		s["advertise"] = "0.0.0.0"
		return nil
	}, "advertised", "means any", doctor.Problem},
	{"an advertised name that does not resolve", func(p *patient, s map[string]string) []string {
		s["advertise"] = "no-such-host.invalid"
		return nil
	}, "advertised", "does not resolve", doctor.Problem},
	{"an advertised address of another machine", func(p *patient, s map[string]string) []string {
		s["advertise"] = "192.0.2.1"
		return nil
	}, "advertised", "no address of this machine", doctor.Warning},
	{"a certificate for another host", func(p *patient, s map[string]string) []string {
		s["advertise"] = "127.0.0.2"
		return nil
	}, "certificates", "not for 127.0.0.2", doctor.Problem},
	{"the certificate of another node", func(p *patient, s map[string]string) []string {
		s["peer_cert"], s["peer_key"] = p.nodes[0].PeerTLS.Cert, p.nodes[0].PeerTLS.Key
		return nil
	}, "certificates", `node "n1", not of node "n4"`, doctor.Problem},
	{"the key of another certificate", func(p *patient, s map[string]string) []string {
		s["peer_key"] = p.nodes[0].PeerTLS.Key
		return nil
	}, "certificates", "do not belong together", doctor.Problem},
	{"another CA", func(p *patient, s map[string]string) []string {
		s["peer_ca"] = p.write("other-ca.pem", string(must(pki.NewAuthority("other", 0)).CertPEM()))
		return nil
	}, "certificates", "does not lead to", doctor.Problem},
	{"a certificate that is about to expire", func(p *patient, s map[string]string) []string {
		ca := must(pki.NewAuthority("short", 2*time.Minute))
		s["tls_cert"], s["tls_key"] = p.path("short.pem"), p.path("short.key")
		pair := must(ca.IssueNode("n4", []string{"127.0.0.1"}, time.Minute))
		if err := pair.Save(s["tls_cert"], s["tls_key"]); err != nil {
			p.t.Fatal(err)
		}
		return nil
	}, "certificates", "short.pem expires at", doctor.Warning},
	{"a neighbour that does not answer", func(p *patient, s map[string]string) []string {
		s["join"] += "," + freeport.Addr(p.t)
		return nil
	}, "join", "does not answer", doctor.Warning},
	{"no neighbour that answers", func(p *patient, s map[string]string) []string {
		s["join"] = freeport.Addr(p.t)
		return nil
	}, "join", "does not answer", doctor.Problem},
	{"an unknown setting", func(p *patient, s map[string]string) []string {
		s["heart_beat"] = "1s"
		return nil
	}, "settings", `did you mean "heartbeat"`, doctor.Problem},
	{"a value of the wrong type", func(p *patient, s map[string]string) []string {
		s["heartbeat"] = "soon"
		return nil
	}, "settings", "not a valid duration", doctor.Problem},
	{"settings that serve refuses", func(p *patient, s map[string]string) []string {
		s["peer_ca"], s["peer_cert"], s["peer_key"], s["peer_addr"] = "", "", "", "0.0.0.0:0"
		return nil
	}, "settings", "--peer-addr 0.0.0.0:0", doctor.Problem},
	{"a disk that is nearly full", func(p *patient, s map[string]string) []string {
		s["disk_watermark"] = "1000TiB"
		return nil
	}, "disk", "writes that add data are refused", doctor.Problem},
	{"neighbours that are all the node itself", func(p *patient, s map[string]string) []string {
		s["join"] = s["gossip_addr"]
		return nil
	}, "join", "names only this node itself", doctor.Warning},
	{"a data folder emptied under its node", func(p *patient, s map[string]string) []string {
		maps.Copy(s, p.settings(p.nodes[0]))
		s["data_dir"] = filepath.Dir(p.write("emptied/lost+found", ""))
		return nil
	}, "data-folder", "emptied or replaced under the running node", doctor.Problem},
	{"a keyring other than that of the running node", func(p *patient, s map[string]string) []string {
		maps.Copy(s, p.settings(p.nodes[0]))
		must(seal.Create(p.path("strange.json")))
		s["keyring_file"] = p.path("strange.json")
		return nil
	}, "keyring", "which the keyring that its settings name lacks", doctor.Problem},
	{"a gossip key other than that of the running node", func(p *patient, s map[string]string) []string {
		maps.Copy(s, p.settings(p.nodes[0]))
		s["gossip_key_file"] = p.write("strange.gossip", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=\n")
		return nil
	}, "gossip-keys", "--gossip-key-file holds another one", doctor.Problem},
	{"a secret that the node's user cannot read", func(p *patient, s map[string]string) []string {
		p.write("covey/note", "")
		if err := os.Chown(p.path("covey"), 54321, -1); err != nil {
			p.t.Skip("it takes root to give a folder away")
		}
		s["data_dir"] = p.path("covey")
		return nil
	}, "files", "cannot be read by 54321, whose data folder", doctor.Problem},
	{"a file that is not there", func(p *patient, s map[string]string) []string {
		s["gossip_key_file"] = p.path("none.key")
		return nil
	}, "files", "does not exist", doctor.Problem},
}
