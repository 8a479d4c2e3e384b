// Package pipeline brings one feed up to date: it starts the feed's exports, streams
// their output files through a pool of workers into staged parts, reconciles the
// counts, and publishes all parts or none.
//
// The common path:
//
//	report, err := pipeline.Run(ctx, pipeline.Options{
//		Feed:   pipeline.Feed{Name: "members", Source: "bison", Exports: []bulk.Request{…}},
//		Server: client, // *bulk.Client
//		Sink:   dir,    // *sink.Dir
//	})
//
// The report is there, as far as it goes, also when err is not nil.
package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/sink"
	"fhirkiln/transport"
)

// Server is the Bulk Data server that a feed comes from; [Client] makes one of a
// [*bulk.Client]. Each method retries inside what is worth retrying, so that an error
// is final for the run. Open is called from many goroutines, the others from one.
type Server interface {
	Opener
	KickOff(ctx context.Context, r bulk.Request) (bulk.Job, error)
	Wait(ctx context.Context, job bulk.Job, each func(bulk.Progress)) (*bulk.Manifest, error)
	Issues(ctx context.Context, m *bulk.Manifest, f bulk.File, each func(bulk.Issue)) error
	Delete(ctx context.Context, job bulk.Job) error
}

// Opener opens output files; a [Server] is one, and so are [Files].
type Opener interface {
	Open(ctx context.Context, m *bulk.Manifest, f bulk.File) (Stream, error)
}

// Stream is an output file that gives each byte once or fails; [*bulk.Stream] is one.
// Stats is asked for after [io.EOF].
type Stream interface {
	io.ReadCloser
	Stats() bulk.StreamStats
}

// Client makes a [Server] of a client.
func Client(c *bulk.Client) Server { return client{c} }

type client struct{ *bulk.Client }

func (c client) Open(ctx context.Context, m *bulk.Manifest, f bulk.File) (Stream, error) {
	s, err := c.Client.Open(ctx, m, f)
	if err != nil {
		return nil, err // not a Stream that holds a nil pointer
	}
	return s, nil
}

// Sink is where parts go; [*sink.Dir] is one. Stage is called from many goroutines,
// the others from one at a time. Publish and Abort are idempotent.
type Sink interface {
	Stage(ctx context.Context, key string) (sink.Staging, error)
	Publish(ctx context.Context, r sink.Receipt) error
	Abort(ctx context.Context, r sink.Receipt) error
	Put(ctx context.Context, key string, content []byte) error
}

// Feed is one thing that is kept in sync.
type Feed struct {
	Name    string // [a-z][a-z0-9-]*
	Source  string // the same; part of every key, since ids of two sources collide
	Purpose string // goes into the report

	// Exports are kicked off one after another, in this order: one for each group.
	Exports []bulk.Request
}

// Options say what to run. Feed, Server and Sink are required.
type Options struct {
	Feed   Feed
	Server Server
	Sink   Sink

	// Workers is how many output files are fetched and converted at once. Default 4: a
	// worker waits for the network about as long as it computes, so that a few more of
	// them than cores keep both busy, and servers commonly allow as many.
	Workers int

	// PartBytes is the size of Parquet at which a part is closed and the next one
	// begun. Default: columnar's.
	PartBytes int64

	// MaxLine is how long an NDJSON line may be, in bytes; longer ones go to quarantine.
	// Default: columnar's.
	MaxLine int

	// MaxQuarantined is the share of a type's lines that may go to quarantine, 0 to 1,
	// before the run fails with a [*QualityError]. Default 0.001; negative allows none.
	MaxQuarantined float64

	// Log gets a line for each step. Nil discards them.
	Log *slog.Logger

	// Progress is kept up to date during the run. Nil keeps none.
	Progress *Progress
}

// CountError says that an output file does not hold what the manifest said of it. A
// [FileError] around it says which.
type CountError struct {
	Manifest, Found int64 // resources
}

func (e *CountError) Error() string {
	return fmt.Sprintf("it holds %d resources, but the manifest says %d: the export is not complete", e.Found, e.Manifest)
}

// FileError says which output file a failure is about.
type FileError struct {
	Type string
	URL  string // redacted
	Err  error
}

func (e *FileError) Error() string {
	if exchange := (*transport.Error)(nil); errors.As(e.Err, &exchange) {
		return e.Err.Error() // says which itself
	}
	return fmt.Sprintf("converting the output file of %s from %s: %v", e.Type, e.URL, e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

// PartialError says that all rows are published, but not everything of the export is
// among them.
type PartialError struct {
	Issues      int64 // of severity error or fatal, in the server's own error files
	Quarantined int64 // lines that could not become rows
}

func (e *PartialError) Error() string {
	var why []string
	if e.Issues > 0 {
		why = append(why, fmt.Sprintf("the server reported %d errors, so something is missing from its export", e.Issues))
	}
	if e.Quarantined > 0 {
		why = append(why, fmt.Sprintf("%d lines that are not FHIR resources are in quarantine", e.Quarantined))
	}
	return "the rows are published, but " + strings.Join(why, ", and ")
}

// QualityError says that more lines of a type are no FHIR resources than the feed
// allows for.
type QualityError struct {
	Type               string
	Quarantined, Lines int64
	Allowed            float64 // share of the lines
	First              string  // reason and place of the first one
}

func (e *QualityError) Error() string {
	return fmt.Sprintf("%d of %d lines of %s are not FHIR resources, more than the %g %% that are allowed; the first: %s",
		e.Quarantined, e.Lines, e.Type, e.Allowed*100, e.First)
}

// Run brings the feed up to date once. When it fails, nothing of the run is left
// under a published name, but after a [*PartialError]; when the process is killed,
// whole parts at the most are.
//
// Canceling ctx ends it in order; the error is then ctx's cause.
func Run(ctx context.Context, o Options) (*Report, error) {
	r := newRun(o, o.Server)
	report, err := r.complete(ctx, r.exports)
	r.deleteJobs(context.WithoutCancel(ctx))
	return report, err
}

// Convert is a [Run] of files that are here, without a server and its exports.
// Options.Server and Feed.Exports are not used.
func Convert(ctx context.Context, files *Files, o Options) (*Report, error) {
	r := newRun(o, files)
	return r.complete(ctx, func(ctx context.Context) error {
		r.Log.Info("converting", "files", len(files.files))
		return r.convert(ctx, files.manifest())
	})
}

// run is one attempt.
type run struct {
	Options
	id     string
	opener Opener
	jobs   []bulk.Job
	staged stagedParts

	mu     sync.Mutex // held by workers while they write to report
	report *Report
}

func newRun(o Options, opener Opener) *run {
	o.Workers = cmp.Or(o.Workers, 4)
	o.MaxQuarantined = max(cmp.Or(o.MaxQuarantined, 0.001), 0)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	started := time.Now()
	r := &run{Options: o, id: newRunID(started), opener: opener, report: newReport(o.Feed, started)}
	r.report.Run = r.id
	r.Log = o.Log.With("feed", o.Feed.Name, "run", r.id)
	return r
}

// complete stages by way of stage, and publishes all of it or nothing.
func (r *run) complete(ctx context.Context, stage func(context.Context) error) (*Report, error) {
	err := stage(ctx)
	if err == nil {
		err = r.report.quality(r.MaxQuarantined)
	}
	if err == nil {
		err = r.publish(ctx)
	}
	if err != nil {
		r.abort(context.WithoutCancel(ctx))
		r.report.failed(err)
	}
	r.Progress.enter(Done)
	r.report.finish(time.Now())
	if r.report.Status == Partial {
		err = &PartialError{Issues: r.report.errorIssues(), Quarantined: r.report.Quarantined}
	}
	return r.report, err
}

// exports does all of the feed's exports up to staged parts.
func (r *run) exports(ctx context.Context) error {
	for n, request := range r.Feed.Exports {
		r.Progress.enter(Starting)
		log := r.Log.With("export_level", string(request.Level))
		if request.Group != "" {
			log = log.With("group", request.Group)
		}
		log.Info("starting the export", "export", n+1, "of", len(r.Feed.Exports))
		job, err := r.Server.KickOff(ctx, request)
		if err != nil {
			if job.StatusURL != "" {
				r.jobs = append(r.jobs, job) // it runs, though nobody can follow it: to be canceled
			}
			return err
		}
		r.jobs = append(r.jobs, job)
		if job.Adopted {
			log.Info("the server had this export under way already; it is taken over")
		}
		for _, i := range job.Issues { // of handling=lenient: what the server passes over
			r.report.addIssue(i)
		}
		manifest, err := r.wait(ctx, job, log)
		if err != nil {
			return err
		}
		log.Info("the export is complete", "files", len(manifest.Output), "deleted_files", len(manifest.Deleted),
			"error_files", len(manifest.Errors), "transaction_time", manifest.TransactionTimeText)
		if manifest.TransactionTime.IsZero() {
			log.Warn("the server gave no readable transactionTime")
		}
		r.report.addExport(request, manifest)
		if err := r.convert(ctx, manifest); err != nil {
			return err
		}
		if err := r.readIssues(ctx, manifest); err != nil {
			return err
		}
	}
	for _, i := range r.report.Issues {
		r.Log.Warn("the server reports issues with its export", "severity", i.Severity, "code", i.Code, "count", i.Count)
	}
	return nil
}

func (r *run) wait(ctx context.Context, job bulk.Job, log *slog.Logger) (*bulk.Manifest, error) {
	r.Progress.enter(Waiting)
	said := ""
	return r.Server.Wait(ctx, job, func(p bulk.Progress) {
		r.Progress.say(p.Text)
		if p.Text != said { // a line for each poll would fill a night's log
			said = p.Text
			log.Info("the server is working", "progress", p.Text)
		}
	})
}

// readIssues counts what the server's error files tell of.
func (r *run) readIssues(ctx context.Context, m *bulk.Manifest) error {
	for _, f := range m.Errors {
		if err := r.Server.Issues(ctx, m, f, r.report.addIssue); err != nil {
			return err
		}
	}
	return nil
}

// publish makes all staged parts visible, then writes the report beside the run.
func (r *run) publish(ctx context.Context) error {
	r.Progress.enter(Publishing)
	parts := r.staged.all()
	for _, p := range parts {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := r.Sink.Publish(ctx, p.receipt); err != nil {
			return err
		}
		r.report.addPart(p)
	}
	for _, t := range r.report.Types {
		if t.Strays > 0 {
			r.Log.Info("resources came in files of another type; they are with their own", "type", t.Type, "resources", t.Strays)
		}
	}
	r.report.published()
	r.report.finish(time.Now())
	content, err := r.report.JSON()
	if err != nil {
		return err
	}
	if err := r.Sink.Put(ctx, "_fhirkiln/runs/"+r.id+"/report.json", content); err != nil {
		return err
	}
	r.Log.Info("published", "parts", len(r.report.Parts), "resources", r.report.Resources, "quarantined", r.report.Quarantined)
	return nil
}

// abort removes what the run staged or published. What cannot be removed is said.
func (r *run) abort(ctx context.Context) {
	for _, p := range r.staged.all() {
		if err := r.Sink.Abort(ctx, p.receipt); err != nil {
			r.Log.Warn("a part of the failed run is left over", "error", err)
		}
	}
}

// deleteJobs lets the server free its space. A failure is not the run's: several
// servers, 1upHealth's among them, forbid it.
func (r *run) deleteJobs(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, 15*time.Second, errors.New("no answer in time"))
	defer cancel()
	for _, job := range r.jobs {
		if err := r.Server.Delete(ctx, job); err != nil {
			r.Log.Info("the server keeps its export", "error", err)
		}
	}
}
