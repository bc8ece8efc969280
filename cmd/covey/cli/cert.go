package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coveydb/covey/cmd/covey/config"
	"github.com/coveydb/covey/cmd/covey/output"
	"github.com/coveydb/covey/internal/pki"
)

func (a *app) newCert() *cobra.Command {
	cmd := newGroup("cert", "Make and show certificates of a private CA",
		a.newCertCA(), a.newCertNode(), a.newCertClient(), a.newCertShow())
	cmd.Long = `Make and show certificates: a private CA, and what it signs for nodes and clients.

  covey cert ca --dir certs
  covey cert node n1 --dir certs --host 10.0.0.1,n1.example
  covey cert client ada --dir certs

Files that are there are never overwritten. To renew a certificate make it in
another folder, with --ca and --ca-key, and move both files over the old ones:
nodes read them again within two seconds, and open connections go on. ca.key signs
whatever it is asked to: it belongs on no node.`
	return cmd
}

// certFlags are those of the verbs that make certificates.
type certFlags struct {
	dir  string
	days int
	ca   string
	key  string
}

// add adds the flags; signed says whether a CA signs what is made.
func (f *certFlags) add(fs *pflag.FlagSet, signed bool, life time.Duration) {
	fs.StringVar(&f.dir, "dir", ".", "`folder` for the files; it is made if it is not there")
	fs.IntVar(&f.days, "days", int(life/(24*time.Hour)), "how many `days` it holds; not longer than its CA")
	names := []string{"dir", "days"}
	if signed {
		fs.StringVar(&f.ca, "ca", "", "`file` with the certificate of the CA (default ca.pem in --dir)")
		fs.StringVar(&f.key, "ca-key", "", "`file` with the key of the CA (default ca.key in --dir)")
		names = append(names, "ca", "ca-key")
	}
	config.CallOnly(fs, names...)
}

// authority reads the CA that signs.
func (f *certFlags) authority() (*pki.Authority, error) {
	cert, key := f.ca, f.key
	if (cert == "") != (key == "") {
		return nil, usagef("--ca and --ca-key belong together: give both or none")
	}
	if cert == "" {
		cert, key = f.paths("ca")
	}
	return pki.LoadAuthority(cert, key)
}

// paths returns the files of a certificate and its key.
func (f *certFlags) paths(name string) (cert, key string) {
	base := filepath.Join(f.dir, name)
	return base + ".pem", base + ".key"
}

func (f *certFlags) life() (time.Duration, error) {
	const most = 100 * 365
	if f.days < 1 || f.days > most {
		return 0, usagef("--days %d: 1 to %d", f.days, most)
	}
	return time.Duration(f.days) * 24 * time.Hour, nil
}

// save writes the pair and says where it is.
func (a *app) save(f *certFlags, name string, pair pki.Pair) error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	certPath, keyPath := f.paths(name)
	if err := pair.Save(certPath, keyPath); err != nil {
		return err
	}
	certs, err := pki.ParseCertificates(pair.Cert)
	if err != nil {
		return err
	}
	d := pki.Describe(certs[0])
	doc := map[string]any{"certificate": certPath, "key": keyPath, "name": d.Name, "role": d.Role, "not_after": d.NotAfter}
	return a.write(output.Result{
		Columns: []string{"CERTIFICATE", "KEY", "UNTIL"}, Doc: doc,
		Rows: []output.Row{{Cells: []string{certPath, keyPath, d.NotAfter.Format(time.DateOnly)}}},
	})
}

// makes turns cmd into a verb that makes a certificate; what is made with the
// flags and the arguments is stored under the name that comes back.
func (a *app) makes(cmd *cobra.Command, f *certFlags, issue func(args []string, life time.Duration) (string, pki.Pair, error)) *cobra.Command {
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if _, err := a.outputFormat(); err != nil {
			return err // before anything is made
		}
		life, err := f.life()
		if err != nil {
			return err
		}
		name, pair, err := issue(args, life)
		if err != nil {
			return keyringError(err)
		}
		return keyringError(a.save(f, name, pair))
	}
	return cmd
}

func (a *app) newCertCA() *cobra.Command {
	var f certFlags
	var name string
	cmd := &cobra.Command{
		Use: "ca", Short: "Make a CA", Args: takes(0, 0),
		Long: `Make a CA: ca.pem, which all nodes and clients get, and ca.key, which signs
certificates and is readable by its owner only. Keep ca.key off the nodes.`,
	}
	f.add(cmd.Flags(), false, pki.AuthorityLife)
	cmd.Flags().StringVar(&name, "name", "Covey CA", "`name` of the CA; the day and some random digits are added")
	config.CallOnly(cmd.Flags(), "name")
	return a.makes(cmd, &f, func(_ []string, life time.Duration) (string, pki.Pair, error) {
		ca, err := pki.NewAuthority(name, life)
		if err != nil {
			return "", pki.Pair{}, err
		}
		pair, err := ca.Pair()
		return "ca", pair, err
	})
}

func (a *app) newCertNode() *cobra.Command {
	var f certFlags
	var hosts []string
	cmd := &cobra.Command{
		Use: "node ID --host HOST[,HOST]", Short: "Make the certificate of a node", Args: takes(1, 1),
		Long: `Make the certificate and the key of a node: ID.pem and ID.key. It serves for the
port of nodes (--peer-cert, --peer-key), where it proves the node's id, and for
clients (--tls-cert, --tls-key), where it proves the hosts: name all names and
addresses that clients use.`,
	}
	f.add(cmd.Flags(), true, pki.LeafLife)
	cmd.Flags().StringSliceVar(&hosts, "host", nil, "`names` and IP addresses that the node is reached by, comma-separated (required)")
	config.CallOnly(cmd.Flags(), "host")
	return a.makes(cmd, &f, func(args []string, life time.Duration) (string, pki.Pair, error) {
		if len(hosts) == 0 {
			return "", pki.Pair{}, usagef("--host is needed: the names and addresses that the node is reached by")
		}
		ca, err := f.authority()
		if err != nil {
			return "", pki.Pair{}, err
		}
		pair, err := ca.IssueNode(args[0], hosts, life)
		return args[0], pair, err
	})
}

func (a *app) newCertClient() *cobra.Command {
	var f certFlags
	cmd := &cobra.Command{
		Use: "client NAME", Short: "Make the certificate of a client", Args: takes(1, 1),
		Long: `Make the certificate and the key of a client: NAME.pem and NAME.key, for clusters
that ask clients for certificates (--tls-client-ca). It opens no port of nodes.`,
	}
	f.add(cmd.Flags(), true, pki.LeafLife)
	return a.makes(cmd, &f, func(args []string, life time.Duration) (string, pki.Pair, error) {
		ca, err := f.authority()
		if err != nil {
			return "", pki.Pair{}, err
		}
		pair, err := ca.IssueClient(args[0], life)
		return args[0], pair, err
	})
}

// shownCert is a certificate in structured output.
type shownCert struct {
	File string `json:"file"`
	pki.Description
	Expired bool `json:"expired"`
}

func (a *app) newCertShow() *cobra.Command {
	return &cobra.Command{
		Use: "show FILE...", Short: "Show what is in files with certificates", Args: takes(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			r := output.Result{Columns: []string{"FILE", "ROLE", "NAME", "HOSTS", "UNTIL", "SIGNED BY", "FINGERPRINT"}}
			for _, path := range args {
				certs, err := pki.ReadCertificates(path)
				if err != nil {
					return keyringError(err)
				}
				for _, c := range certs {
					d := pki.Describe(c)
					doc := shownCert{File: path, Description: d, Expired: time.Now().After(c.NotAfter)}
					until := d.NotAfter.Format(time.DateTime)
					if doc.Expired {
						until += " (expired)"
					}
					r.Rows = append(r.Rows, output.Row{Doc: doc, Cells: []string{
						path, orDash(string(d.Role)), d.Name, orDash(strings.Join(d.Hosts, ", ")), until, d.Issuer, d.Fingerprint[:16],
					}})
				}
			}
			return a.write(r)
		},
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
