// Package pipeline brings one feed up to date: it starts the feed's exports, streams
// their output files through a pool of workers into staged parts, reconciles the
// counts, publishes all parts or none, and moves the feed's watermark.
//
// The common path:
//
//	report, err := pipeline.Run(ctx, pipeline.Options{
//		Feed:   pipeline.Feed{Name: "members", Source: "bison", Request: bulk.Request{…}},
//		Server: client, // *bulk.Client
//		Sink:   dir,    // *sink.Dir or *sink.S3
//	})
//
// The report is never nil. If err is not nil, it covers what the run got done.
//
// A run may be killed at any instant. Its ledger says what it has durably done, and the
// feed's next Run goes on from there, with the same export at the server.
//
// Package lake reads, checks and cleans up what is already published.
package pipeline

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/columnar"
	"fhirkiln/pipeline/lake"
	"fhirkiln/sink"
)

// Server is the Bulk Data server that a feed comes from; [Client] makes one from a
// [*bulk.Client]. Each method retries internally whatever is worth retrying, so an error is
// final for the run. A KickOff whose ctx ends still returns the job if the server starts it
// within a short time. Open is called from many goroutines at once, the other methods from
// one at a time.
type Server interface {
	Opener
	Groups(ctx context.Context, search string) ([]string, error)
	KickOff(ctx context.Context, r bulk.Request) (bulk.Job, error)
	Refresh(ctx context.Context, m *bulk.Manifest) (*bulk.Manifest, error)
	Wait(ctx context.Context, job bulk.Job, each func(bulk.Progress)) (*bulk.Manifest, error)
	Issues(ctx context.Context, m *bulk.Manifest, f bulk.File, each func(bulk.Issue), failed func(entry []byte) error) error
	Delete(ctx context.Context, job bulk.Job) error
}

// Opener opens output files. [Server] and [*Files] implement it.
type Opener interface {
	Open(ctx context.Context, m *bulk.Manifest, f bulk.File) (Stream, error)
}

// Stream is an output file that gives each byte once or fails; [*bulk.Stream] is one. Stats
// describes what has been read so far; it is called between reads and after [io.EOF].
type Stream interface {
	io.ReadCloser
	Stats() bulk.StreamStats
}

// Client makes a [Server] from a client: nil from nil.
func Client(c *bulk.Client) Server {
	if c == nil {
		return nil
	}
	return client{c}
}

type client struct{ *bulk.Client }

func (c client) Open(ctx context.Context, m *bulk.Manifest, f bulk.File) (Stream, error) {
	s, err := c.Client.Open(ctx, m, f)
	if err != nil {
		return nil, err // not a Stream that holds a nil pointer
	}
	return s, nil
}

// Sink is where parts go, by way of staging; [*sink.Dir] and [*sink.S3] implement it. All
// methods are called from many goroutines. All but Stage are idempotent.
//
// A type that decorates a [*sink.Dir] should forward Lock too; see [ledger.Locker].
type Sink interface {
	lake.Store
	Stage(ctx context.Context, key string) (sink.Staging, error)
	Confirm(ctx context.Context, r sink.Receipt) error
	Publish(ctx context.Context, r sink.Receipt) error
	Abort(ctx context.Context, r sink.Receipt) error
}

// Feed is one thing that is kept in sync, identified by its name, source and purpose.
// Everything else may change from run to run.
type Feed struct {
	Name    string // [a-z][a-z0-9-]*
	Source  string // the same; part of every key, since ids of two sources collide
	Purpose string // goes into the report

	// Base is the FHIR base URL of the source's server, to notice when it changes: the watermarks
	// of one server mean nothing to another. "" means unknown, and goes with any server.
	Base string

	// Request is what to ask for. Its Since applies to types without a watermark; its Group
	// is not used.
	Request bulk.Request

	// DeltaType is sent as exportType instead of Request.ExportType in exports whose _since
	// is not Request.Since (PDex: provider-delta). Default: Request.ExportType.
	DeltaType string

	// Groups are the groups to export at level Group, one export after another. Their
	// patients may change; a run finds out who is new.
	Groups []string

	// GroupSearch finds the groups at the start of each run if Groups is empty:
	// "Group?identifier=…". No match fails the run.
	GroupSearch string

	// Overlap is how far before the watermark a run asks, for servers that commit late.
	// Resources then arrive again; the current state has each once.
	Overlap time.Duration

	// FullEvery is how often everything is exported again, which makes up for changes that
	// the server failed to report. 0 means never.
	FullEvery time.Duration

	// IgnoreNewMembers leaves it to the server to send the history of patients who are new
	// in a group. By default the run asks for it, since a server need not send what has not
	// changed since the watermark.
	IgnoreNewMembers bool

	// Keep says which published runs stay live. The others are dropped when another run is
	// published, or by [GC]. If a full run has fewer resources of a type than are live, by more
	// than a tenth and more than two, or has none of them, no run is dropped, and the run ends
	// with a [*PartialError]. A second run with Options.Full that finds no less is taken at its
	// word.
	Keep lake.Retention

	// Retire makes resources that a full run lacks count as deleted from its transactionTime
	// on. The run publishes tombstones for resources that are current from earlier runs with
	// the same filters, groups and types, but that it does not have itself. It does so only
	// if the server reported no errors and nothing is in quarantine. If more than a tenth and
	// more than two of a type would go, or all of them, nothing is retired, and the run ends
	// with a [*PartialError]. Retiring takes 8 bytes of memory for each resource of the largest
	// type, and about 40 for each that is gone or was deleted. Without Retire, absence never
	// deletes anything.
	Retire bool

	// IDSpaces maps the names of feeds to their id spaces, where these are not named after
	// the source, as in package views. What another feed in the same id space still has is
	// not retired.
	IDSpaces map[string]string

	// MaxErrors is how many errors the server may report without holding back the
	// watermark. If there are more, it stays, so that the next run asks again. Default 0.
	MaxErrors int64
}

// Options say what to run. Feed, Server and Sink are required.
type Options struct {
	Feed   Feed
	Server Server
	Sink   Sink
	State  Sink // where ledgers, feed objects and quarantine are kept; default: Sink

	// Fresh throws away an unfinished run instead of resuming it.
	Fresh bool

	// Full exports everything, whatever the watermark. If the filters have changed, it also
	// begins a new watermark.
	Full bool

	// KeepJob says what happens to the server's export after publishing.
	KeepJob KeepJob

	// ExportDeadline is how long after its kick-off an export may take to be ready, however
	// many runs have waited for it. One that takes longer is given up, and the next run
	// starts another. 0 means as long as the server's Wait waits.
	ExportDeadline time.Duration

	// Turn, if not nil, is for servers that allow only so many exports at once, over all
	// feeds. It is called before a run starts its first export or resumes one, and waits
	// until the run may have exports at the server, one after another. The run calls done
	// when it has ended, and its exports are deleted or kept for the next Run. The flag there
	// says that a resumed run may already have exports at the server: Turn must then not wait
	// for other runs, which may be waiting for those exports to go. An error ends the run.
	Turn func(ctx context.Context, there bool) (done func(), err error)

	// LeaseTTL is how long a process may be silent before another may take over, in a store
	// that cannot tell whether a process is alive. Default 1 minute.
	LeaseTTL time.Duration

	// Holder tells other processes who is at work. Default: host name and process id.
	Holder string

	// Workers is how many output files are fetched and converted at once. Default 4: a
	// worker waits for the network about as long as it computes, so a few more workers than
	// cores keep both busy, and servers commonly allow that many.
	Workers int

	// Cores are the machine's cores, shared by all runs of this process. Each worker takes
	// one; cores that no worker uses help with the others' files. Default:
	// [runtime.GOMAXPROCS] cores.
	Cores *columnar.Cores

	// PartBytes is the Parquet size at which a part is closed and the next one begun.
	// Default: columnar's.
	PartBytes int64

	// RowGroupBytes is how much NDJSON goes into one row group. Each worker, and each core
	// that helps it, holds one in memory, in half as many bytes. Default: 256 MiB, but at most
	// 512 MiB over all cores and 384 MiB over all workers, so that memory does not grow with
	// either; beyond 32 cores it does, by 16 MiB for each. The default is lower for small
	// parts, since a part is closed only between row groups.
	RowGroupBytes int64

	// Parquet says how parts are encoded. Default: columnar's.
	Parquet Parquet

	// MaxLine is the maximum length of an NDJSON line in bytes; longer lines go to
	// quarantine. Default: columnar's.
	MaxLine int

	// MaxQuarantined is the share of a type's lines, 0 to 1, that may go to quarantine
	// before the run fails with a [*QualityError]. Default 0.001; negative allows none.
	MaxQuarantined float64

	// Now is the clock that names runs, dates what is kept of them, and tells when a full
	// run is due and an export overdue. Leases and all other time limits go by the machine's
	// own clock. Default [time.Now].
	Now func() time.Time

	// Log gets a line for each step. Nil discards them.
	Log *slog.Logger

	// Progress, if not nil, is kept up to date during the run.
	Progress *Progress
}

// KeepJob says whether an export stays at the server once its rows are published.
type KeepJob string

// What happens to the server's export.
const (
	KeepForAttachments KeepJob = ""       // deleted, unless published rows hold URLs of attachments at the server
	KeepNever          KeepJob = "never"  // deleted
	KeepAlways         KeepJob = "always" // kept until the server's own time limit
)

// lake is where the feed publishes.
func (o Options) lake() lake.Lake { return lake.Lake{Parts: o.Sink, State: o.State} }

// check returns an error for options that no run can do with.
func (o Options) check() error {
	if o.Sink == nil {
		return errors.New("a run needs Options.Sink")
	}
	return o.Parquet.check()
}

func (o Options) withDefaults() Options {
	if o.State == nil {
		o.State = o.Sink
	}
	if o.Workers <= 0 {
		o.Workers = 4
	}
	if o.Cores == nil {
		o.Cores = columnar.NewCores(runtime.GOMAXPROCS(0))
	}
	if o.RowGroupBytes == 0 {
		cores := int64(runtime.GOMAXPROCS(0))
		o.RowGroupBytes = min(256<<20, 384<<20/int64(o.Workers), max(512<<20/cores, 16<<20))
		if o.PartBytes > 0 {
			// Parquet takes a tenth of the NDJSON's size or less, except for inline attachments.
			o.RowGroupBytes = min(o.RowGroupBytes, 4*o.PartBytes)
		}
	}
	o.MaxQuarantined = max(cmp.Or(o.MaxQuarantined, 0.001), 0)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	return o
}
