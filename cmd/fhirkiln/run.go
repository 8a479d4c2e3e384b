package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"fhirkiln/config"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
)

type runCommand struct {
	feedFlags
	Class    []string `placeholder:"LABEL" help:"Only feeds of this class; may be repeated."`
	All      bool     `help:"All feeds, which is also the default."`
	Parallel *int     `placeholder:"N" help:"How many feeds to run at once. Default: parallel in the config, 4 if it is left out."`
	Fresh    bool     `help:"Discard an unfinished run instead of resuming it."`
	Full     bool     `help:"Export everything, whatever was published before."`
	JSON     bool     `name:"json" help:"Print reports as JSON instead of tables, one line as each run ends."`
}

// Help is shown by fhirkiln run --help.
func (runCommand) Help() string {
	return `A run asks the server for what has changed since the last one, publishes it, and moves the feed's watermark.
The first run of a feed exports everything. An unfinished run is resumed, with the same export and what was
already fetched of it. Feeds run side by side; a failing one does not stop the others, but decides the exit
code.

  fhirkiln run                         all feeds of config.yaml
  fhirkiln run --class nightly         those with class: nightly
  fhirkiln run --feed members --full   one feed, everything again
  fhirkiln run --json                  for scripts: one report per line

Exit code 12 means that another process is working on the feed; the message says which, and since when.
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
	s, err := openSession(ctx, cfg, line, c)
	if err != nil {
		return err
	}
	defer s.close()
	downloads := 0
	for _, source := range cfg.Sources {
		downloads = max(downloads, source.Downloads)
	}
	c.limitGarbage(min(len(feeds), max(r.parallel(cfg), 1)), downloads, runtime.GOMAXPROCS(0), int64(cfg.Sink.Parquet.RowGroupMiB)<<20)
	return eachFeed(ctx, s.ui.log, feeds, r.parallel(cfg), func(feed config.Feed) error { return r.runFeed(ctx, s, feed) })
}

func (r *runCommand) parallel(cfg *config.Config) int {
	if r.Parallel != nil {
		return *r.Parallel
	}
	return cfg.Parallel
}

func (r *runCommand) runFeed(ctx context.Context, s *session, feed config.Feed) error {
	o, err := s.RunOptions(feed)
	if err != nil {
		return err
	}
	o.Fresh, o.Full = r.Fresh, r.Full
	report, err := s.ui.watch(ctx, o, func(o pipeline.Options) (*lake.Report, error) { return pipeline.Run(ctx, o) })
	if err != nil {
		err = &runError{err, report.Run}
	}
	if r.JSON {
		return errors.Join(err, s.ui.printReport(report, err))
	}
	s.ui.printResult(report)
	return err
}
