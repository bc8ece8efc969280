package kvdb

import (
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/layer/bucket"
)

// transact serves POST /BUCKET: all of a list of changes, or none.
func (q *request) transact() error {
	body, err := q.body(q.MaxBody)
	if err != nil {
		return err
	}
	q.noCondition()
	ops, err := q.txnOps(body)
	q.note(err)
	res, err := q.change(bucket.Write, q.once(body), func(b *bucket.Bucket) error { return b.Txn(ops) })
	if err != nil {
		return err
	}
	q.wrote(res)
	return q.empty()
}

// txnOps reads the operations. It returns those before the first bad one too:
// the door looks at their keys.
func (q *request) txnOps(body []byte) ([]bucket.TxnOp, error) {
	parsed, err := parseTxn(body)
	if err != nil {
		return nil, err
	}
	ops := make([]bucket.TxnOp, 0, len(parsed))
	for i, p := range parsed {
		op := bucket.TxnOp{Delete: p.del, Key: []byte(p.key)}
		if p.ttl != "" {
			op.TTL, err = bucket.ParseTTL(p.ttl)
		}
		if err == nil && !p.del {
			op.Value, err = bucket.JSON(p.value)
		}
		if err != nil {
			return ops, errs.E(errs.Invalid, "operation %d of the transaction: %w", i, err)
		}
		ops = append(ops, op)
	}
	return ops, nil
}
