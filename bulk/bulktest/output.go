package bulktest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/klauspost/compress/gzip"
)

// output is one file of a job, as listed in the manifest.
type output struct {
	File
	keep  *filter // nil: everything, byte for byte
	name  string  // last element of its URL
	lines int     // set by count
}

// count determines how many lines the output will have. It reads the file only if it must.
func (o *output) count(ctx context.Context) error {
	if o.keep == nil && o.known() >= 0 {
		o.lines = o.known()
		return nil
	}
	err := o.each(ctx, func([]byte) error { o.lines++; return nil })
	if err != nil {
		return fmt.Errorf("%s: %w", o.name, err)
	}
	if o.keep == nil && o.counted != nil {
		o.counted.Store(int64(o.lines) + 1)
	}
	return nil
}

// each visits the exported lines, as changed by the filter, without newlines. It skips blank
// lines.
func (o *output) each(ctx context.Context, visit func(line []byte) error) error {
	r, err := o.Open()
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	defer r.Close()
	for lines := newLineReader(r); ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && o.keep != nil {
			line, err = o.keep.apply(line)
			if err != nil {
				err = fmt.Errorf("line %d: %w", lines.number, err)
			}
			if line == nil && err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		if err := visit(line); err != nil {
			return err
		}
	}
}

// writeTo writes the output to w. Without a filter it copies the file.
func (o *output) writeTo(ctx context.Context, w io.Writer) error {
	if o.keep == nil {
		r, err := o.Open()
		if err != nil {
			return fmt.Errorf("opening: %w", err)
		}
		defer r.Close()
		_, err = io.Copy(w, r)
		return err
	}
	buffered := bufio.NewWriterSize(w, 64<<10)
	err := o.each(ctx, func(line []byte) error {
		_, _ = buffered.Write(line) // an error sticks
		return buffered.WriteByte('\n')
	})
	if err != nil {
		return err
	}
	return buffered.Flush()
}

// file answers with an output file.
func (s *Server) file(w http.ResponseWriter, r *http.Request) error {
	if s.o.OpenFiles || s.atStorage(r) {
		if r.Header.Get("Authorization") != "" {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusBadRequest)
			_, err := io.WriteString(w, oneAuthMechanism)
			return err
		}
	} else if err := s.authorize(r); err != nil {
		return err
	}
	j, err := s.jobs.find(r.PathValue("job"))
	if err != nil {
		return err
	}
	o := j.file(r.PathValue("file"))
	if o == nil {
		return refuse(http.StatusNotFound, "not-found", "the export has no such file")
	}
	if err := s.expired(j); err != nil {
		return err
	}

	w.Header().Set("Content-Type", "application/fhir+ndjson")
	w.Header().Set("Vary", "Accept-Encoding")
	if !listed(r.Header, "Accept-Encoding", "gzip", "*") {
		return o.writeTo(r.Context(), w)
	}
	w.Header().Set("Content-Encoding", "gzip")
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if err := o.writeTo(r.Context(), z); err != nil {
		return err // without Close, which would make half a file look whole
	}
	return z.Close()
}

// oneAuthMechanism is S3's answer to a presigned URL with an Authorization header.
const oneAuthMechanism = `<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, ` +
	`Signature query string parameter or the Authorization header should be specified</Message>` +
	`<ArgumentName>Authorization</ArgumentName></Error>
`
