package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"fhirkiln/columnar"
	"fhirkiln/config"
	"fhirkiln/pipeline"
)

type runCommand struct {
	feedFlags
	Class    []string `placeholder:"LABEL" help:"The feeds of this class only; may be repeated."`
	All      bool     `help:"All feeds, as without --feed and --class."`
	Parallel *int     `placeholder:"N" help:"Feeds that run at once. Default: parallel of the config, which is 4."`
	Fresh    bool     `help:"Throw away a run that was cut off, instead of going on with it."`
	Full     bool     `help:"Export everything, whatever was published before."`
	JSON     bool     `name:"json" help:"Print the reports as JSON, one line as each run ends, instead of tables."`
}

// exportDeadlines is for how many times poll.deadline runs wait for one export, one after the
// other: some servers take days, and what they have done by then would be lost.
const exportDeadlines = 7

// Help is shown by fhirkiln run --help.
func (runCommand) Help() string {
	return `A run asks the server for what has changed since the last one, publishes it, and moves the feed's
watermark. One that was cut off is resumed: the same export, and what was fetched of it is kept.
Feeds run side by side; one that fails does not stop the others, and decides the exit code.

  fhirkiln run                         all feeds of config.yaml
  fhirkiln run --class nightly         those with class: nightly
  fhirkiln run --feed members --full   one feed, everything anew
  fhirkiln run --json                  for a script: a report a line

Exit code 12: another process works at the feed, which is named with the time since when.
See also: fhirkiln cancel, fhirkiln watermark, docs/running.md.`
}

// Run implements the command run.
func (r *runCommand) Run(ctx context.Context, line *cli, c console) error {
	if n := r.Parallel; n != nil && (*n < 1 || *n > 256) {
		return &usageError{error: fmt.Errorf("--parallel must be from 1 to 256, not %d", *n)}
	}
	cfg, err := loadConfig(config.Load, r.Config, c)
	if err != nil {
		return err
	}
	feeds, err := r.choose(cfg)
	if err != nil {
		return err
	}
	ui := newUI(c, line, cfg.Log.Format, cfg.Log.Level)
	defer ui.close()
	ui.warn(cfg)
	parts, state, err := openPlaces(ctx, cfg, ui.log)
	if err != nil {
		return err
	}
	defer parts.Close()
	defer state.Close()
	work := &shared{config: cfg, sources: newSources(cfg, state, c.patience, ui.log), parts: parts, state: state,
		cores: columnar.NewCores(runtime.GOMAXPROCS(0))}
	downloads := 0
	for _, s := range cfg.Sources {
		downloads = max(downloads, s.Downloads)
	}
	c.limitGarbage(min(len(feeds), max(r.parallel(cfg), 1)), downloads, runtime.GOMAXPROCS(0), int64(cfg.Sink.Parquet.RowGroupMiB)<<20)
	return eachFeed(ctx, ui.log, feeds, r.parallel(cfg), func(feed config.Feed) error { return r.runFeed(ctx, work, feed, ui) })
}

func (r *runCommand) parallel(cfg *config.Config) int {
	if r.Parallel != nil {
		return *r.Parallel
	}
	return cfg.Parallel
}

func (r *runCommand) runFeed(ctx context.Context, work *shared, feed config.Feed, ui *ui) error {
	o, err := work.options(feed)
	if err != nil {
		return err
	}
	o.Fresh, o.Full = r.Fresh, r.Full
	report, err := ui.watch(ctx, o, func(o pipeline.Options) (*pipeline.Report, error) { return pipeline.Run(ctx, o) })
	if err != nil {
		err = &runError{err, report.Run}
	}
	if r.JSON {
		return errors.Join(err, ui.printJSON(report))
	}
	ui.printResult(report)
	return err
}

// shared is what the runs of a command share.
type shared struct {
	config       *config.Config
	sources      sources
	parts, state place
	cores        *columnar.Cores
}

// options are a feed's as the pipeline has them.
func (w *shared) options(feed config.Feed) (pipeline.Options, error) {
	source := w.sources[feed.Source]
	client, err := source.client()
	if err != nil {
		return pipeline.Options{}, err
	}
	o := pipeline.Options{
		Feed:           pipelineFeed(feed, source.Source, w.config.Feeds),
		Server:         pipeline.Client(client),
		Sink:           w.parts,
		State:          w.state,
		LeaseTTL:       w.config.State.LeaseTTL,
		KeepJob:        keepJob(source.Source),
		ExportDeadline: exportDeadlines * source.Poll.Deadline,
		Turn:           source.turn,
		Workers:        source.Downloads,
		Cores:          w.cores,
		PartBytes:      int64(feed.PartMiB) << 20,
		MaxLine:        feed.MaxLineMiB << 20,
		MaxQuarantined: percent(feed.MaxQuarantined.Share()).orNone(),
	}
	setParquet(w.config.Sink.Parquet, &o)
	return o, nil
}
