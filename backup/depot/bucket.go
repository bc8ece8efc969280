package depot

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/coveydb/covey/internal/errs"
)

const (
	amazon        = "https://s3.amazonaws.com"
	defaultRegion = "us-east-1"

	// partBytes is what an upload holds in memory, and a 10,000th of the largest file.
	partBytes = 32 << 20

	// tries of one request, with growing pauses: some ten seconds together.
	tries = 6

	answerTime = time.Minute // for the head of an answer
)

// bucket is a depot in a bucket of an S3-compatible store.
type bucket struct {
	client       *minio.Client
	name, prefix string // prefix is "" or ends with a slash
	endpoint     string
}

// settings are what stands in the query of a bucket's URL.
type settings struct {
	endpoint *url.URL
	region   string
	ca       string
	style    minio.BucketLookupType
}

func parseSettings(u *url.URL) (s settings, err error) {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return s, errs.E(errs.Invalid, "%s: what follows behind ? is not a list of name=value", redacted(u))
	}
	for name, values := range q {
		if !slices.Contains([]string{"endpoint", "region", "ca", "style", "plain"}, name) || len(values) != 1 {
			return s, errs.E(errs.Invalid, "%s: %q is none of endpoint, region, ca, style and plain, each once", redacted(u), name)
		}
	}
	text := q.Get("endpoint")
	own := text != ""
	if !own {
		text = amazon
	}
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	s.endpoint, err = url.Parse(text)
	switch {
	case err != nil || s.endpoint.Host == "" || s.endpoint.User != nil || s.endpoint.RawQuery != "" || strings.Trim(s.endpoint.Path, "/") != "":
		return s, errs.E(errs.Invalid, "%s: endpoint has to be https://host:port", redacted(u))
	case s.endpoint.Scheme == "http" && !onThisMachine(s.endpoint.Host) && q.Get("plain") != "yes":
		return s, errs.E(errs.Invalid, "%s: endpoint %s is without TLS: use https, or say plain=yes if the network is trusted", redacted(u), s.endpoint.Host)
	case s.endpoint.Scheme != "http" && s.endpoint.Scheme != "https":
		return s, errs.E(errs.Invalid, "%s: endpoint has to begin with https://", redacted(u))
	case q.Get("plain") != "" && q.Get("plain") != "yes":
		return s, errs.E(errs.Invalid, "%s: plain may be yes, or not there", redacted(u))
	}
	s.region, s.ca = q.Get("region"), q.Get("ca")
	if s.region == "" {
		s.region = defaultRegion
	}
	switch style := q.Get("style"); {
	case style == "path" || style == "" && own:
		s.style = minio.BucketLookupPath
	case style == "host" || style == "":
		s.style = minio.BucketLookupDNS
	default:
		return s, errs.E(errs.Invalid, "%s: style is path or host", redacted(u))
	}
	return s, nil
}

func openBucket(u *url.URL, keys Keys) (*bucket, error) {
	s, err := parseSettings(u)
	if err != nil {
		return nil, err
	}
	if keys.Access == "" || keys.Secret == "" {
		return nil, errs.E(errs.Invalid, "%s: an access key and a secret key are needed: --s3-access-key-file and --s3-secret-key-file, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", redacted(u))
	}
	transport, err := newTransport(s.ca)
	if err != nil {
		return nil, err
	}
	b := &bucket{name: u.Host, prefix: strings.Trim(u.Path, "/"), endpoint: s.endpoint.Host}
	if b.prefix != "" {
		b.prefix += "/"
	}
	b.client, err = minio.New(s.endpoint.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(keys.Access, keys.Secret, keys.Session),
		Secure: s.endpoint.Scheme == "https", Region: s.region, BucketLookup: s.style,
		Transport: transport, MaxRetries: tries,
	})
	if err != nil {
		return nil, errs.E(errs.Invalid, "%s: %w", redacted(u), err)
	}
	return b, nil
}

func newTransport(ca string) (*http.Transport, error) {
	t := &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: answerTime, IdleConnTimeout: time.Minute,
		DisableCompression: true, // else the length of what is read is not that of the file
		TLSClientConfig:    &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if ca == "" {
		return t, nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, errs.E(errs.Invalid, "ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errs.E(errs.Invalid, "ca: %s holds no certificate", ca)
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}

func (b *bucket) String() string {
	return "s3://" + b.name + "/" + b.prefix + " at " + b.endpoint
}

// Put implements Depot, as an upload of several parts if it is long: the store
// shows the file when the last one is there.
func (b *bucket) Put(ctx context.Context, name string, r io.Reader) error {
	if err := CheckName(name); err != nil {
		return err
	}
	src := &source{r: r}
	_, err := b.client.PutObject(ctx, b.name, b.prefix+name, src, -1, minio.PutObjectOptions{
		ContentType: "application/octet-stream", PartSize: partBytes, NumThreads: 1,
	})
	if src.err != nil {
		return src.err
	}
	return b.explain(name, err)
}

// source keeps the error of what is uploaded, which is not the store's.
type source struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// Get implements Depot.
func (b *bucket) Get(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	if err := CheckName(name); err != nil {
		return nil, 0, err
	}
	o, err := b.client.GetObject(ctx, b.name, b.prefix+name, minio.GetObjectOptions{})
	if err != nil {
		return nil, 0, b.explain(name, err)
	}
	info, err := o.Stat()
	if err != nil {
		return nil, 0, errors.Join(b.explain(name, err), o.Close())
	}
	return &object{o, b, name}, info.Size, nil
}

// object gives the errors of reading their kind.
type object struct {
	*minio.Object
	b    *bucket
	name string
}

// Read implements io.Reader.
func (o *object) Read(p []byte) (int, error) {
	n, err := o.Object.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = o.b.explain(o.name, err)
	}
	return n, err
}

// List implements Depot.
func (b *bucket) List(ctx context.Context) ([]File, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // or the lister waits for a reader for ever
	var out []File
	for o := range b.client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: b.prefix}) {
		if o.Err != nil {
			return nil, b.explain("the list of files", o.Err)
		}
		name := strings.TrimPrefix(o.Key, b.prefix)
		if CheckName(name) != nil {
			continue
		}
		if out = append(out, File{Name: name, Size: o.Size, Changed: o.LastModified}); len(out) > maxFiles {
			return nil, tooMany(b)
		}
	}
	slices.SortFunc(out, func(x, y File) int { return strings.Compare(x.Name, y.Name) })
	return out, context.Cause(ctx)
}

// Delete implements Depot.
func (b *bucket) Delete(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	cause := b.client.RemoveObject(ctx, b.name, b.prefix+name, minio.RemoveObjectOptions{})
	err := b.explain(name, cause)
	if errs.Is(err, errs.NotFound) && minio.ToErrorResponse(cause).Code != minio.NoSuchBucket {
		return nil
	}
	return err
}

// explain gives an error of the store its kind. Of an answer it tells the code
// and the message, of which neither holds a key.
func (b *bucket) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) || answer.Code == "" {
		return errs.E(errs.Unavailable, "%s in %s: %w", what, b, err)
	}
	kind, text := errs.Unavailable, answer.Message
	switch code := answer.StatusCode; {
	case answer.Code == minio.NoSuchBucket:
		kind, text = errs.NotFound, "there is no such bucket"
	case answer.Code == minio.NoSuchKey || answer.Code == "NotFound": // the latter is the client's, of a HEAD
		kind, text = errs.NotFound, "there is no such file"
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		kind = errs.Forbidden
	case code == http.StatusInsufficientStorage || answer.Code == "QuotaExceeded":
		kind = errs.NoSpace
	}
	return errs.E(kind, "%s in %s: %s (%s)", what, b, text, answer.Code)
}
