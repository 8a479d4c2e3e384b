package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"fhirkiln/bulk"
	"fhirkiln/columnar"
	"fhirkiln/transport"
)

// worker fills parts with whole output files of one export until they are big enough.
type worker struct {
	*run
	export *export
	queue  *queue

	kind   fileKind
	writer *columnar.Writer     // nil between parts
	closed *columnar.Writer     // the previous writer, to reuse its memory, or nil
	open   map[string]*openPart // the parts of writer, by resource type
	bad    *quarantine
	files  []fileEnd   // those that are in writer up to their end
	last   *commitment // what was in writer before, or nil

	// For the current file:
	firstBad string // reason and place of the first bad line
	badLine  int64  // its number
	broken   int64  // where the last line that is not JSON ends
	repeats  int64  // how many of its resources had come before

	lookers []*looker // of writer's goroutines
}

// work converts files until the queue has no more.
func (w *worker) work(ctx context.Context) error {
	for {
		f, ok := w.queue.next(w.kind)
		if !ok {
			return w.finish(ctx)
		}
		if err := w.convert(ctx, f); err != nil {
			return err
		}
	}
}

// finish commits what is open, and waits until it is in the ledger.
func (w *worker) finish(ctx context.Context) error {
	free := w.Cores.Use()
	err := w.commit(ctx, nil)
	free()
	if err != nil {
		return err
	}
	return w.committed() // needs no core while it waits: others may have it
}

// convert converts a file. A file of another kind goes into new parts, unless the open ones may
// mix kinds.
func (w *worker) convert(ctx context.Context, f queuedFile) error {
	defer w.Cores.Use()()
	if f.kind != w.kind && !w.mixes(f.kind) {
		if err := w.commit(ctx, nil); err != nil {
			return err
		}
	}
	w.kind = f.kind
	if err := w.file(ctx, f); err != nil {
		switch failed := w.committed(); {
		case ctx.Err() != nil:
			return context.Cause(ctx) // not this file's fault
		case failed != nil:
			return failed // nor is this one: it is of files before
		}
		return &FileError{Type: f.Type, URL: transport.Redact(f.URL), Err: err}
	}
	return nil
}

// mixes reports whether the open parts may take files of another kind too. The kind of a local
// file comes from its first line, but each file may hold all types: with separate parts for each
// kind, there could be as many as types times types. If many parts are open, the file might need
// too many more.
func (w *worker) mixes(k fileKind) bool {
	const maxOpen = 128 // of the 256 that a Writer allows
	return w.ofLocalFiles() && len(w.open) <= maxOpen && w.open[k.partType()] != nil
}

// file converts one output file, or as much of it as is not in parts yet.
func (w *worker) file(ctx context.Context, f queuedFile) error {
	started := w.Now()
	stream, err := w.opener.Open(ctx, f.manifest, f.File)
	if err != nil {
		return err
	}
	defer stream.Close()
	rest, err := skipConverted(stream, f.place)
	if err != nil {
		return err
	}
	reader := &countingReader{r: rest, to: w.Progress, at: f.place.At.Lines}
	lines := columnar.NewLinesAt(reader, w.MaxLine, f.place.At)
	reader.lines = lines
	origin := &columnar.Origin{Source: w.Feed.Source, Feed: w.Feed.Name, Run: w.id, File: transport.WithoutQuery(f.URL),
		TransactionTime: f.manifest.TransactionTimeText}
	here := f.place
	here.File = f.index
	w.firstBad, w.badLine, w.broken, w.repeats = here.Bad, 0, 0, 0
	for {
		if w.writer == nil {
			w.openWriter(f.manifest)
		}
		read, err := w.writer.Append(ctx, lines, origin)
		here.Read.Add(read)
		here.Bad = w.firstBad
		if err != nil {
			return err
		}
		if !w.writer.Full() {
			break
		}
		given := stream.Stats()
		here.At, here.Bytes, here.XXH128 = lines.Position(), given.Bytes, given.XXH128
		if err := w.commit(ctx, &here); err != nil {
			return err
		}
	}
	if end := lines.Position(); w.broken > 0 && w.broken == end.Bytes { // the last line, without a line end
		return &BrokenFileError{fmt.Errorf("it ends in the middle of line %d", end.Lines)}
	}
	if err := checkCount(f, here.Read); err != nil {
		return err
	}
	reader.count()
	w.Progress.fileDone()
	w.countRepeats()
	w.files = append(w.files, fileEnd{
		File:    f.index,
		Read:    here.Read,
		Stats:   stream.Stats(),
		Lines:   lines.Position().Lines,
		Started: started,
		Ended:   w.Now(),
		Bad:     here.Bad,
		repeats: w.repeats,
	})
	w.Log.Debug("converted an output file", "type", f.Type, "resources", here.Read.Resources, "quarantined", here.Read.Quarantined)
	return nil
}

// checkCount compares what was read with the manifest's count. For deleted files, some servers
// count Bundles and others what is in them; for organized ones, some count the headers.
func checkCount(f queuedFile, read columnar.ReadStats) error {
	found := read.Resources + read.Quarantined
	switch {
	case f.Count < 0, f.Count == found:
	case f.kind.Deleted && f.Count == read.Bundles:
	case read.Headers > 0 && f.Count == found+read.Headers:
	default:
		return &CountError{Manifest: f.Count, Found: found}
	}
	return nil
}

// skipConverted skips what an interrupted run already has in parts, and proves that the file
// begins with the same bytes.
func skipConverted(stream Stream, p place) (io.Reader, error) {
	if p.Bytes == 0 {
		return stream, nil
	}
	changed := func(err error) error {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return &ChangedError{Bytes: p.Bytes}
		}
		return err
	}
	if _, err := io.CopyN(io.Discard, stream, p.At.Bytes); err != nil {
		return nil, changed(err)
	}
	ahead := make([]byte, p.Bytes-p.At.Bytes) // at most what a Lines reads ahead
	if _, err := io.ReadFull(stream, ahead); err != nil {
		return nil, changed(err)
	}
	if p.XXH128 == "" || stream.Stats().XXH128 != p.XXH128 {
		return nil, &ChangedError{Bytes: p.Bytes}
	}
	return io.MultiReader(bytes.NewReader(ahead), stream), nil
}

// openWriter begins the next parts.
func (w *worker) openWriter(m *bulk.Manifest) {
	w.countRepeats()
	w.open, w.lookers = map[string]*openPart{}, nil
	options := w.columnar()
	options.Cores, options.Quarantine = w.Cores, w.quarantine
	options.Create = func(ctx context.Context, resourceType string) (io.Writer, error) {
		key, err := w.notedKey(ctx, resourceType, w.queue)
		if err != nil {
			return nil, err
		}
		staging, err := w.storeOf(key).Stage(ctx, key)
		if err != nil {
			return nil, err
		}
		part := newOpenPart(staging)
		w.open[resourceType] = part
		return part, nil
	}
	if w.kind.Deleted {
		w.writer = columnar.NewTombstoneWriter(options)
		return
	}
	options.SkipHeaders = m.OrganizedBy != ""
	options.AttachmentOrigins = origins(m)
	if w.seen != nil {
		options.Each = func() func(string, []byte, []byte) {
			l := &looker{seen: w.seen}
			w.lookers = append(w.lookers, l)
			return l.look
		}
	}
	if w.writer, w.closed = w.closed, nil; w.writer == nil {
		w.writer = columnar.NewWriter(options)
		return
	}
	w.writer.Reset(options)
}

// countRepeats counts which of the present file's resources so far had come before.
func (w *worker) countRepeats() {
	for _, l := range w.lookers {
		w.repeats += l.finish()
	}
}

// countingReader is the reader of a Lines. It tells a Progress how many bytes pass and how many
// lines are done.
type countingReader struct {
	r     io.Reader
	to    *Progress
	lines *columnar.Lines // calls Read one call at a time
	at    int64           // lines that were reported, or in parts before
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.to.bytes.Add(int64(n))
	c.count()
	return n, err
}

func (c *countingReader) count() {
	now := c.lines.Position().Lines
	c.to.resources.Add(now - c.at)
	c.at = now
}

// origins returns the origins from which attachments would disappear with the export: those of
// its status URL and files.
func origins(m *bulk.Manifest) []string {
	var all []string
	add := func(raw string) {
		// A manifest may list a million files of one host, and is searched for each part.
		if slices.ContainsFunc(all, func(o string) bool { return strings.HasPrefix(raw, o) && strings.HasPrefix(raw[len(o):], "/") }) {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" {
			return
		}
		if o := u.Scheme + "://" + u.Host; !slices.Contains(all, o) && len(all) < 10 {
			all = append(all, o)
		}
	}
	add(m.StatusURL)
	for _, f := range m.Output {
		add(f.URL)
	}
	return all
}
