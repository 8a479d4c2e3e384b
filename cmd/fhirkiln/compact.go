package main

import (
	"context"
	"fmt"
	"strings"

	"fhirkiln/config"
	"fhirkiln/pipeline"
	"fhirkiln/setup"
)

type compactCommand struct {
	feedFlags
	parquetFlags
	Type      []string `placeholder:"TYPE" help:"Merge only files of this resource type (deleted: tombstones); may be repeated. Default: all."`
	TargetMiB *int     `name:"target-mib" placeholder:"MIB" help:"Parquet size at which a file is closed and the next one started. Default: the feed's part_mib."`
	JSON      bool     `name:"json" help:"Print what was merged as JSON, one line per feed."`
}

// Help is shown by fhirkiln compact --help.
func (compactCommand) Help() string {
	return `Nightly runs leave many small files, and a query has to open them all. compact merges the runs that follow a
full run into one run with large files: the same rows, with the same __origin. A reader sees either the old
files or the new ones; the old ones stay until gc removes them. Watermarks do not change.

Files that are already large stay as they are. Merged ones are written as sink.parquet in the config or the
flags here say.

  fhirkiln compact --feed members
  fhirkiln compact --type Observation --target-mib 512`
}

// Run implements the command compact.
func (cmd *compactCommand) Run(ctx context.Context, line *cli, c console) error {
	if n := cmd.TargetMiB; n != nil && (*n < 1 || *n > 10240) {
		return &usageError{error: fmt.Errorf("--target-mib must be from 1 to 10240, not %d", *n)}
	}
	if err := checkTypes(cmd.Type); err != nil {
		return err
	}
	cfg, err := loadConfig(config.LoadPlaces, cmd.Config, c)
	if err != nil {
		return err
	}
	feeds, err := cmd.choose(cfg)
	if err != nil {
		return err
	}
	written, err := cmd.over(cfg.Sink.Parquet)
	if err != nil {
		return err
	}
	s, err := openSession(ctx, cfg, line, c)
	if err != nil {
		return err
	}
	defer s.close()
	return eachFeed(ctx, s.ui.log, feeds, 1, func(feed config.Feed) error {
		target := feed.PartMiB
		if cmd.TargetMiB != nil {
			target = *cmd.TargetMiB
		}
		o := s.UpkeepOptions(pipeline.Feed{Name: feed.Name})
		o.Workers = 2 // they compute instead of waiting for a network
		o.PartBytes = int64(target) << 20
		setup.SetParquet(&o, written)
		done, err := pipeline.Compact(ctx, o, pipeline.CompactOptions{Types: cmd.Type})
		if err != nil {
			return err
		}
		if cmd.JSON {
			return s.ui.printJSON(done)
		}
		s.ui.printf("%s", compactionText(done))
		return nil
	})
}

func compactionText(done *pipeline.Compaction) string {
	if len(done.Runs) == 0 {
		return done.Feed + ": nothing to merge\n"
	}
	var b strings.Builder
	for _, r := range done.Runs {
		fmt.Fprintf(&b, "%s: merged %s (%s, %s) into run %s (%s, %s): %s rows\n", done.Feed, amount(len(r.Replaces), "run"),
			amount(r.Before.Parts, "file"), size(r.Before.Bytes), r.Run, amount(r.After.Parts, "file"), size(r.After.Bytes), count(r.Rows))
	}
	return b.String()
}
