package depot

import (
	"context"
	"io"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/coveydb/covey/internal/errs"
)

// Depot is an open place for files. It is safe for concurrent use. Errors are
// errs.NotFound for a file that is not there, errs.Forbidden if the place does not
// let us, errs.NoSpace, else errs.Unavailable: another try may succeed.
type Depot interface {
	// Put stores what r holds under a name, whole or not at all. An error of r is
	// returned as it is. A file of that name that is there already is replaced.
	Put(ctx context.Context, name string, r io.Reader) error

	// Get opens a file. The caller closes it. ctx must live until then.
	Get(ctx context.Context, name string) (r io.ReadCloser, size int64, err error)

	// List returns the files, in order of their names.
	List(ctx context.Context) ([]File, error)

	// Delete removes a file; that there is none is no error.
	Delete(ctx context.Context, name string) error

	// String returns the place for people, without secrets.
	String() string
}

// File is one file of a depot.
type File struct {
	Name    string
	Size    int64
	Changed time.Time
}

// Keys open an S3-compatible store.
type Keys struct {
	Access, Secret string
	Session        string // of temporary keys only
}

// Options of Open.
type Options struct{ Keys Keys }

const (
	maxFiles = 100_000 // in one depot
	maxName  = 200
)

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// CheckName returns errs.Invalid unless name may be that of a file in a depot.
func CheckName(name string) error {
	if len(name) > maxName || !validName.MatchString(name) {
		return errs.E(errs.Invalid, "name %q: 1 to %d letters, digits, dots, dashes and underscores are needed, the first a letter or digit", name, maxName)
	}
	return nil
}

// IsURL reports whether text names a depot, or a file in one, rather than a
// file's path.
func IsURL(text string) bool {
	return strings.HasPrefix(text, "s3://") || strings.HasPrefix(text, "file://")
}

// Open opens the depot at a URL:
//
//	file:///folder
//	s3://bucket/prefix?endpoint=https://host:port&region=R
//
// For S3, endpoint is Amazon's by default, and region us-east-1. ca=/path is a
// file with the endpoint's CA, style=path|host says how it names buckets (path,
// with an endpoint of one's own), and plain=yes lets an endpoint beyond this machine
// be without TLS. The error is errs.Invalid and never holds a key.
func Open(text string, o Options) (Depot, error) {
	u, err := parse(text)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "file" {
		return openFolder(filepath.FromSlash(u.Path))
	}
	return openBucket(u, o.Keys)
}

// OpenFile splits the URL of a file into that of its depot and its name, and opens
// the depot: s3://bucket/prefix/NAME?endpoint=…
func OpenFile(text string, o Options) (d Depot, name string, err error) {
	u, err := parse(text)
	if err != nil {
		return nil, "", err
	}
	i := strings.LastIndex(u.Path, "/")
	if name = u.Path[i+1:]; i < 0 || name == "" {
		return nil, "", errs.E(errs.Invalid, "%s names no file: the name of one follows behind the last slash", redacted(u))
	}
	if err := CheckName(name); err != nil {
		return nil, "", err
	}
	u.Path = u.Path[:i+1]
	u.RawPath = ""
	d, err = Open(u.String(), o)
	return d, name, err
}

func parse(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil { // whose text repeats the URL
		return nil, errs.E(errs.Invalid, "the place for backups is no URL: file:///folder or s3://bucket/prefix?endpoint=https://host is needed")
	}
	switch {
	case u.User != nil:
		return nil, errs.E(errs.Invalid, "%s: keys do not belong into a URL: --s3-access-key-file and --s3-secret-key-file, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", redacted(u))
	case u.Fragment != "":
		return nil, errs.E(errs.Invalid, "%s: nothing may follow behind #", redacted(u))
	case u.Scheme == "file" && (u.Host != "" || !strings.HasPrefix(u.Path, "/") || u.RawQuery != ""):
		return nil, errs.E(errs.Invalid, "%s: file:///folder is needed, with three slashes", redacted(u))
	case u.Scheme == "s3" && u.Host == "":
		return nil, errs.E(errs.Invalid, "%s names no bucket: s3://bucket/prefix is needed", redacted(u))
	case u.Scheme != "file" && u.Scheme != "s3":
		return nil, errs.E(errs.Invalid, "%s: a place for backups begins with file:// or s3://", redacted(u))
	}
	return u, nil
}

// redacted is a URL without what somebody may have put a key into.
func redacted(u *url.URL) string { return u.Scheme + "://" + u.Host + u.Path }

// onThisMachine reports whether host is loopback.
func onThisMachine(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.IsLoopback()
}
