package pipeline

import (
	"errors"
	"fmt"
	"strings"

	"fhirkiln/transport"
)

// ErrGiveUp is for the cause of a canceled context: the user does not want the run any
// more. What is staged is thrown away and the server's export deleted. A run whose
// context ends for any other cause is kept, and the next Run resumes it.
var ErrGiveUp = errors.New("the run is given up")

// CountError says that an output file does not hold what the manifest said of it. A
// [FileError] around it says which.
type CountError struct {
	Manifest, Found int64 // resources
}

func (e *CountError) Error() string {
	return fmt.Sprintf("it holds %d resources, but the manifest says %d: the export is not complete", e.Found, e.Manifest)
}

// WindowError says that it takes too much memory to unpack a file.
type WindowError struct{ Err error }

func (e *WindowError) Error() string {
	return fmt.Sprintf("it cannot be unpacked: its zstd window is larger than %d MiB", zstdWindow>>20)
}

func (e *WindowError) Unwrap() error { return e.Err }

// BrokenFileError says that a file cannot be unpacked, or that it breaks off within a line: it was
// cut where nothing else tells. A [FileError] around it says which.
type BrokenFileError struct {
	Err error
}

func (e *BrokenFileError) Error() string { return e.Err.Error() }

func (e *BrokenFileError) Unwrap() error { return e.Err }

// ChangedError says that an output file is another one than it was when a part of it
// was converted. A [FileError] around it says which.
type ChangedError struct {
	Bytes int64 // of its begin, that were read before
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("its first %d bytes are not those that a run before this one has converted", e.Bytes)
}

// FileError says which output file a failure is about.
type FileError struct {
	Type string
	URL  string // redacted
	Err  error
}

func (e *FileError) Error() string {
	if _, ok := errors.AsType[*transport.Error](e.Err); ok {
		return e.Err.Error() // says which itself
	}
	return fmt.Sprintf("converting the output file of %s from %s: %v", e.Type, e.URL, e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

// PartialError says that all rows are published, but not everything of the export is
// among them.
type PartialError struct {
	Run         string
	Report      string // path or URL of the run's report.json
	Issues      int64  // of severity error or fatal, in the server's own error files
	Quarantined int64  // lines that could not become rows

	// NotRetired is why what the full run lacks still counts as there; see Feed.Retire.
	NotRetired string
}

func (e *PartialError) Error() string {
	var why []string
	if e.Issues > 0 {
		why = append(why, fmt.Sprintf("the server reported %s, so something is missing from its export", amount(e.Issues, "error", "errors")))
	}
	if e.Quarantined > 0 {
		why = append(why, amount(e.Quarantined, "line that is not a FHIR resource is", "lines that are not FHIR resources are")+" in quarantine")
	}
	if e.NotRetired != "" {
		why = append(why, "nothing was retired: "+e.NotRetired)
	}
	return "the rows are published, but " + strings.Join(why, ", and ")
}

func amount(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// QualityError says that more lines of a type are no FHIR resources than the feed
// allows for. What is staged of an export is kept: with a higher limit the next run publishes
// it.
type QualityError struct {
	Type               string
	Quarantined, Lines int64
	Allowed            float64 // share of the lines
	First              string  // reason and place of the first one
	Kept               bool    // what was fetched is
}

func (e *QualityError) Error() string {
	return fmt.Sprintf("%d of %d lines of %s are not FHIR resources, more than the %g %% that are allowed; the first: %s",
		e.Quarantined, e.Lines, e.Type, e.Allowed*100, e.First)
}

// FilterError says that a feed asks for something else than its watermark is about.
type FilterError struct {
	Feed    string
	Changed []string // what is asked for in another way now: "level", "elements" …
}

func (e *FilterError) Error() string {
	return fmt.Sprintf("feed %s asks for something else than before (%s changed), so that an export of what has changed since its last run would leave gaps",
		e.Feed, strings.Join(e.Changed, ", "))
}

// aboutTheExport says whether err comes of the server's export itself, so that going
// on with it will fail again, while another export may not. A certificate that has expired, a
// redirect or a page of a proxy's are not: the export goes on behind them.
func aboutTheExport(err error) bool {
	var (
		exchange *transport.Error
		count    *CountError
		changed  *ChangedError
		damaged  *BrokenFileError
		quality  *QualityError
		gone     *stagingGoneError
	)
	switch {
	case errors.As(err, &count), errors.As(err, &changed), errors.As(err, &damaged), errors.As(err, &quality), errors.As(err, &gone):
		return true
	case errors.As(err, &exchange):
		return exchange.Kind == transport.Refused || exchange.Kind == transport.Broken
	}
	return false
}

// stagingGoneError says that parts which were staged are not there any more.
type stagingGoneError struct{ err error }

func (e *stagingGoneError) Error() string {
	return fmt.Sprintf("parts that were staged are gone: %v", e.err)
}

func (e *stagingGoneError) Unwrap() error { return e.err }
