package pipeline

import (
	"sync"

	"fhirkiln/bulk"
	"fhirkiln/columnar"
)

// fileKind is what files have in common that may share a part; local ones may share it without.
type fileKind struct {
	Type    string `json:"type"`
	Deleted bool   `json:"deleted,omitempty"`
}

// partType is the type of the parts that rows of such files are in, but for strays.
func (k fileKind) partType() string {
	if k.Deleted {
		return columnar.Deleted
	}
	return k.Type
}

// queuedFile is a file that is to be converted.
type queuedFile struct {
	bulk.File
	kind     fileKind
	manifest *bulk.Manifest // that lists it
	index    int            // among its export's files
	place    place          // what of it is converted already
}

// work is about how many bytes the file has, so far as the manifest tells, 1 if it does
// not. A manifest may say anything: what it says is bounded, so that sums stay within an int64.
func (f queuedFile) work() int64 {
	const (
		resource = 1000 // bytes; they are from some 200 to some 10,000
		most     = 1 << 38
	)
	return max(min(f.Bytes, most), min(f.Count, most/resource)*resource, 1)
}

// queue deals files to workers, one type after the other to each, so that whole files
// of one type fill its part. Those with most work come first, so that at the end all
// workers have some. Files may still be added while it deals. Safe for concurrent use.
type queue struct {
	mu     sync.Mutex
	more   sync.Cond
	files  map[fileKind][]queuedFile
	work   map[fileKind]int64 // of files
	order  []fileKind         // as they came
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

// close says that no files will be added. To close it again does nothing.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.more.Broadcast()
}

// next deals a file: of kind k if there is one, else of the kind that has most work
// left. It waits for one; false says that there will be none.
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

// waiting are the kinds of which there are files, at most so many.
func (q *queue) waiting(most int) []fileKind {
	q.mu.Lock()
	defer q.mu.Unlock()
	var kinds []fileKind
	for _, k := range q.order {
		if len(q.files[k]) > 0 && len(kinds) < most {
			kinds = append(kinds, k)
		}
	}
	return kinds
}
