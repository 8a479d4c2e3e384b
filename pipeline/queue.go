package pipeline

import (
	"sync"

	"fhirkiln/bulk"
	"fhirkiln/columnar"
)

// fileKind is what output files must have in common to share a part. Local files may share one
// regardless.
type fileKind struct {
	Type    string `json:"type"`
	Deleted bool   `json:"deleted,omitempty"`
}

// partType returns the type of the parts that rows of such files go into, except strays.
func (k fileKind) partType() string {
	if k.Deleted {
		return columnar.Deleted
	}
	return k.Type
}

// queuedFile is a file to be converted.
type queuedFile struct {
	bulk.File
	kind     fileKind
	manifest *bulk.Manifest // that lists it
	index    int            // among its export's files
	place    place          // how much of it is converted already
}

// work estimates the size of the file in bytes from what the manifest says; 1 if it says
// nothing. A manifest may say anything, so the estimate is capped to keep sums within an int64.
func (f queuedFile) work() int64 {
	const (
		resource = 1000 // bytes; they range from about 200 to about 10,000
		maxBytes = 1 << 38
	)
	return max(min(f.Bytes, maxBytes), min(f.Count, maxBytes/resource)*resource, 1)
}

// queue deals files to workers. Each worker gets the files of one type before those of another,
// so that whole files of one type fill its parts. Types with the most work come first, so that
// all workers have some at the end. Files may still be added while it deals. It is safe for
// concurrent use.
type queue struct {
	mu     sync.Mutex
	more   sync.Cond
	files  map[fileKind][]queuedFile
	work   map[fileKind]int64 // total of files
	order  []fileKind         // in order of arrival
	closed bool
}

func newQueue() *queue {
	q := &queue{files: map[fileKind][]queuedFile{}, work: map[fileKind]int64{}}
	q.more.L = &q.mu
	return q
}

func (q *queue) add(files []queuedFile) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range files {
		if _, known := q.files[f.kind]; !known {
			q.order = append(q.order, f.kind)
		}
		q.files[f.kind] = append(q.files[f.kind], f)
		q.work[f.kind] += f.work()
	}
	q.more.Broadcast()
}

// close says that no more files will be added. Closing again does nothing.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.more.Broadcast()
}

// next deals a file: one of kind k if there is any, else one of the kind with the most work
// left. It waits until there is one; false means that there will be none.
func (q *queue) next(k fileKind) (queuedFile, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if len(q.files[k]) == 0 {
			for _, other := range q.order {
				if len(q.files[other]) > 0 && (len(q.files[k]) == 0 || q.work[other] > q.work[k]) {
					k = other
				}
			}
		}
		if files := q.files[k]; len(files) > 0 {
			q.files[k] = files[1:]
			q.work[k] -= files[0].work()
			return files[0], true
		}
		if q.closed {
			return queuedFile{}, false
		}
		q.more.Wait()
	}
}

// waiting returns the kinds that have files, at most limit of them.
func (q *queue) waiting(limit int) []fileKind {
	q.mu.Lock()
	defer q.mu.Unlock()
	var kinds []fileKind
	for _, k := range q.order {
		if len(q.files[k]) > 0 && len(kinds) < limit {
			kinds = append(kinds, k)
		}
	}
	return kinds
}
