package pipeline

import (
	"sync"

	"fhirkiln/bulk"
)

// kind is what may share a part.
type kind struct {
	resourceType string
	deleted      bool
}

// name is the kind's name in reports.
func (k kind) name() string {
	if k.deleted {
		return "deleted"
	}
	return k.resourceType
}

type queuedFile struct {
	bulk.File
	kind
}

// queue deals a manifest's files to workers, one type after the other to each, so that
// whole files of one type fill its part. Safe for concurrent use.
type queue struct {
	mu    sync.Mutex
	files map[kind][]queuedFile
	order []kind // as the manifest has them
}

func newQueue(m *bulk.Manifest) *queue {
	q := &queue{files: map[kind][]queuedFile{}}
	add := func(files []bulk.File, deleted bool) {
		for _, f := range files {
			k := kind{f.Type, deleted}
			if q.files[k] == nil {
				q.order = append(q.order, k)
			}
			q.files[k] = append(q.files[k], queuedFile{f, k})
		}
	}
	add(m.Output, false)
	add(m.Deleted, true)
	return q
}

// left is how many files are not dealt yet.
func (q *queue) left() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, files := range q.files {
		n += len(files)
	}
	return n
}

// next deals another file of the same kind, if there is one.
func (q *queue) next(k kind) (queuedFile, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.take(k)
}

// another deals a file of the kind that has most files left.
func (q *queue) another() (queuedFile, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var most kind
	for _, k := range q.order {
		if len(q.files[k]) > len(q.files[most]) {
			most = k
		}
	}
	return q.take(most)
}

func (q *queue) take(k kind) (queuedFile, bool) {
	files := q.files[k]
	if len(files) == 0 {
		return queuedFile{}, false
	}
	q.files[k] = files[1:]
	return files[0], true
}
