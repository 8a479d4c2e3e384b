package bulk

import "sync"

// following is the set of exports, by status URL, that a client's callers follow: from the
// kick-off or the first wait until the delete. An export that a server reports as already
// running may be one of them, of another feed with the same request. It must not be adopted:
// whichever feed finishes first would delete the other's files.
type following struct {
	mu  sync.Mutex
	all map[string]bool
}

// add adds an export and reports whether nobody followed it before.
func (f *following) add(statusURL string) (first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all[statusURL] {
		return false
	}
	if f.all == nil {
		f.all = make(map[string]bool)
	}
	f.all[statusURL] = true
	return true
}

func (f *following) has(statusURL string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all[statusURL]
}

func (f *following) drop(statusURL string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, statusURL)
}
