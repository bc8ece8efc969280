package vault

import (
	"context"
	"sync"

	"github.com/coveydb/covey/kv"
)

// usesRow is when a service token was used. It is apart from the token's row,
// which every request of the token reads and guards.
type usesRow struct {
	Used    int64 `json:"used,omitempty"`    // unix seconds
	Refused int64 `json:"refused,omitempty"` // when an entry of the audit log last told that it was not let in
}

// usesEvery is how far apart, in seconds, two uses of a token are that are
// recorded; so are two refusals.
const usesEvery = 60

// readUses returns the uses of a service token, which is the caller's.
func readUses(tx *kv.Tx, id uint64) (usesRow, error) {
	row, err := readRow[usesRow](tx, byID(serviceUsesByte, id))
	if err != nil || row == nil {
		return usesRow{}, err
	}
	return *row, nil
}

// seldom tells which of many events to record: for each token one a minute, as
// far as it remembers. The zero value remembers nothing. Safe for concurrent
// use.
type seldom struct {
	mu   sync.Mutex
	last map[uint64]int64 // by token, unix seconds
}

// maxSeldom bounds the tokens that are remembered; when there are more, it all
// begins anew.
const maxSeldom = 10_000

// take reports whether an event of now is to be recorded.
func (s *seldom) take(token uint64, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.last[token]; ok && now < last+usesEvery {
		return false
	}
	if s.last == nil || len(s.last) >= maxSeldom {
		s.last = make(map[uint64]int64)
	}
	s.last[token] = now
	return true
}

// forget makes the next event of a token one to record.
func (s *seldom) forget(token uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.last, token)
}

// Use is that a service token was let in. The zero Use is of a user, and is
// nothing to record.
type Use struct {
	token uint64
	at    int64 // unix seconds
}

// Use returns what to tell the Recorder of a session.
func (s *Session) Use() Use {
	if s.service == nil {
		return Use{}
	}
	return Use{s.service.id, s.now()}
}

// Used sees to it that the time of a use is stored, at most once a minute for
// a token. It does not wait for that, and a use that cannot be stored is lost:
// the next one may be.
func (r *Recorder) Used(u Use) {
	if u.token == 0 || !r.uses.take(u.token, u.at) {
		return
	}
	err := r.enqueue(&turn{ctx: r.ctx, weight: 1, done: make(chan struct{}), do: func(tx *kv.Tx) error {
		row, err := readRow[serviceTokenRow](tx, byID(serviceTokenByte, u.token))
		if err != nil || row == nil || row.Revoked != 0 {
			return err
		}
		uses, err := readUses(tx, u.token)
		if err != nil || u.at < uses.Used+usesEvery {
			return err
		}
		uses.Used = u.at
		tx.Set(byID(serviceUsesByte, u.token), encode(uses), 0)
		return nil
	}})
	if err != nil {
		r.uses.forget(u.token)
	}
}

// Refused records in the audit log that a service token was not let in, at most
// once a minute for a token. The refusal stands whatever it returns.
func (r *Recorder) Refused(ctx context.Context, refused *Refused) error {
	if !r.refusals.take(refused.token, refused.at) {
		return nil
	}
	_, err := r.wait(&turn{ctx: ctx, weight: changeWeight, do: refused.record})
	if err != nil {
		r.refusals.forget(refused.token)
	}
	return err
}

// record records a refusal, unless another one was just now: other nodes may
// have seen the token too.
func (r *Refused) record(tx *kv.Tx) error {
	row, err := readRow[serviceTokenRow](tx, byID(serviceTokenByte, r.token))
	if err != nil || row == nil {
		return err
	}
	uses, err := readUses(tx, r.token)
	if err != nil || r.at < uses.Refused+usesEvery {
		return err
	}
	uses.Refused = r.at
	kept := keptRevoked
	if row.Revoked == 0 {
		kept = 0
	}
	tx.Set(byID(serviceUsesByte, r.token), encode(uses), kept)
	who := actor{Service: r.token, Name: serviceName(r.name), IP: r.ip}
	return record(tx, who, event{r.chain, verbRefuse, targetServiceToken, r.token, details{"name": r.name, "reason": r.reason}})
}
