package vault

import (
	"io"
	"iter"

	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
)

// AuditExport is what the operator wants of the audit log: all chains, or that
// of one organization or one account.
type AuditExport struct {
	Format       AuditFormat
	Organization uint64 // 0 = not one; also one that was deleted
	Account      string // an e-mail address; "" = not one
	HeadsOnly    bool   // the heads, and no entries
}

// ExportAudit writes an export to w, piece by piece: its cost in memory does not
// grow with the log. All of it is from the state that tx, a View, reads, so the
// heads of different chains belong together. It writes what is stored, whether
// or not that verifies.
//
// A chain that there is not is errs.NotFound, and what makes no sense
// errs.Invalid, before anything is written. Other errors are those of w, and
// errs.Internal for a row that cannot be read.
func (s *Store) ExportAudit(tx *kv.Tx, w io.Writer, x AuditExport) error {
	chains, err := s.exported(tx, x)
	if err != nil {
		return err
	}
	out, err := writeHeads(w, x.Format, chains)
	if err != nil {
		return err
	}
	for e, err := range chains {
		if err != nil || x.HeadsOnly {
			return err
		}
		if err := e.write(tx, out); err != nil {
			return err
		}
	}
	return out.Flush()
}

// ended is a chain with its end.
type ended struct {
	chain
	head AuditHead
}

// exported returns the chains that x names, to be gone over more than once.
func (s *Store) exported(tx *kv.Tx, x AuditExport) (iter.Seq2[ended, error], error) {
	var c chain
	switch {
	case x.Organization != 0 && x.Account != "":
		return nil, errs.E(errs.Invalid, "an export is of an organization, of an account or of all, not of one of each")
	case x.Organization != 0:
		c = chain{organizationChain, x.Organization}
	case x.Account != "":
		id, _, err := s.accountOf(tx, x.Account)
		if err != nil {
			return nil, err
		}
		c = chain{accountChain, id}
	default:
		return allChains(tx), nil
	}
	row, err := readRow[headRow](tx, c.headKey())
	if err == nil && row == nil {
		err = errs.E(errs.NotFound, "audit chain %s: not found", c)
	}
	if err != nil {
		return nil, err
	}
	return func(yield func(ended, error) bool) { yield(row.of(c), nil) }, nil
}

func (h *headRow) of(c chain) ended { return ended{c, AuditHead{c.String(), h.Number, h.Hash}} }

// allChains iterates over the chains of all organizations and then of all
// accounts, those of each in the order of their ids.
func allChains(tx *kv.Tx) iter.Seq2[ended, error] {
	return func(yield func(ended, error) bool) {
		prefix := key(headByte, 0)
		lo, hi := tuple.Span(prefix)
		for rec, err := range tx.Scan(lo, hi) {
			if err != nil {
				yield(ended{}, err)
				return
			}
			row, err := decode[headRow](rec.Value)
			if err != nil {
				yield(ended{}, err)
				return
			}
			id, _, err := tuple.Uint(rec.Key[len(prefix)+1:])
			if err != nil {
				yield(ended{}, damaged(err))
				return
			}
			if !yield(row.of(chain{rec.Key[len(prefix)], id}), nil) {
				return
			}
		}
	}
}

// writeHeads begins an export.
func writeHeads(w io.Writer, f AuditFormat, chains iter.Seq2[ended, error]) (*AuditWriter, error) {
	var out *AuditWriter
	heads := make([]AuditHead, 0, headsOfLine)
	write := func() (err error) {
		if out == nil {
			out, err = NewAuditWriter(w, f, heads)
		} else {
			err = out.heads(heads)
		}
		heads = heads[:0]
		return err
	}
	for e, err := range chains {
		if err == nil && len(heads) == headsOfLine {
			err = write()
		}
		if err != nil {
			return nil, err
		}
		heads = append(heads, e.head)
	}
	if len(heads) > 0 || out == nil {
		if err := write(); err != nil {
			return nil, err
		}
	}
	return out, out.Flush()
}

// write writes the entries of the chain.
func (e ended) write(tx *kv.Tx, out *AuditWriter) error {
	lo, hi := tuple.Span(e.prefix())
	for rec, err := range tx.Scan(lo, hi) {
		if err != nil {
			return err
		}
		entry, err := decode[AuditEntry](rec.Value)
		if err != nil {
			return err
		}
		if err := out.Write([]AuditEntry{*entry}); err != nil {
			return err
		}
	}
	return nil
}
