package admin

import (
	"context"
	"net/http"
	"strings"

	"github.com/coveydb/covey/cluster"
	"github.com/coveydb/covey/httpapi/web"
)

const textType = "text/plain; charset=utf-8"

// live answers whether the process serves requests at all. It looks at nothing
// else: a node without a quorum must not be restarted for that.
func (a *api) live(w http.ResponseWriter, _ *http.Request) error {
	write(w, http.StatusOK, textType, []byte("ok\n"))
	return nil
}

// ready answers whether the node can serve reads and writes now. It names the
// checks that fail, and with ?verbose all of them.
func (a *api) ready(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), checkTime)
	defer cancel()
	checks := a.Cluster.Checks(ctx)
	ready := true
	for _, c := range checks {
		ready = ready && c.OK
	}
	_, verbose := web.SplitPairs(r.URL.RawQuery).Lookup("verbose")
	body := renderChecks(checks, ready, verbose)
	if ready {
		write(w, http.StatusOK, textType, []byte(body))
		return nil
	}
	w.Header().Set("Retry-After", "1")
	write(w, http.StatusServiceUnavailable, textType, []byte(body))
	return nil
}

func renderChecks(checks []cluster.Check, ready, verbose bool) string {
	var b strings.Builder
	for _, c := range checks {
		switch {
		case !c.OK:
			b.WriteString("[-] " + c.Name)
		case verbose:
			b.WriteString("[+] " + c.Name)
		default:
			continue
		}
		if c.Detail != "" {
			b.WriteString(": " + web.HeaderText(c.Detail))
		}
		b.WriteByte('\n')
	}
	if ready {
		b.WriteString("ready\n")
	} else {
		b.WriteString("not ready\n")
	}
	return b.String()
}
