package bucket

import (
	"github.com/coveydb/covey/internal/errs"
	"github.com/coveydb/covey/internal/tuple"
	"github.com/coveydb/covey/kv"
	"github.com/coveydb/covey/kv/sealed"
)

// Sealed returns what the keyring has sealed for this layer: signing keys.
func (bs *Buckets) Sealed() []sealed.Rows {
	lo, hi := tuple.Span([]byte{layerByte, policyByte})
	return []sealed.Rows{{Name: "buckets", Lo: lo, Hi: hi, Each: sealedPolicy}}
}

// sealedPolicy is the Each of policy rows.
func sealedPolicy(rec kv.Record, visit sealed.Visit) ([]byte, error) {
	var p policy
	id, ok := policyID(rec.Key)
	if err := p.decode(rec.Value); err != nil || !ok {
		return nil, errs.E(errs.Internal, "policy row of bucket %q is damaged", id)
	}
	if p.signing == nil || !visit(sealed.Thing{
		Kind: "bucket signing keys", Which: "bucket " + id, Place: signingPlace(id), Sealed: &p.signing,
	}) {
		return nil, nil
	}
	return p.append(nil), nil
}
