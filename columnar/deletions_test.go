package columnar

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
)

// A Bundle with very many entries needs little more memory than its line.
func TestLargeBundle(t *testing.T) {
	t.Parallel()
	const entries = 200_000
	var line bytes.Buffer
	line.WriteString(`{"resourceType":"Bundle","type":"transaction","entry":[`)
	for i := range entries {
		if i > 0 {
			line.WriteByte(',')
		}
		fmt.Fprintf(&line, `{"request":{"method":"DELETE","url":"ExplanationOfBenefit/%d"}}`, i)
	}
	line.WriteString(`]}`)
	w := NewTombstoneWriter(Options{RowGroupBytes: 100_000, Create: func(context.Context, string) (io.Writer, error) { return io.Discard, nil }})
	read, err := w.Append(t.Context(), NewLines(&line, 0), &Origin{File: "1"})
	if err != nil || read.Resources != entries || read.Bundles != 1 {
		t.Fatalf("%+v, %v", read, err)
	}
	if n := cap(w.lanes[0].deletions.scanner.tape); n > 100 {
		t.Errorf("the tape had room for %d tokens", n)
	}
	if n := cap(w.lanes[0].deletions.rest) + cap(w.lanes[0].deletions.residual); n > 1000 {
		t.Errorf("%d bytes were kept beside the line", n)
	}
	if n := len(w.parts[Deleted].groups); n < 100 {
		t.Errorf("there are only %d row groups", n)
	}
	if _, err := w.Close(); err != nil {
		t.Error(err)
	}
}
