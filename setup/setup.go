// Package setup turns config.yaml into what the other packages take: clients with their
// credentials, sink and state, and the options of a run. It does what the command line does
// before it calls package pipeline, so that a Go program and the command line can share a
// config and its state.
//
// The common path:
//
//	cfg, err := config.Load("config.yaml", os.LookupEnv)
//	session, err := setup.Open(ctx, cfg, setup.Options{Log: log})
//	defer session.Close()
//	feed, ok := cfg.Feed("members")
//	o, err := session.RunOptions(feed)
//	report, err := pipeline.Run(ctx, o)
//
// [OpenPlaces], [Client], [Feed], [NewTurns] and the other functions are the pieces that a
// session is made of, for programs that need only some of them.
package setup

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/columnar"
	"fhirkiln/config"
	"fhirkiln/pipeline"
	"fhirkiln/transport"
)

// Options hold what the config does not say. The zero value is usable.
type Options struct {
	// UserAgent names the program to servers and stores. Default: fhirkiln.
	UserAgent string

	// Patience says how long to wait for servers.
	Patience Patience

	// Log gets the log lines of everything that is made with these options. Nil discards
	// them.
	Log *slog.Logger
}

// Patience holds the waiting times for servers that config.yaml does not set. Zero fields
// mean the defaults of the packages below; tests wait less.
type Patience struct {
	Header, Stall time.Duration   // see [transport.Options]; Header also bounds requests that are sent once
	Retry         transport.Retry // for files, tokens and requests that change nothing at the server
	Outage        time.Duration   // see [bulk.Poll]
}

func (o Options) withDefaults() Options {
	if o.UserAgent == "" {
		o.UserAgent = "fhirkiln"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Session is an opened config. All runs of a process should share one: the feeds of a source
// then have one client, and so one token, one throttle and one count of exports, and all of
// them share the machine's cores. It is safe for concurrent use.
type Session struct {
	Places

	config  *config.Config
	log     *slog.Logger
	sources map[string]*source
	cores   *columnar.Cores
}

// source is a source of the config.
type source struct {
	config.Source
	client func() (*bulk.Client, error) // created on first use
	turns  *Turns                       // limits the runs with exports at the server
}

// Open opens the sink and the state of a checked config, as [OpenPlaces] does; its errors are
// the store's. It contacts no FHIR server: clients are created by [Session.RunOptions]. The caller
// closes the session when no run uses it any more.
func Open(ctx context.Context, cfg *config.Config, o Options) (*Session, error) {
	o = o.withDefaults()
	places, err := OpenPlaces(ctx, cfg, o)
	if err != nil {
		return nil, err
	}
	s := &Session{Places: places, config: cfg, log: o.Log, sources: map[string]*source{}, cores: columnar.NewCores(runtime.GOMAXPROCS(0))}
	for name, c := range cfg.Sources {
		s.sources[name] = &source{
			Source: c,
			client: sync.OnceValues(func() (*bulk.Client, error) { return Client(c, places.State, o) }),
			turns:  NewTurns(c.Exports),
		}
	}
	return s, nil
}

// exportDeadlines is how many times poll.deadline successive runs wait for one export. Some
// servers take days, and giving up earlier would waste their work.
const exportDeadlines = 7

// RunOptions returns the options for [pipeline.Run] and [pipeline.Cancel] of one of the
// config's feeds. The caller may set more of them, such as Full and Progress. Errors are those
// of [Client], of this feed's source alone. With a config from [config.LoadPlaces], which has no sources, it always fails.
func (s *Session) RunOptions(f config.Feed) (pipeline.Options, error) {
	source, ok := s.sources[f.Source]
	if !ok {
		return pipeline.Options{}, fmt.Errorf("the config has no source %q for the feed %s", f.Source, f.Name)
	}
	client, err := source.client()
	if err != nil {
		return pipeline.Options{}, err
	}
	o := s.UpkeepOptions(Feed(s.config, f))
	o.Server = pipeline.Client(client)
	o.KeepJob = keepJob(source.Source)
	o.ExportDeadline = exportDeadlines * source.Poll.Deadline
	o.Turn = source.turns.Take
	o.Workers = source.Downloads
	o.Cores = s.cores
	o.PartBytes = int64(f.PartMiB) << 20
	o.MaxLine = f.MaxLineMiB << 20
	o.MaxQuarantined = MaxQuarantined(f.MaxQuarantined.Share())
	SetParquet(&o, s.config.Sink.Parquet)
	return o, nil
}

// UpkeepOptions returns the options for operations that ask no server, such as
// [pipeline.Compact] and [pipeline.SetWatermark].
func (s *Session) UpkeepOptions(f pipeline.Feed) pipeline.Options {
	return pipeline.Options{Feed: f, Sink: s.Parts, State: s.State, LeaseTTL: s.config.State.LeaseTTL, Log: s.log}
}

// SetParquet sets the options that say how Parquet is written.
func SetParquet(o *pipeline.Options, c config.Parquet) {
	o.RowGroupBytes = int64(c.RowGroupMiB) << 20
	o.Parquet = pipeline.Parquet{
		Codec:             columnar.Codec(c.Compression),
		Level:             c.CompressionLevel,
		BloomFilter:       c.BloomFilter,
		IdentifyingBounds: c.IdentifyingStatistics,
		OmitFieldIDs:      c.OmitFieldIDs,
	}
}

// MaxQuarantined returns a share of lines, 0 to 1, as [pipeline.Options] has it, where 0
// stands for the default and a negative number for none.
func MaxQuarantined(share float64) float64 {
	if share == 0 {
		return -1
	}
	return share
}
