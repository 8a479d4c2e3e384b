package pipeline

import (
	"errors"
	"fmt"
	"strings"

	"fhirkiln/transport"
)

// ErrGiveUp, as the cause of a canceled context, says that the user no longer wants the run:
// what is staged is thrown away, and the server's export is deleted. A run whose context ends
// for any other cause is kept, and the next Run resumes it.
var ErrGiveUp = errors.New("the run is given up")

// CountError reports that an output file does not hold as many resources as the manifest says.
// The [FileError] around it names the file.
type CountError struct {
	Manifest, Found int64 // resources
}

func (e *CountError) Error() string {
	return fmt.Sprintf("it holds %d resources, but the manifest says %d: the export is incomplete", e.Found, e.Manifest)
}

// WindowError reports that unpacking a file takes too much memory.
type WindowError struct{ Err error }

func (e *WindowError) Error() string {
	return fmt.Sprintf("it cannot be decompressed: its zstd window is larger than %d MiB", zstdWindow>>20)
}

func (e *WindowError) Unwrap() error { return e.Err }

// BrokenFileError reports that a file cannot be unpacked, or that it breaks off within a line:
// it was cut, and nothing else shows it. The [FileError] around it names the file.
type BrokenFileError struct {
	Err error
}

func (e *BrokenFileError) Error() string { return e.Err.Error() }

func (e *BrokenFileError) Unwrap() error { return e.Err }

// ChangedError reports that an output file has changed since its beginning was converted. The
// [FileError] around it names the file.
type ChangedError struct {
	Bytes int64 // length of the beginning that was read before
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("its first %d bytes differ from those that an earlier run converted", e.Bytes)
}

// FileError names the output file that a failure is about.
type FileError struct {
	Type string
	URL  string // redacted
	Err  error
}

func (e *FileError) Error() string {
	if _, ok := errors.AsType[*transport.Error](e.Err); ok {
		return e.Err.Error() // it names the file itself
	}
	return fmt.Sprintf("converting the output file %s (%s): %v", e.URL, e.Type, e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

// PartialError reports that all rows are published, but the server reported errors, lines are in
// quarantine, too much would have been retired, or the export may not have been whole.
type PartialError struct {
	Run         string
	Report      string // path or URL of the run's report.json
	Issues      int64  // of severity error or fatal, in the server's own error files
	Quarantined int64  // lines that could not become rows

	// ServerErrors is the path or URL of the first of the files that say which those Issues are,
	// "" if there is none.
	ServerErrors string

	// NotRetired is why what the full run lacks still counts as there, "" if nothing was
	// refused; see Feed.Retire.
	NotRetired string

	// OlderKept is why the older runs stay live after a full run, "" if that was not in question;
	// see Feed.Keep.
	OlderKept string
}

func (e *PartialError) Error() string {
	var why []string
	if e.Issues > 0 {
		why = append(why, fmt.Sprintf("the server reported %s, so its export is incomplete", amount(e.Issues, "error", "errors")))
	}
	if e.Quarantined > 0 {
		why = append(why, amount(e.Quarantined, "line that is not a FHIR resource is", "lines that are not FHIR resources are")+" in quarantine")
	}
	if e.NotRetired != "" {
		why = append(why, "nothing was retired: "+e.NotRetired)
	}
	if e.OlderKept != "" {
		why = append(why, "the older runs stay live: "+e.OlderKept)
	}
	return "the rows are published, but " + strings.Join(why, ", and ")
}

func amount(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// QualityError reports that more lines of a type are not FHIR resources than the limit allows.
// What is staged of an export is kept: with a higher limit, the next run publishes it.
type QualityError struct {
	Type               string
	Quarantined, Lines int64
	Allowed            float64 // share of the lines
	First              string  // reason and place of the first bad line
	Kept               bool    // whether what was fetched is kept
}

func (e *QualityError) Error() string {
	return fmt.Sprintf("%d of %d lines of %s are not FHIR resources, more than the %g%% allowed; the first: %s",
		e.Quarantined, e.Lines, e.Type, e.Allowed*100, e.First)
}

// FilterError reports that a feed asks for something other than its watermark is about.
type FilterError struct {
	Feed    string
	Changed []string // what is asked for differently now: "level", "elements" …
}

func (e *FilterError) Error() string {
	return fmt.Sprintf("feed %s asks for something other than before (%s changed), so exporting only what has changed since its last run would leave gaps",
		e.Feed, strings.Join(e.Changed, ", "))
}

// OtherServerError reports that the base URL of a feed's server is not the one that its watermark
// is about.
type OtherServerError struct {
	Feed string
	Was  string // the host
	Is   string // the base URL, redacted
}

func (e *OtherServerError) Error() string {
	return fmt.Sprintf("feed %s now exports from %s, but its watermark is for another base URL, on %s, so exporting only what has changed since its last run would leave gaps",
		e.Feed, e.Is, e.Was)
}

// aboutTheExport reports whether err comes from the server's export itself, so that resuming it
// will fail again while another export may not. An expired certificate, a redirect or a proxy's
// page does not: the export goes on behind it.
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

// stagingGoneError reports that parts which were staged are no longer there.
type stagingGoneError struct{ err error }

func (e *stagingGoneError) Error() string {
	return fmt.Sprintf("staged parts are gone: %v", e.err)
}

func (e *stagingGoneError) Unwrap() error { return e.err }
