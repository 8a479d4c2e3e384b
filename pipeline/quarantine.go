package pipeline

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"

	"fhirkiln/columnar"
	"fhirkiln/sink"
)

// quarantine is a worker's file of lines that could not become rows. It is staged and
// published like a part, but under the run's own folder, since it holds patient data.
type quarantine struct{ sink.Staging }

// quarantine takes one bad line; see [columnar.Options]. A line may be too long for
// memory, so it is written as it is read.
func (w *worker) quarantine(ctx context.Context, q columnar.Quarantined) error {
	if w.bad == nil {
		key := fmt.Sprintf("_fhirkiln/runs/%s/quarantine/q%05d-%s.ndjson", w.id, w.staged.number.Add(1), randomHex(4))
		staging, err := w.Sink.Stage(ctx, key)
		if err != nil {
			return err
		}
		w.bad = &quarantine{staging}
	}
	w.mu.Lock()
	name := w.kind.name()
	if w.report.firstBad[name] == "" {
		if w.report.firstBad == nil {
			w.report.firstBad = map[string]string{}
		}
		w.report.firstBad[name] = fmt.Sprintf("%s, %v", q.Origin.File, &q.DataError)
	}
	w.mu.Unlock()
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

// finishQuarantine stages the file, if there is one.
func (w *worker) finishQuarantine(ctx context.Context) error {
	if w.bad == nil {
		return nil
	}
	receipt, err := w.bad.Finish(ctx)
	if err != nil {
		return err
	}
	w.bad = nil
	w.staged.add(stagedPart{receipt: receipt})
	return nil
}
