package server

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/pki"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/layer/fleet"
)

const (
	renewPoll = 2 * time.Second
	renewWait = time.Minute // between two tries, for a certificate that lives long
)

// renewer has the certificate followed by another that a join token gave, before
// it ends, and when the cluster gets another CA. The ports read the files again
// by themselves.
type renewer struct {
	id     string
	files  TLSFiles
	joined joined
	path   string // of what joined is kept in
	ask    func(ctx context.Context, in, out any) error
	caSet  func(ctx context.Context) int64 // since when the cluster has the CA that it has; 0 = not known, or none
	log    *slog.Logger

	next time.Time // not before
	said string
}

// newRenewer returns nil for a node that did not join by a token.
func (c *Config) newRenewer(f *follower) *renewer {
	if c.joined == nil {
		return nil
	}
	return &renewer{
		id: c.ID, files: c.PeerTLS, joined: *c.joined, path: c.peerPath("joined.json"), caSet: f.caSet, log: c.Log,
		ask: func(ctx context.Context, in, out any) error { return f.askAny(ctx, opRenew, in, out) },
	}
}

// caSet returns since when the cluster has the CA that this node's state says.
func (f *follower) caSet(ctx context.Context) (at int64) {
	f.read(ctx, func(tx *kv.Tx) error {
		a, err := fleet.AuthorityCert(tx)
		if err == nil && a != nil {
			at = a.Set
		}
		return err
	})
	return at
}

// Run does it until ctx ends.
func (r *renewer) Run(ctx context.Context) {
	if r == nil {
		return
	}
	every(ctx, renewPoll, func() { r.step(ctx, time.Now()) })
}

// step renews the certificate if it is time: after two thirds of its life.
func (r *renewer) step(ctx context.Context, now time.Time) {
	if now.Before(r.next) {
		return
	}
	certs, err := pki.ReadCertificates(r.files.Cert)
	if err != nil {
		r.say(err)
		return
	}
	issued := time.Unix(r.joined.Issued, 0)
	life := certs[0].NotAfter.Sub(issued)
	if set := r.caSet(ctx); now.Before(issued.Add(life*2/3)) && (set == 0 || set == r.joined.CASet) {
		return
	}
	r.next = now.Add(min(renewWait, life/30))
	if err := r.renew(ctx); err != nil && ctx.Err() == nil {
		r.say(err)
		return
	}
	r.said = ""
}

func (r *renewer) say(err error) {
	if text := err.Error(); text != r.said {
		r.said = text
		r.log.Warn("the certificate of this node was not renewed, it is tried again", "err", err)
	}
}

// renew asks for a certificate for a new key, and puts both in the place of the
// old ones. Whom to trust comes first.
func (r *renewer) renew(ctx context.Context) error {
	csr, key, err := pki.NewRequest(r.id)
	if err != nil {
		return err
	}
	var got renewed
	if err := r.ask(ctx, renewal{CSR: csr}, &got); err != nil {
		return err
	}
	certs, err := pki.ParseCertificates(got.Cert)
	if err != nil {
		return errs.E(errs.Internal, "the renewed certificate: %w", err)
	}
	if _, err := pki.ParseCertificates(got.CA); err != nil {
		return errs.E(errs.Internal, "the CAs that came with the renewed certificate: %w", err)
	}
	if err := pki.Replace(r.files.CA, got.CA, 0o600); err != nil {
		return err
	}
	next, err := json.Marshal(pki.Pair{Cert: got.Cert, Key: key})
	if err != nil {
		return err
	}
	if err := pki.Replace(renewedPath(r.files), append(next, '\n'), 0o600); err != nil {
		return err
	}
	if err := finishRenewal(r.files); err != nil {
		return err
	}
	r.joined.CASet, r.joined.Issued = got.CASet, time.Now().Unix()
	text, err := json.Marshal(r.joined)
	if err == nil {
		err = pki.Replace(r.path, append(text, '\n'), 0o600)
	}
	if err == nil {
		r.log.Info("the certificate of this node was renewed", "until", certs[0].NotAfter.UTC())
	}
	return err
}

// renewedPath is of a certificate and its key, both in one file, until they are
// in the place of the old ones.
func renewedPath(f TLSFiles) string { return filepath.Join(filepath.Dir(f.Key), "renewed.json") }

// finishRenewal puts what was renewed in the place of the old files, and does
// nothing if that is done. A node that stopped between the two files would have
// a key without its certificate, and could neither start nor ask for another.
func finishRenewal(f TLSFiles) error {
	path := renewedPath(f)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var next pki.Pair
	if err == nil {
		err = json.Unmarshal(text, &next)
	}
	if err == nil {
		err = next.Replace(f.Cert, f.Key)
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return errs.E(errs.Invalid, "data folder: the renewed certificate in %s was not put in its place: %w", path, err)
	}
	return nil
}
