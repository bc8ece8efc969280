package server

import (
	"github.com/coveydb/covey/httpapi/web"
	"github.com/coveydb/covey/internal/errs"
)

// parseAccess returns which requests have a line in the log.
func (c *Config) parseAccess() (web.Access, error) {
	a := web.Access{Slow: c.SlowRequest}
	switch c.AccessLog {
	case "", "off":
	case "on":
		a.All = true
	default:
		return a, errs.E(errs.Invalid, "--access-log %q: it is on or off", c.AccessLog)
	}
	if a.Slow < 0 {
		return a, errs.E(errs.Invalid, "--slow-request %v: it is a time, or 0 for none", a.Slow)
	}
	return a, nil
}
