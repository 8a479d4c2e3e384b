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
	ui := newUI(c, line, cfg.Log.Format, cfg.Log.Level)
	defer ui.close()
	parts, state, err := openPlaces(ctx, cfg, ui.log)
	if err != nil {
		return err
	}
	defer parts.Close()
	defer state.Close()
	work := &shared{config: cfg, sources: newSources(cfg, state, c.patience, ui.log), parts: parts, state: state}
	return eachFeed(ctx, ui.log, feeds, 1, func(feed config.Feed) error {
		o, err := work.options(feed)
		if err != nil {
			return err
		}
		o.Log = ui.log
		canceled, err := pipeline.Cancel(ctx, o)
		if _, ok := errors.AsType[*ledger.HeldError](err); ok {
			return &hintedError{err, "end that process, which cancels its run if it is by SIGINT; or wait, and cancel again"}
		}
		if err != nil {
			return err
		}
		if cmd.JSON {
			return ui.printJSON(canceled)
		}
		ui.printf("%s: %s\n", feed.Name, cancellationText(canceled))
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

// amount is "1 part", "2 parts".
func amount(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return count(int64(n)) + " " + of + "s"
}
