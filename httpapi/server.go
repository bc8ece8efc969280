package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coveydb/covey/httpapi/web"
)

// Timeouts bound the phases of a connection. Zero values are the defaults.
type Timeouts struct {
	Header time.Duration // to receive a request's header: 10 s
	Read   time.Duration // to receive a whole request: 60 s
	Write  time.Duration // from a request's header to the end of its answer: 90 s; longer lists extend it piece by piece
	Idle   time.Duration // between two requests: 2 min
	Drain  time.Duration // for requests under way when the server stops: 10 s
}

// maxHeader bounds a request's header. Paths, tokens and the cookies of a
// shared origin need far less.
const maxHeader = 64 << 10

// Server serves a handler on one listener.
type Server struct {
	http     *http.Server
	drain    time.Duration
	draining atomic.Bool
	log      *slog.Logger
}

// NewServer returns a server for h. tlsConfig nil means plain HTTP; otherwise it
// must hold certificates or a GetCertificate. log nil means slog.Default().
func NewServer(h http.Handler, t Timeouts, tlsConfig *tls.Config, log *slog.Logger) *Server {
	if log == nil {
		log = slog.Default()
	}
	s := &Server{
		drain: or(t.Drain, 10*time.Second),
		log:   log,
		http: &http.Server{
			ReadHeaderTimeout:            or(t.Header, 10*time.Second),
			ReadTimeout:                  or(t.Read, 60*time.Second),
			WriteTimeout:                 or(t.Write, 90*time.Second),
			IdleTimeout:                  or(t.Idle, 2*time.Minute),
			MaxHeaderBytes:               maxHeader,
			TLSConfig:                    tlsConfig,
			DisableGeneralOptionsHandler: true, // OPTIONS * is the handler's too
			// What it reports are connections that clients broke.
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
	}
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header().Set("Connection", "close") // GOAWAY in HTTP/2
		}
		h.ServeHTTP(w, r)
	})
	return s
}

// Drain makes each connection end with its next answer, which tells clients to
// make a new one, elsewhere if they can; with on false no more. What comes is
// served as before. Connections on which nothing comes stay until Serve ends: to
// close them would break off a request that is on its way.
func (s *Server) Drain(on bool) { s.draining.Store(on) }

func or(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

// Serve answers requests on l until ctx ends, then takes no new ones, tells
// streams to end (web.WhileServing), lets what is under way finish for the time
// that Timeouts.Drain gives, breaks off the rest and returns nil. It closes l.
// It may be called once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.http.BaseContext = func(net.Listener) context.Context { return web.WithStopping(context.Background(), ctx) }
	served := make(chan error, 1)
	go func() {
		if s.http.TLSConfig != nil {
			served <- s.http.ServeTLS(l, "", "")
		} else {
			served <- s.http.Serve(l)
		}
	}()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.drain)
	defer cancel()
	if err := s.http.Shutdown(drain); err != nil {
		s.log.Warn("requests under way were broken off", "after", s.drain)
		_ = s.http.Close() // it reports the listener, which is closed already
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
