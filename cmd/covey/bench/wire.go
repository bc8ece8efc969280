package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"
)

// maxHeaders bounds the header lines of an answer.
const maxHeaders = 100

// Target is one node to send requests to.
type Target struct {
	Addr string      // host:port
	TLS  *tls.Config // nil = plain HTTP
}

// wire is one keep-alive connection. It is not safe for concurrent use.
type wire struct {
	conn    net.Conn
	r       *bufio.Reader
	timeout time.Duration
	buf     []byte
	release func() bool // takes back what closes the connection when the run is aborted
}

// dial connects to t. The connection is closed when ctx ends.
func dial(ctx context.Context, t Target, timeout time.Duration) (*wire, error) {
	d := net.Dialer{Timeout: timeout}
	conn, err := d.DialContext(ctx, "tcp", t.Addr)
	if err != nil {
		return nil, err
	}
	if t.TLS != nil {
		conf := t.TLS.Clone()
		if conf.ServerName == "" {
			conf.ServerName, _, _ = net.SplitHostPort(t.Addr)
		}
		conf.NextProtos = []string{"http/1.1"}
		tc := tls.Client(conn, conf)
		if err := tc.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		conn = tc
	}
	w := &wire{conn: conn, r: bufio.NewReaderSize(conn, 4<<10), timeout: timeout}
	w.release = context.AfterFunc(ctx, func() { conn.Close() })
	return w, nil
}

// request is what one round trip sends.
type request struct {
	method string
	path   string // escaped, with query
	host   string
	key    string // credential; "" = none
	body   []byte
}

// append renders q.
func (q *request) append(dst []byte) []byte {
	dst = append(dst, q.method...)
	dst = append(dst, ' ')
	dst = append(dst, q.path...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, q.host...)
	if q.key != "" {
		dst = append(dst, "\r\nAuthorization: Bearer "...)
		dst = append(dst, q.key...)
	}
	if q.body != nil {
		dst = append(dst, "\r\nContent-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(q.body)), 10)
	}
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, q.body...)
}

// roundTrip sends q and reads the whole answer. keep is false when the
// connection cannot be used again.
func (w *wire) roundTrip(q *request) (status int, keep bool, err error) {
	if err := w.conn.SetDeadline(time.Now().Add(w.timeout)); err != nil {
		return 0, false, err
	}
	w.buf = q.append(w.buf[:0])
	if _, err := w.conn.Write(w.buf); err != nil {
		return 0, false, err
	}
	return w.readAnswer()
}

func (w *wire) readAnswer() (status int, keep bool, err error) {
	line, err := w.line()
	if err != nil {
		return 0, false, err
	}
	if status, err = parseStatus(line); err != nil {
		return 0, false, err
	}
	keep, length, chunked := true, int64(-1), false
	for n := 0; ; n++ {
		line, err := w.line()
		if err != nil {
			return 0, false, err
		}
		if len(line) == 0 {
			break
		}
		if n == maxHeaders {
			return 0, false, errors.New("the answer has too many header lines")
		}
		name, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, "Content-Length"):
			if length, err = strconv.ParseInt(value, 10, 64); err != nil || length < 0 {
				return 0, false, fmt.Errorf("the answer's length is %q", value)
			}
		case strings.EqualFold(name, "Transfer-Encoding"):
			chunked = strings.EqualFold(value, "chunked")
		case strings.EqualFold(name, "Connection"):
			keep = !strings.EqualFold(value, "close")
		}
	}
	return status, keep && (chunked || length >= 0), w.skipBody(length, chunked)
}

// skipBody reads the body away; without a length it ends with the connection.
func (w *wire) skipBody(length int64, chunked bool) error {
	switch {
	case chunked:
		if _, err := io.Copy(io.Discard, httputil.NewChunkedReader(w.r)); err != nil {
			return err
		}
		_, err := w.line() // the chunked reader leaves the last line; no trailers are asked for
		return err
	case length >= 0:
		_, err := io.CopyN(io.Discard, w.r, length)
		return err
	}
	_, err := io.Copy(io.Discard, w.r)
	return err
}

// line returns the next line without its end. It is valid until the next read.
func (w *wire) line() ([]byte, error) {
	line, err := w.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, nil
}

func parseStatus(line []byte) (int, error) {
	if len(line) < len("HTTP/1.1 200") || string(line[:7]) != "HTTP/1." || line[8] != ' ' {
		return 0, fmt.Errorf("%.40q is no HTTP answer", line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil || status < 200 || status > 599 {
		return 0, fmt.Errorf("%.40q is no HTTP answer", line)
	}
	return status, nil
}

func (w *wire) close() {
	w.release()
	w.conn.Close()
}
