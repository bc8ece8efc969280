package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/coveydb/covey/cmd/covey/config"
)

// exampleValues are what the example shows instead of a default: those of the
// first lines are needed and stand there as they are, the others are comments.
var exampleValues = map[string]string{
	"id": "n1", "data-dir": "/var/lib/covey",
	"advertise": "10.0.0.1", "bootstrap-expect": "3", "join": "[10.0.0.1:8702, 10.0.0.2:8702, 10.0.0.3:8702]",
	"root-key-file": "/etc/covey/root.key", "keyring-file": "/etc/covey/keyring.json", "gossip-key-file": "/etc/covey/gossip.key",
	"peer-ca": "/etc/covey/ca.pem", "peer-cert": "/etc/covey/node.pem", "peer-key": "/etc/covey/node.key",
	"tls-cert": "/etc/covey/http.pem", "tls-key": "/etc/covey/http.key", "tls-client-ca": "/etc/covey/clients.pem",
	"smtp": "smtp://user@mail.example.com:587", "smtp-from": "Shop <shop@example.com>", "trusted-proxies": "10.1.0.0/16",
	"backup-to": "s3://bucket/covey?endpoint=s3.example.com&region=eu-central-1",
}

// exampleSections is the order of the example. A name that ends in a hyphen
// stands for all that begin so; the last section takes what no other does.
var exampleSections = []struct {
	title string
	names []string
}{
	{"The node", []string{"id", "data-dir"}},
	{"Addresses", []string{"http-addr", "peer-addr", "gossip-addr", "advertise"}},
	{"The cluster", []string{"bootstrap-expect", "join", "non-voter", "heartbeat", "raft-log", "drain-time"}},
	{"Keys and certificates", []string{"root-key-file", "keyring-file", "gossip-key-file", "peer-", "tls-", "insecure", "require-tls"}},
	{"Backups", []string{"backup-", "s3-"}},
	{"The KVdb API", []string{"kvdb-"}},
	{"The KOT API", []string{"kot-"}},
	{"The RestDB API", []string{"restdb-"}},
	{"The KeyNest API", []string{"keynest-"}},
	{"Mails, calls to the outside and proxies", []string{"smtp", "smtp-", "webhook-", "trusted-proxies"}},
	{"Logs", []string{"log-", "access-log", "slow-request", "pprof-addr"}},
	{"Others", nil},
}

func (a *app) newConfigExample() *cobra.Command {
	return &cobra.Command{
		Use: "example", Short: "Print a file with every setting of serve, explained", Args: takes(0, 0),
		RunE: func(*cobra.Command, []string) error { return writeExample(a.env.Stdout) },
	}
}

// writeExample writes a file for --config. What has a comment sign before it is
// the default, or an example where the default is nothing.
func writeExample(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# Settings of a Covey node, made by: covey config example
# Used by: covey serve --config FILE        Checked by: covey config check FILE
#
# Each line is also a flag, --data-dir, and a variable, COVEY_DATA_DIR. The flag
# wins over the variable, the variable over this file. What has a comment sign is
# the default, or an example where the default is nothing. No secret stands in
# this file: settings that end in _file name the file that holds one.
`)
	sections := make([][]*pflag.Flag, len(exampleSections))
	serveFlagSet(new(serveFlags)).VisitAll(func(f *pflag.Flag) {
		if i := sectionOf(f.Name); config.IsSetting(f) {
			sections[i] = append(sections[i], f)
		}
	})
	for i, flags := range sections {
		if len(flags) == 0 {
			continue
		}
		title := exampleSections[i].title
		fmt.Fprintf(&b, "\n# --- %s %s\n", title, strings.Repeat("-", 72-len(title)))
		for _, f := range flags {
			writeSetting(&b, f)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func sectionOf(flag string) int {
	for i, s := range exampleSections {
		for _, name := range s.names {
			if flag == name || strings.HasSuffix(name, "-") && strings.HasPrefix(flag, name) {
				return i
			}
		}
	}
	return len(exampleSections) - 1
}

func writeSetting(b *strings.Builder, f *pflag.Flag) {
	_, usage := pflag.UnquoteUsage(f)
	b.WriteString("\n")
	for line := range strings.Lines(wrap(usage, 76)) {
		b.WriteString("# " + strings.TrimRight(line, "\n") + "\n")
	}
	sign := "# "
	if f.Name == "id" || f.Name == "data-dir" {
		sign = ""
	}
	value, shown := exampleValues[f.Name]
	if !shown {
		value = config.Text(f)
	}
	fmt.Fprintf(b, "%s%s: %s\n", sign, config.FileName(f.Name), scalarText(value))
}

// scalarText quotes a value where YAML needs it.
func scalarText(value string) string {
	if strings.HasPrefix(value, "[") {
		return value
	}
	p, err := yaml.Marshal(value)
	if err != nil {
		return `""`
	}
	text := strings.TrimSpace(string(p))
	if _, inner, ok := strings.Cut(text, `"`); ok && inner == value+`"` && plainWord(value) {
		return value // quoted only because it would read as a number or a truth
	}
	return text
}

func plainWord(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.") == ""
}

// wrap breaks text at blanks into lines of at most width bytes; a longer word
// has a line of its own.
func wrap(text string, width int) string {
	var b strings.Builder
	length := 0
	for _, word := range strings.Fields(text) {
		switch {
		case length == 0:
		case length+1+len(word) > width:
			b.WriteByte('\n')
			length = 0
		default:
			b.WriteByte(' ')
			length++
		}
		b.WriteString(word)
		length += len(word)
	}
	return b.String()
}
