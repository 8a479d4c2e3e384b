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
	JSON bool `name:"json" help:"Print what was canceled as JSON, a line a feed."`
}

// Help is shown by fhirkiln cancel --help.
func (cancelCommand) Help() string {
	return `Ends a run that was cut off and is not to be resumed: the server's exports are deleted, and what
was staged is thrown away. What is published and the watermark stay: the next run begins anew.

A run that is still under way has the feed's lease, and cancel says so with exit code 12: end its
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
			return &hintedError{err, "end that process, which cancels its run if it is by SIGINT; or wait, and cancel again"}
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
		return "there is no unfinished run"
	}
	done := []string{fmt.Sprintf("%s thrown away", amount(c.Parts, "staged part"))}
	if c.Deleted > 0 {
		done = append(done, fmt.Sprintf("%s deleted at the server", amount(c.Deleted, "export")))
	}
	if c.Kept > 0 {
		done = append(done, fmt.Sprintf("%s that the server keeps until its own time limit", amount(c.Kept, "export")))
	}
	return fmt.Sprintf("run %s, begun %s, is canceled: %s", c.Run, c.Started.UTC().Format(time.RFC3339), strings.Join(done, ", "))
}

// amount returns "1 part", "2 parts" and so on.
func amount(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return count(int64(n)) + " " + of + "s"
}
