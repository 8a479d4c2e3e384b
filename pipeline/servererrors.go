package pipeline

import (
	"bytes"
	"context"
	"errors"

	"fhirkiln/bulk"
	"fhirkiln/pipeline/lake"
	"fhirkiln/sink"
)

// readIssues counts the issues in the export's error files. It keeps the entries that say that
// something is missing: once the export is deleted, nothing else tells which patients they are
// about.
func (r *run) readIssues(ctx context.Context, x *export) error {
	if x.issuesRead() {
		return nil
	}
	kept := &serverErrors{run: r}
	issues, err := kept.read(ctx, x)
	if err != nil {
		return errors.Join(err, cleanUp(ctx, kept.abort))
	}
	news := []entry{{Issues: &exportIssues{Export: x.index, Issues: issues}}}
	if kept.staging != nil {
		receipt, err := kept.staging.Finish(ctx)
		if err != nil {
			return errors.Join(err, cleanUp(ctx, kept.abort))
		}
		news = append(news, entry{Staged: &staged{Export: x.index, Quarantine: []sink.Receipt{receipt}}})
	}
	return r.journal.add(ctx, news...)
}

// serverErrors is a file of entries from the server's error files. It is staged, published and
// thrown away as quarantine files are, beside which it lies: it may name patients.
type serverErrors struct {
	*run
	staging sink.Staging // nil until there is an entry
}

// read reads an export's error files. It adds the entries that say that something is missing, and
// counts all issues.
func (e *serverErrors) read(ctx context.Context, x *export) (issues lake.Issues, err error) {
	for _, f := range x.complete.Errors {
		err := e.Server.Issues(ctx, x.manifest, f, func(i bulk.Issue) { issues.Add(issueOf(i)) },
			func(entry []byte) error { return e.add(ctx, entry) })
		if err != nil {
			return nil, err
		}
	}
	return issues, nil
}

// add writes an entry as one line. Line breaks in valid JSON are white space between its tokens.
func (e *serverErrors) add(ctx context.Context, entry []byte) error {
	if e.staging == nil {
		staging, err := e.stage(ctx, lake.ServerErrorsKey(e.id, e.fileName("e")))
		if err != nil {
			return err
		}
		e.staging = staging
	}
	line := append(bytes.Clone(entry), '\n')
	for i, c := range entry {
		if c == '\n' || c == '\r' {
			line[i] = ' '
		}
	}
	_, err := e.staging.Write(line)
	return err
}

func (e *serverErrors) abort(ctx context.Context) error {
	if e.staging == nil {
		return nil
	}
	return e.staging.Abort(ctx)
}
