package columnar

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/parquet-go/parquet-go"
)

// envelopeRow gives the layout its columns and their order; rows are written as
// values, without it.
type envelopeRow struct {
	ResourceType string `parquet:"resourceType,dict"`
	ID           string `parquet:"id,optional,delta"`
	Meta         struct {
		VersionID   string `parquet:"versionId,optional,dict"`
		LastUpdated string `parquet:"lastUpdated,optional,delta"`
	} `parquet:"meta,optional"`
	Resource string `parquet:"resource"`
}

// The columns of the envelope, in the order of [envelopeRow].
const (
	columnResourceType = iota
	columnID
	columnVersionID
	columnLastUpdated
	columnResource
	envelopeColumns
)

// envelope is what a line says of itself. It is good until the next read.
type envelope struct {
	resourceType, id       text
	hasMeta                bool
	versionID, lastUpdated text
	resource               []byte // the line
}

// text is a string of the line, unescaped. Its memory is used again.
type text struct {
	bytes   []byte
	present bool
}

// row lays the envelope out as the layout's values, appended to r.
func (e *envelope) row(r parquet.Row) parquet.Row {
	optional := func(t *text, column, parent int) parquet.Value {
		if !t.present {
			return parquet.Value{}.Level(0, parent, column)
		}
		return parquet.ByteArrayValue(t.bytes).Level(0, parent+1, column)
	}
	meta := 0
	if e.hasMeta {
		meta = 1
	}
	return append(r,
		parquet.ByteArrayValue(e.resourceType.bytes).Level(0, 0, columnResourceType),
		optional(&e.id, columnID, 0),
		optional(&e.versionID, columnVersionID, meta),
		optional(&e.lastUpdated, columnLastUpdated, meta),
		parquet.ByteArrayValue(e.resource).Level(0, 0, columnResource),
	)
}

// envelopeReader checks that lines are JSON objects and reads their envelopes.
type envelopeReader struct {
	decoder jsontext.Decoder
	buffer  bytes.Buffer
}

var (
	errNotUTF8  = errors.New("it is not valid UTF-8")
	errNotJSON  = errors.New("it is not one JSON object")
	errNoType   = errors.New("it has no resourceType")
	errTypeName = errors.New("its resourceType is not the name of a type")
)

// read fills e from a line. The error says what is wrong, without the line's content.
func (r *envelopeReader) read(line []byte, e *envelope) error {
	if !utf8.Valid(line) {
		return errNotUTF8
	}
	e.resource, e.hasMeta = line, false
	for _, t := range []*text{&e.resourceType, &e.id, &e.versionID, &e.lastUpdated} {
		t.present = false
	}
	r.buffer = *bytes.NewBuffer(line)
	// UTF-8 is checked above; what AllowInvalidUTF8 adds is lone surrogates in escapes,
	// which RFC 8259 lets be. Duplicate names are kept with the line.
	r.decoder.Reset(&r.buffer, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if r.decoder.PeekKind() != '{' {
		return errNotJSON
	}
	err := r.object(func(name string) error {
		switch name {
		case "resourceType":
			return r.text(&e.resourceType)
		case "id":
			return r.text(&e.id)
		case "meta":
			if r.decoder.PeekKind() != '{' {
				return r.decoder.SkipValue()
			}
			e.hasMeta = true
			return r.object(func(name string) error {
				switch name {
				case "versionId":
					return r.text(&e.versionID)
				case "lastUpdated":
					return r.text(&e.lastUpdated)
				}
				return r.decoder.SkipValue()
			})
		}
		return r.decoder.SkipValue()
	})
	if err != nil {
		return errNotJSON
	}
	if _, err := r.decoder.ReadToken(); err != io.EOF {
		return errNotJSON
	}
	switch {
	case !e.resourceType.present:
		return errNoType
	case !typeName(e.resourceType.bytes):
		return errTypeName
	}
	return nil
}

// object reads an object, calling member for each name; member reads the value.
func (r *envelopeReader) object(member func(name string) error) error {
	if _, err := r.decoder.ReadToken(); err != nil {
		return err
	}
	for r.decoder.PeekKind() != '}' {
		name, err := r.decoder.ReadToken()
		if err != nil {
			return err
		}
		if err := member(name.String()); err != nil {
			return err
		}
	}
	_, err := r.decoder.ReadToken()
	return err
}

// text reads a string into t; a value of another kind is skipped.
func (r *envelopeReader) text(t *text) error {
	if r.decoder.PeekKind() != '"' {
		return r.decoder.SkipValue()
	}
	v, err := r.decoder.ReadValue()
	if err != nil {
		return err
	}
	// The error is about lone surrogates, which come out as U+FFFD; the line keeps them.
	t.bytes, _ = jsontext.AppendUnquote(t.bytes[:0], v)
	t.present = true
	return nil
}

// typeName says whether a resourceType can be one: it becomes part of paths.
func typeName(b []byte) bool {
	if len(b) == 0 || len(b) > 64 || b[0] < 'A' || b[0] > 'Z' {
		return false
	}
	for _, c := range b {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
