package pipeline

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"fhirkiln/bulk"
	"fhirkiln/columnar"
	"fhirkiln/sink"
	"fhirkiln/transport"
)

// convert streams all files of a manifest into staged parts, with a pool of workers.
// The first failure ends the others and is returned.
func (r *run) convert(ctx context.Context, m *bulk.Manifest) error {
	q := newQueue(m)
	r.Progress.expect(m)
	r.Progress.enter(Converting)
	group, ctx := errgroup.WithContext(ctx)
	for range min(r.Workers, q.left()) {
		group.Go(func() error {
			w := &worker{run: r, manifest: m, queue: q}
			err := w.work(ctx)
			return errors.Join(err, w.abort(context.WithoutCancel(ctx)))
		})
	}
	return group.Wait()
}

// worker fills parts with whole output files until they are big enough.
type worker struct {
	*run
	manifest *bulk.Manifest
	queue    *queue
	kind     kind
	writer   *columnar.Writer
	open     map[string]*openPart // by resource type: the parts of writer
	bad      *quarantine
}

// openPart is a part that is being written.
type openPart struct {
	sink.Staging
	sum hash.Hash // of what was written
}

func (p *openPart) Write(b []byte) (int, error) {
	p.sum.Write(b)
	return p.Staging.Write(b)
}

func (w *worker) work(ctx context.Context) error {
	for {
		f, ok := w.queue.next(w.kind)
		if !ok {
			if err := w.finish(ctx); err != nil {
				return err
			}
			if f, ok = w.queue.another(); !ok {
				return w.finishQuarantine(ctx)
			}
		}
		w.kind = f.kind
		if err := w.file(ctx, f); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx) // not this file's fault
			}
			return &FileError{Type: f.Type, URL: transport.Redact(f.URL), Err: err}
		}
	}
}

// file converts one output file.
func (w *worker) file(ctx context.Context, f queuedFile) error {
	started := time.Now()
	stream, err := w.opener.Open(ctx, w.manifest, f.File)
	if err != nil {
		return err
	}
	defer stream.Close()
	lines := columnar.NewLines(&counted{r: stream, to: w.Progress}, w.MaxLine)
	origin := &columnar.Origin{Source: w.Feed.Source, Feed: w.Feed.Name, Run: w.id, File: transport.Redact(f.URL),
		TransactionTime: w.manifest.TransactionTimeText}
	var read columnar.ReadStats
	for {
		if w.writer == nil {
			w.begin()
		}
		more, err := w.writer.Append(ctx, lines, origin)
		read.Resources += more.Resources
		read.Quarantined += more.Quarantined
		if err != nil {
			return err
		}
		if !w.writer.Full() {
			break
		}
		if err := w.finish(ctx); err != nil {
			return err
		}
	}
	if found := read.Resources + read.Quarantined; f.Count >= 0 && f.Count != found {
		return &CountError{Manifest: f.Count, Found: found}
	}
	w.Progress.fileDone()
	w.mu.Lock()
	w.report.addFile(f, read, stream.Stats(), started)
	w.mu.Unlock()
	w.Log.Debug("converted an output file", "type", f.Type, "resources", read.Resources, "quarantined", read.Quarantined)
	return nil
}

func (w *worker) begin() {
	w.open = map[string]*openPart{}
	w.writer = columnar.NewWriter(columnar.Options{
		TargetBytes: w.PartBytes,
		Quarantine:  w.quarantine,
		Create: func(ctx context.Context, resourceType string) (io.Writer, error) {
			staging, err := w.Sink.Stage(ctx, w.key(kind{resourceType, w.kind.deleted}))
			if err != nil {
				return nil, err
			}
			part := &openPart{staging, sha256.New()}
			w.open[resourceType] = part
			return part, nil
		},
	})
}

// finish closes the open parts and keeps their receipts.
func (w *worker) finish(ctx context.Context) error {
	if w.writer == nil {
		return nil
	}
	stats, err := w.writer.Close()
	if err != nil {
		return err
	}
	for _, s := range stats {
		part := w.open[s.ResourceType]
		receipt, err := part.Finish(ctx)
		if err != nil {
			return err
		}
		delete(w.open, s.ResourceType)
		w.staged.add(stagedPart{receipt: receipt, stats: s, kind: w.kind, sha256: hex.EncodeToString(part.sum.Sum(nil))})
	}
	w.writer = nil
	return nil
}

func (w *worker) abort(ctx context.Context) error {
	var failed error
	for _, p := range w.open {
		failed = errors.Join(failed, p.Abort(ctx))
	}
	if w.bad != nil {
		failed = errors.Join(failed, w.bad.Abort(ctx))
	}
	return failed
}

// key is where a part is published.
func (r *run) key(k kind) string {
	return fmt.Sprintf("%s/%s/kiln_source=%s/kiln_feed=%s/kiln_run=%s/p%05d-%s.parquet",
		columnar.LayoutPath, k.name(), r.Feed.Source, r.Feed.Name, r.id, r.staged.number.Add(1), randomHex(4))
}

// newRunID names a run by its start, to the millisecond, so that names sort as runs
// began, and by chance, for two of one moment.
func newRunID(t time.Time) string {
	return "r" + strings.Replace(t.UTC().Format("20060102t150405.000z"), ".", "", 1) + "-" + randomHex(3)
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// stagedParts is what the workers have staged so far. Safe for concurrent use.
type stagedParts struct {
	number atomic.Int64 // of parts begun
	mu     sync.Mutex
	parts  []stagedPart
}

type stagedPart struct {
	receipt sink.Receipt
	stats   columnar.PartStats // zero for quarantined lines
	kind    kind
	sha256  string
}

func (s *stagedParts) add(p stagedPart) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = append(s.parts, p)
}

func (s *stagedParts) all() []stagedPart {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parts
}

// counted shows the bytes and line ends that pass to a Progress.
type counted struct {
	r  io.Reader
	to *Progress
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.to.bytes.Add(int64(n))
	c.to.resources.Add(int64(bytes.Count(p[:n], []byte{'\n'})))
	return n, err
}
