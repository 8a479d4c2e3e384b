package pipeline

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/lake"
	"fhirkiln/sink"
	"fhirkiln/transport"
)

// quarantine is a worker's file of lines that could not become rows. It is staged and published
// like a part, but in the run's own folder, since it holds patient data.
type quarantine struct{ sink.Staging }

// quarantine writes down one bad line; see [columnar.Options]. A line may be too long for
// memory, so it is written as it is read.
func (w *worker) quarantine(ctx context.Context, q columnar.Quarantined) error {
	if w.bad == nil {
		staging, err := w.stage(ctx, lake.QuarantineKey(w.id, w.fileName("q")))
		if err != nil {
			return err
		}
		w.bad = &quarantine{staging}
	}
	if w.firstBad == "" || q.Line < w.badLine { // lines may come out of order
		w.badLine = q.Line
		w.firstBad = fmt.Sprintf("%s, %v", transport.Redact(q.Origin.File), &q.DataError)
	}
	if q.Rest == nil && !jsontext.Value(q.Bytes).IsValid() {
		w.broken = max(w.broken, q.Offset+int64(len(q.Bytes)))
	}
	return w.bad.add(q)
}

func (b *quarantine) add(q columnar.Quarantined) error {
	head, err := json.Marshal(struct {
		File   string `json:"file"`
		Line   int64  `json:"line"`
		Offset int64  `json:"offset"`
		Reason string `json:"reason"`
		Bytes  string `json:"bytes"`
	}{q.Origin.File, q.Line, q.Offset, q.Reason, ""})
	if err != nil {
		return err
	}
	if _, err := b.Write(bytes.TrimSuffix(head, []byte(`"}`))); err != nil {
		return err
	}
	encoder := base64.NewEncoder(base64.StdEncoding, b)
	if _, err := encoder.Write(q.Bytes); err != nil {
		return err
	}
	if q.Rest != nil {
		if _, err := io.Copy(encoder, q.Rest); err != nil {
			return err
		}
	}
	if err := encoder.Close(); err != nil {
		return err
	}
	_, err = b.Write([]byte("\"}\n"))
	return err
}
