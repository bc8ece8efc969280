package fsm

import "sync"

const (
	hotRecords = 32   // kept by one view
	hotBytes   = 1024 // of the value of a record that is kept
)

// hot keeps the first few records that were read from a view. A view is shared
// by all who read while nothing new is published, and nearly all of them read
// the same few records first: the policy of their bucket, say. A view never
// changes, so neither does what is kept. The zero value is empty.
type hot struct {
	mu      sync.RWMutex
	records map[string]hotRecord
}

type hotRecord struct {
	head  head
	value []byte
}

// get returns a record that was put; it must not be written to.
func (t *hot) get(key []byte) (h head, value []byte, found bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	r, found := t.records[string(key)]
	return r.head, r.value, found
}

// put keeps a record, absent ones too, if there is room. It does not copy value.
func (t *hot) put(key []byte, h head, value []byte) {
	if len(value) > hotBytes {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.records) >= hotRecords {
		return
	}
	if t.records == nil {
		t.records = make(map[string]hotRecord, hotRecords)
	}
	t.records[string(key)] = hotRecord{h, value}
}
