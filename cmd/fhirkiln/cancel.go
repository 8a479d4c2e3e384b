package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"fhirkiln/config"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/ledger"
)

type cancelCommand struct {
	feedFlags
	JSON bool `name:"json" help:"Print what was canceled as JSON, one line per feed."`
}

// Help is shown by fhirkiln cancel --help.
func (cancelCommand) Help() string {
	return `Discards an unfinished run that is not to be resumed: deletes the server's exports and its
staged parts. Published data and the watermark stay as they are. The next run starts over.

If the run is still going, its process holds the feed's lease, and cancel exits with code 12: stop that
process first. Ctrl-C (SIGINT) cancels a run by itself; after SIGTERM the next run resumes it.

  fhirkiln cancel --feed members`
}

// Run implements the command cancel.
func (cmd *cancelCommand) Run(ctx context.Context, line *cli, c console) error {
	cfg, err := loadConfig(config.Load, cmd.Config, c)
	if err != nil {
		return err
	}
	feeds, err := cmd.choose(cfg)
	if err != nil {
		return err
	}
	s, err := openSession(ctx, cfg, line, c)
	if err != nil {
		return err
	}
	defer s.close()
	return eachFeed(ctx, s.ui.log, feeds, 1, func(feed config.Feed) error {
		o, err := s.RunOptions(feed)
		if err != nil {
			return err
		}
		canceled, err := pipeline.Cancel(ctx, o)
		if _, ok := errors.AsType[*ledger.HeldError](err); ok {
			return &hintedError{err, "stop that process (on SIGINT it cancels its run itself), or wait until it ends and cancel again"}
		}
		if err != nil {
			return err
		}
		if cmd.JSON {
			return s.ui.printJSON(canceled)
		}
		s.ui.printf("%s: %s\n", feed.Name, cancellationText(canceled))
		return nil
	})
}

func cancellationText(c *pipeline.Cancellation) string {
	if c.Run == "" {
		return "no unfinished run"
	}
	done := []string{fmt.Sprintf("%s discarded", amount(c.Parts, "staged part"))}
	if c.Deleted > 0 {
		done = append(done, fmt.Sprintf("%s deleted at the server", amount(c.Deleted, "export")))
	}
	if c.Kept > 0 {
		done = append(done, fmt.Sprintf("%s kept by the server until it expires there", amount(c.Kept, "export")))
	}
	return fmt.Sprintf("canceled run %s, started %s: %s", c.Run, c.Started.UTC().Format(time.RFC3339), strings.Join(done, ", "))
}
