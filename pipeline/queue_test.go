package pipeline

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk"
)

// The largest work begins first, and a worker stays with its type.
func TestQueueDealsMostWorkFirst(t *testing.T) {
	t.Parallel()
	file := func(typ string, count, bytes int64) queuedFile {
		return queuedFile{File: bulk.File{Type: typ, Count: count, Bytes: bytes}, kind: kindOf(typ)}
	}
	for name, test := range map[string]struct {
		files []queuedFile
		want  []string
	}{
		"nothing is told": {[]queuedFile{file("A", -1, 0), file("B", -1, 0), file("B", -1, 0), file("C", -1, 0)}, []string{"B", "B", "A", "C"}},
		"counts":          {[]queuedFile{file("A", 3, 0), file("B", 1, 0), file("B", 1, 0), file("C", 7, 0)}, []string{"C", "A", "B", "B"}},
		"lengths":         {[]queuedFile{file("A", -1, 70), file("B", -1, 30), file("B", -1, 50), file("C", -1, 10)}, []string{"B", "B", "A", "C"}},
		"beyond measure":  {[]queuedFile{file("A", math.MaxInt64, 0), file("A", math.MaxInt64, 0), file("B", -1, math.MaxInt64), file("B", 9e15, 0), file("C", 9e15, 0)}, []string{"B", "B", "A", "A", "C"}},
		"counts of some":  {[]queuedFile{file("A", -1, 0), file("B", 0, 0), file("C", 1, 0)}, []string{"C", "A", "B"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newQueue()
			q.add(test.files)
			q.close()
			var got []string
			for k := (fileKind{}); ; {
				f, ok := q.next(k)
				if !ok {
					break
				}
				k = f.kind
				got = append(got, f.Type)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("dealt (-want +got):\n%s", diff)
			}
		})
	}
}
