package command

import (
	"encoding/binary"
	"fmt"
)

const maxMsg = 1 << 10

// Append appends r's encoding, which is stored under the command's ID, hashed
// into the chain (without Msg), and sent back to the node that proposed.
func (r *Result) Append(dst []byte) []byte {
	dst = append(dst, byte(r.Outcome))
	dst = binary.AppendUvarint(dst, r.Version)
	dst = binary.AppendVarint(dst, r.Time)
	dup := byte(0)
	if r.Duplicate {
		dup = 1
	}
	dst = append(dst, dup)
	dst = binary.AppendUvarint(dst, uint64(len(r.Added)))
	for _, a := range r.Added {
		dst = appendBytes(dst, a)
	}
	dst = appendBytes(dst, r.Reply)
	return appendBytes(dst, []byte(r.Msg))
}

// DecodeResult reads a Result, which aliases p.
func DecodeResult(p []byte) (Result, error) {
	d := decoder{p: p}
	r := Result{Outcome: Outcome(d.byte()), Version: d.uvarint(), Time: d.varint()}
	dup := d.byte()
	r.Duplicate = dup == 1
	n := d.count(MaxOps)
	for i := 0; i < n && d.err == nil; i++ {
		r.Added = append(r.Added, d.bytes(maxNumberText))
	}
	r.Reply = d.bytes(MaxReply)
	r.Msg = string(d.bytes(maxMsg))
	if d.err == nil && (r.Outcome < Applied || r.Outcome > Waiting || dup > 1) {
		d.fail(fmt.Errorf("command: result of unknown outcome %d", r.Outcome))
	}
	return r, d.end()
}
