package columnar

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// Deleted takes the place of a resource type where rows are tombstones: in Options.Create,
// [PartStats], [LayoutOf], [Reader.ResourceType] and paths. No resource type begins with a
// lowercase letter.
const Deleted = "deleted"

// NewTombstoneWriter returns a Writer for the deleted files of a manifest. Their lines are Bundles
// of DELETE requests. Each entry becomes one row, a tombstone; all of them go to one part of the
// type [Deleted].
//
// What cannot be a tombstone goes to Options.Quarantine with its line's number: an entry that is
// not a DELETE or does not name a single resource, with a reason that says which of the Bundle's
// entries it is; and a line that is not a Bundle, as a whole. There are two exceptions: a line
// that is a resource with an id stands for one entry, and so does an entry without a Bundle around
// it, which is how quarantine stores entries.
//
// Statistics count entries: Resources are tombstones, and Resources and Quarantined together are
// all entries. A Bundle stays in one part, so a part may exceed Options.TargetBytes by what one
// line makes. However many entries a Bundle has, it takes the memory of its line and of a row
// group.
//
// See "Deleted" in https://hl7.org/fhir/uv/bulkdata/export.html#response---complete-status.
func NewTombstoneWriter(o Options) *Writer {
	w := &Writer{laneBlocks: laneBlocks}
	w.reset(o, true)
	return w
}

// tombstoneFields are the columns of the layout of [Deleted].
func tombstoneFields() []*Field {
	return []*Field{
		{Name: "resourceType", Type: String, Required: true, FHIR: "code", role: roleSide},
		{Name: "id", Type: String, FHIR: "id", role: roleSide},
		{Name: "url", Type: String, FHIR: "url", role: roleSide},
		{Name: "__residual", Type: String, role: roleSide},
		originField(),
	}
}

// tombstone is one row. Its texts are valid UTF-8.
type tombstone struct {
	resourceType, id string
	url              string // empty if it is resourceType/id
	residual         []byte // nil for none
}

// tombstoneShredder puts tombstones into a row group's columns.
type tombstoneShredder struct {
	rows                            *rowGroup
	resourceType, id, url, residual *Field
	origin                          originColumns
	text                            []byte // scratch
}

func newTombstoneShredder(g *rowGroup) *tombstoneShredder {
	root := g.layout.root
	return &tombstoneShredder{rows: g, resourceType: root.field("resourceType"), id: root.field("id"), url: root.field("url"),
		residual: root.field("__residual"), origin: newOriginColumns(root)}
}

func (s *tombstoneShredder) row(t tombstone, o *Origin, number int64) {
	put := func(f *Field, v []byte) { s.rows.bytes(f, s.rows.leaf(f), v) }
	putText := func(f *Field, v string) {
		s.text = append(s.text[:0], v...)
		put(f, s.text)
	}
	s.rows.beginRow()
	putText(s.resourceType, t.resourceType)
	putText(s.id, t.id)
	if t.url != "" {
		putText(s.url, t.url)
	}
	if t.residual != nil {
		put(s.residual, t.residual)
	}
	s.text = s.origin.put(s.rows, s.text, o, number)
}

// addDeleted makes tombstones of a line of a deleted file.
func (l *lane) addDeleted(ctx context.Context, at line) error {
	d := l.deletions
	if err := d.survey(at.bytes); err != nil {
		return l.refuse(ctx, at, err)
	}
	switch {
	case d.resourceType == "Bundle" && (d.hasEntries || d.hasType):
		l.read.Bundles++
		n := 0
		return d.scanner.entries(at.bytes, func(start, end int) error {
			if n++; n%256 == 0 && ctx.Err() != nil {
				return context.Cause(ctx)
			}
			t, err := d.tombstone(at.bytes, start, end)
			entry := line{bytes: at.bytes[start:end], number: at.number, offset: at.offset}
			if err != nil {
				return l.refuse(ctx, entry, fmt.Errorf("its entry %d %w", n, err))
			}
			return l.addTombstone(ctx, t, entry)
		})
	case d.resourceType == "" && d.hasRequest:
		if _, err := d.scanner.scanValue(at.bytes, 0); err != nil {
			return l.refuse(ctx, at, err)
		}
		d.rest = d.rest[:0]
		t, err := d.tombstone(at.bytes, 0, len(at.bytes))
		if err != nil {
			return l.refuse(ctx, at, fmt.Errorf("it %w", err))
		}
		return l.addTombstone(ctx, t, at)
	case d.isResource():
		whole := append(append([]byte(`{"":`), at.bytes...), '}')
		return l.addTombstone(ctx, tombstone{resourceType: d.resourceType, id: d.id, residual: whole}, at)
	case l.w.options.SkipHeaders && d.resourceType == "Parameters":
		if err := d.scanner.scan(at.bytes); err == nil && isHeader(at.bytes, d.scanner.tape) {
			l.read.Headers++
			return nil
		}
	}
	return l.refuse(ctx, at, errNotDeleted)
}

func (l *lane) addTombstone(ctx context.Context, t tombstone, at line) error {
	s, err := l.shareOf(ctx, Deleted)
	if err != nil {
		return err
	}
	s.tombstones.row(t, l.origin, at.number)
	l.deletions.rest = l.deletions.rest[:0]
	l.read.Resources++
	return l.endRow(s, len(at.bytes))
}

// tombstone reassembles the row of a tombstone: a Bundle with this one entry, or the line that it
// was made of.
func (a *assembler) tombstone() ([]byte, error) {
	fields := a.layout.root.Fields
	resourceType, id, url, residual := a.leaf(fields[0]), a.leaf(fields[1]), a.leaf(fields[2]), a.leaf(fields[3])
	for _, f := range fields[4:] {
		a.skip(f)
	}
	if url == nil {
		url = append(append(resourceType[:len(resourceType):len(resourceType)], '/'), id...)
	}
	request, entry, root := &node{kind: '{'}, &node{kind: '{'}, &node{kind: '{'}
	quoted, _ := jsontext.AppendQuote(nil, url) // columns are valid UTF-8
	request.set("method", quote("DELETE"))
	request.set("url", quoted)
	entry.setNode("request", request)
	root.set("resourceType", quote("Bundle"))
	root.set("type", quote("transaction"))
	root.setNode("entry", &node{kind: '[', nodes: []*node{entry}})
	whole, err := a.restore(root, &sideValues{residual: residual})
	if err != nil || whole != nil {
		return whole, err
	}
	a.out = root.append(a.out[:0])
	return a.out, nil
}
