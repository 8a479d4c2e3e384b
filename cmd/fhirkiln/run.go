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
	Class    []string `placeholder:"LABEL" help:"The feeds of this class only; may be repeated."`
	All      bool     `help:"All feeds, as without --feed and --class."`
	Parallel *int     `placeholder:"N" help:"Feeds that run at once. Default: parallel of the config, which is 4."`
	Fresh    bool     `help:"Throw away a run that was cut off, instead of going on with it."`
	Full     bool     `help:"Export everything, whatever was published before."`
	JSON     bool     `name:"json" help:"Print the reports as JSON, one line as each run ends, instead of tables."`
}

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
		return errors.Join(err, s.ui.printJSON(report))
	}
	s.ui.printResult(report)
	return err
}
