package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"

	"fhirkiln/columnar"
)

// tombstones writes tombstones into one part.
type tombstones struct {
	run    *run
	writer *columnar.Writer // nil before the first
	part   *openPart
	lines  int64
}

// add writes a tombstone. It writes none for an id that no URL can name.
func (w *tombstones) add(ctx context.Context, resourceType, id string) (written bool, err error) {
	if w.writer == nil {
		options := w.run.columnar()
		options.TargetBytes = 1 << 40 // one part
		options.Quarantine = func(context.Context, columnar.Quarantined) error { return nil }
		options.Create = func(ctx context.Context, _ string) (io.Writer, error) {
			staging, err := w.run.stage(ctx, w.run.key(columnar.Deleted))
			if err != nil {
				return nil, err
			}
			w.part = newOpenPart(staging)
			return w.part, nil
		}
		w.writer = columnar.NewTombstoneWriter(options)
	}
	name, err := json.Marshal(resourceType + "/" + url.PathEscape(id))
	if err != nil {
		return false, err
	}
	line := fmt.Appendf(nil, `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":%s}}]}`, name)
	read, err := w.writer.Append(ctx, columnar.NewLinesAt(bytes.NewReader(line), 0, columnar.Position{Lines: w.lines}), &columnar.Origin{
		Source: w.run.Feed.Source, Feed: w.run.Feed.Name, Run: w.run.id, File: retiredFile, TransactionTime: w.run.report.TransactionTime})
	w.lines++
	return read.Resources == 1, err
}

// finish makes the part durable, if there is one.
func (w *tombstones) finish(ctx context.Context) ([]stagedPart, error) {
	if w.part == nil {
		return nil, nil
	}
	stats, err := w.writer.Close()
	if err != nil {
		return nil, err
	}
	receipt, err := w.part.Finish(ctx)
	if err != nil {
		return nil, err
	}
	return []stagedPart{{Receipt: receipt, Type: columnar.Deleted, Of: kindOf(columnar.Deleted), Rows: stats[0].Rows,
		SHA256: w.part.sha256()}}, nil
}

// abort throws away what is not finished.
func (w *tombstones) abort(ctx context.Context) error {
	if w.part == nil {
		return nil
	}
	return w.part.Abort(ctx)
}
