package kvdb

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/coveydb/covey/internal/errs"
)

// maxTxnOps is how many operations one transaction may hold.
const maxTxnOps = 1000

// txnOp is one operation of a transaction as it was sent.
type txnOp struct {
	del   bool
	key   string
	value json.RawMessage // of a set
	ttl   string          // the JSON token, "" if not stated
}

// parseTxn reads {"txn":[{"set":K,"value":V,"ttl":s},{"delete":K}]}. It refuses
// what it does not know inside an operation, since dropping a word there would
// change what the operation means; words beside "txn" are ignored. Names are
// compared exactly, and of a repeated name the last counts, as JSON parsers do.
func parseTxn(body []byte) ([]txnOp, error) {
	if !utf8.Valid(body) {
		return nil, errs.E(errs.Invalid, "transaction is not UTF-8")
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(body, &top); err != nil {
		return nil, errs.E(errs.Invalid, "transaction is not a JSON object")
	}
	list, ok := top["txn"]
	if !ok || list[0] != '[' {
		return nil, errs.E(errs.Invalid, `transaction lacks the list "txn"`)
	}
	d := json.NewDecoder(bytes.NewReader(list))
	if _, err := d.Token(); err != nil {
		return nil, errs.E(errs.Invalid, "transaction is not a JSON object")
	}
	var ops []txnOp
	for n := 0; d.More(); n++ {
		if n == maxTxnOps {
			return nil, errs.E(errs.Invalid, "transaction holds over %d operations", maxTxnOps)
		}
		var fields map[string]json.RawMessage
		if err := d.Decode(&fields); err != nil {
			return nil, errs.E(errs.Invalid, "operation %d of the transaction is not a JSON object", n)
		}
		op, err := parseTxnOp(fields, n)
		if err != nil {
			return nil, err
		}
		ops = append(ops, op)
	}
	return ops, nil
}

func parseTxnOp(fields map[string]json.RawMessage, n int) (txnOp, error) {
	set, isSet := fields["set"]
	del, isDelete := fields["delete"]
	value, hasValue := fields["value"]
	ttl, hasTTL := fields["ttl"]
	known := 1
	if hasValue {
		known++
	}
	if hasTTL {
		known++
	}
	switch {
	case isSet == isDelete || len(fields) != known || isDelete && known != 1 || isSet && !hasValue:
		return txnOp{}, errs.E(errs.Invalid, `operation %d of the transaction is neither {"set":KEY,"value":VALUE} with an optional "ttl" nor {"delete":KEY}`, n)
	case isDelete:
		set = del
	}
	op := txnOp{del: isDelete, value: value, ttl: string(ttl)}
	if set[0] != '"' || json.Unmarshal(set, &op.key) != nil || op.key == "" {
		return txnOp{}, errs.E(errs.Invalid, "operation %d of the transaction lacks a key", n)
	}
	return op, nil
}
