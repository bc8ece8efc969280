package feed

// Held is how many events wait for w, and their size in bytes.
func (w *Watcher) Held() (n, size int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue), w.bytes
}
