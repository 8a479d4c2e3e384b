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
// The report is there, as far as it goes, also when err is not nil.
//
// A run may be killed at any instant. What it has durably done stands in its ledger;
// the next Run of the feed goes on from there, at the same export of the server.
//
// What is published already is package lake's: how it is read, checked and cleaned up.
package pipeline

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"runtime"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/columnar"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// Server is the Bulk Data server that a feed comes from; [Client] makes one of a
// [*bulk.Client]. Each method retries inside what is worth retrying, so that an error
// is final for the run. A KickOff whose ctx ends still returns the job, if the server starts it
// within a short time. Open is called from many goroutines, the others from one.
type Server interface {
	Opener
	Groups(ctx context.Context, search string) ([]string, error)
	KickOff(ctx context.Context, r bulk.Request) (bulk.Job, error)
	Refresh(ctx context.Context, m *bulk.Manifest) (*bulk.Manifest, error)
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

// Sink is where parts go, by way of staging; [*sink.Dir] and [*sink.S3] are. All methods are
// called from many goroutines, and are idempotent but for Stage.
type Sink interface {
	lake.Store
	Stage(ctx context.Context, key string) (sink.Staging, error)
	Confirm(ctx context.Context, r sink.Receipt) error
	Publish(ctx context.Context, r sink.Receipt) error
	Abort(ctx context.Context, r sink.Receipt) error
}

// State is where ledgers, feeds' objects and quarantine are kept; every [Sink] of
// package sink is one.
type State interface {
	Sink
	ledger.Store
}

// Feed is one thing that is kept in sync: what its name, source and purpose say. All
// else may change from run to run.
type Feed struct {
	Name    string // [a-z][a-z0-9-]*
	Source  string // the same; part of every key, since ids of two sources collide
	Purpose string // goes into the report

	// Request is what to ask for. Its Since is for types that have no watermark; its Group
	// is not used.
	Request bulk.Request

	// DeltaType is sent as exportType in place of Request.ExportType where _since is sent
	// (PDex: provider-delta). "" is the same one.
	DeltaType string

	// Groups are the groups to export, for level Group: one export after the other. In
	// which groups patients are may change; who is new in them is found out.
	Groups []string

	// GroupSearch finds the groups where Groups has none, at each run's start:
	// "Group?identifier=…". No match fails the run.
	GroupSearch string

	// Overlap is how much further back than the watermark a run asks, for servers that
	// commit late. Resources then come again; the current state has each once.
	Overlap time.Duration

	// FullEvery is how often everything is exported again, which heals what a server has
	// forgotten to tell. 0 is never.
	FullEvery time.Duration

	// IgnoreNewMembers leaves it to the server to send the history of patients that are
	// new in a group. By default it is asked for: a server need not send what did not
	// change since the watermark.
	IgnoreNewMembers bool

	// Keep says which published runs stay live. Others are dropped after another was
	// published, or by [GC].
	Keep lake.Retention

	// Retire makes what a full run lacks count as deleted from its transactionTime on: the
	// run publishes tombstones for what is current of earlier runs with the same filters,
	// groups and types, and is not in it. It does so only where the server reported no
	// error and nothing is in quarantine, and not at all if more than a tenth of a type
	// would go; the run then ends with a [*PartialError]. It takes memory of 8 bytes for
	// each resource of the largest type, and some 40 for each that is gone or was deleted.
	// Without it, absence never deletes anything.
	Retire bool

	// IDSpaces are the id spaces of feeds, by name, where they are not the source's name, as in
	// views: what another feed of the same one still has is not retired.
	IDSpaces map[string]string

	// MaxErrors is how many errors the server may report before the watermark stays, so
	// that the next run asks again. Default 0.
	MaxErrors int64
}

// Options say what to run. Feed, Server and Sink are required.
type Options struct {
	Feed   Feed
	Server Server
	Sink   Sink
	State  State // default: the Sink, if it is one

	// Fresh throws an unfinished run away instead of going on with it.
	Fresh bool

	// Full exports everything, whatever the watermark. Together with changed filters it
	// begins a new watermark.
	Full bool

	// KeepJob says what becomes of the server's export after publishing.
	KeepJob KeepJob

	// ExportDeadline is how long after its kick-off an export may take to be ready, however
	// many runs have waited for it. One that takes longer is given up: the next run starts
	// another. 0: as long as the server's Wait waits.
	ExportDeadline time.Duration

	// Turn, if not nil, is asked before a run's first export, or before going on with one. It
	// returns when the run may have exports at the server, one after the other, and what is
	// called when the run has ended and the server was told to delete them: for servers that
	// allow only so many exports at once, of all feeds together. A run that goes on may have
	// exports there already. It must then not wait for other runs, which may wait for those to
	// go. An error ends the run.
	Turn func(ctx context.Context, there bool) (done func(), err error)

	// LeaseTTL is after how long of silence another process may take over, in a store that
	// does not know whether a process lives. Default 1 minute.
	LeaseTTL time.Duration

	// Holder is how others are told who is at work. Default: host name and process id.
	Holder string

	// Workers is how many output files are fetched and converted at once. Default 4: a
	// worker waits for the network about as long as it computes, so that a few more of
	// them than cores keep both busy, and servers commonly allow as many.
	Workers int

	// Cores are the machine's, which runs of one process at the same time share: a core for
	// each worker, and those that no worker uses for the files of others. Default: as many
	// as [runtime.GOMAXPROCS] says.
	Cores *columnar.Cores

	// PartBytes is the size of Parquet at which a part is closed and the next one
	// begun. Default: columnar's.
	PartBytes int64

	// RowGroupBytes is the NDJSON that goes into one row group, which each worker, and each
	// core that helps it, has in memory, in half as many bytes. Default: 256 MiB, or as much
	// as makes 512 MiB for all cores or 384 MiB for all workers, since memory shall not grow
	// with them; on machines of more than 32 cores it does, by 16 MiB each. Less for small
	// parts, which are closed between row groups only.
	RowGroupBytes int64

	// Parquet says how parts are encoded. Default: columnar's.
	Parquet Parquet

	// MaxLine is how long an NDJSON line may be, in bytes; longer ones go to quarantine.
	// Default: columnar's.
	MaxLine int

	// MaxQuarantined is the share of a type's lines that may go to quarantine, 0 to 1,
	// before the run fails with a [*QualityError]. Default 0.001; negative allows none.
	MaxQuarantined float64

	// Now is the clock: it names runs, dates what is kept of them, and tells when a full
	// run is due. Leases and time limits go by the machine's own. Default [time.Now].
	Now func() time.Time

	// Log gets a line for each step. Nil discards them.
	Log *slog.Logger

	// Progress is kept up to date during the run. Nil keeps none.
	Progress *Progress
}

// KeepJob says whether the server's export stays there when its rows are published.
type KeepJob string

// What becomes of the server's export.
const (
	KeepForAttachments KeepJob = ""       // deleted, unless published rows hold URLs of attachments at the server
	KeepNever          KeepJob = "never"  // deleted
	KeepAlways         KeepJob = "always" // the server's own time limit ends it
)

// lake is where the feed publishes.
func (o Options) lake() lake.Lake { return lake.Lake{Parts: o.Sink, State: o.State} }

func (o Options) withDefaults() Options {
	if o.State == nil {
		o.State, _ = o.Sink.(State)
	}
	o.Workers = cmp.Or(o.Workers, 4)
	if o.Cores == nil {
		o.Cores = columnar.NewCores(runtime.GOMAXPROCS(0))
	}
	if o.RowGroupBytes == 0 {
		cores := int64(runtime.GOMAXPROCS(0))
		o.RowGroupBytes = min(256<<20, 384<<20/int64(o.Workers), max(512<<20/cores, 16<<20))
		if o.PartBytes > 0 {
			// NDJSON becomes Parquet of a tenth of its size and less, but for attachments in line.
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
