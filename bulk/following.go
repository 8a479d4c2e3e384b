package bulk

import "sync"

// following are the exports, by their status URLs, that a client's callers go on with: from
// their kick-off, or the first wait for them, until they are deleted. What a server says to run
// already may be one of them, of another feed with the same request, and is not to be taken
// over: whoever is done first would delete the other one's files.
type following struct {
	mu  sync.Mutex
	all map[string]bool
}

// add says whether nobody followed the export before.
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
