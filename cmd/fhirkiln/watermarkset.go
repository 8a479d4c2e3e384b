package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"fhirkiln/config"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/setup"
)

type watermarkSetCommand struct {
	Config  string   `short:"c" default:"config.yaml" placeholder:"FILE" help:"The config file. Default: config.yaml."`
	Feed    string   `required:"" placeholder:"NAME" help:"The feed."`
	Type    []string `placeholder:"TYPE" help:"Only this resource type; may be repeated. Default: all of the feed's."`
	Instant string   `arg:"" optional:"" placeholder:"INSTANT" help:"Such as 2026-11-21T01:58:11+01:00, or a date, which means its start in UTC."`
	None    bool     `help:"Set no watermark: the next run exports in full."`
	JSON    bool     `name:"json" help:"Print the moves as JSON."`
}

// Help is shown by fhirkiln watermark set --help.
func (watermarkSetCommand) Help() string {
	return `After a move back, the next run asks again for what has changed since then; rows that come twice count once in
the views of current data. After a move forward, the changes in between are never asked for: do that only if
you have them from elsewhere. The feed's history records both. The feed must have no run that is in progress
or unfinished.

  fhirkiln watermark set --feed members 2026-11-01
  fhirkiln watermark set --feed members --type Coverage --none`
}

// Run implements the command watermark set.
func (cmd *watermarkSetCommand) Run(ctx context.Context, line *cli, c console) error {
	to, err := cmd.instant(time.Now())
	if err != nil {
		return err
	}
	cfg, err := loadConfig(config.Load, cmd.Config, c)
	if err != nil {
		return err
	}
	feeds, err := feedFlags{Config: cmd.Config, Feed: []string{cmd.Feed}}.choose(cfg)
	if err != nil {
		return err
	}
	feed := feeds[0]
	types, err := cmd.types(feed)
	if err != nil {
		return err
	}
	if to != "" {
		if err := targetProblems(cfg.Sources[feed.Source]); err != nil {
			return err
		}
	}
	s, err := openSession(ctx, cfg, line, c)
	if err != nil {
		return err
	}
	defer s.close()
	moves, err := pipeline.SetWatermark(ctx, s.UpkeepOptions(setup.Feed(cfg, feed)), types, to)
	if err != nil {
		return err
	}
	if cmd.JSON {
		return s.ui.printJSON(struct {
			Feed  string            `json:"feed"`
			Moves []lake.MoveReport `json:"watermark_moves"`
		}{feed.Name, moves})
	}
	for _, m := range moves {
		s.ui.printf("%s: watermark: %s\n", feed.Name, moveText(m, []string{m.Type}))
	}
	if len(feed.Types) == 0 && len(cmd.Type) > 0 {
		s.ui.printf("%s exports all types together: it asks for all of them from the earliest watermark on\n", feed.Name)
	}
	return nil
}

// targetProblems returns the problems of a source that leave open which server it asks, and for
// what. A watermark holds only for that. Missing secrets do not matter here.
func targetProblems(s config.Source) error {
	matters := slices.DeleteFunc(slices.Clone(s.Problems), func(p config.Problem) bool {
		_, key, _ := strings.Cut(strings.TrimPrefix(p.Path, "sources."), ".")
		return strings.HasPrefix(key, "auth.") || key == "proxy" || strings.HasPrefix(key, "headers[")
	})
	if len(matters) == 0 {
		return nil
	}
	return matters
}

// types returns the types to set. None means all types, if the feed does not name any.
func (cmd *watermarkSetCommand) types(feed config.Feed) ([]string, error) {
	if len(cmd.Type) == 0 {
		return feed.Types, nil
	}
	for _, t := range cmd.Type {
		if len(feed.Types) > 0 && !slices.Contains(feed.Types, t) {
			return nil, &usageError{fmt.Errorf("feed %s does not export %q; it exports %s", feed.Name, t, strings.Join(feed.Types, ", ")), "use --type with one of these"}
		}
		if _, err := checkType(t); err != nil {
			return nil, err
		}
	}
	return cmd.Type, nil
}

// instant parses the new watermark; "" means none.
func (cmd *watermarkSetCommand) instant(now time.Time) (string, error) {
	const hint = "fhirkiln watermark set --feed NAME 2026-11-21T01:58:11+01:00, a date, or --none"
	switch {
	case cmd.None && cmd.Instant != "":
		return "", &usageError{errors.New("an instant and --none cannot be combined"), hint}
	case cmd.None:
		return "", nil
	case cmd.Instant == "":
		return "", &usageError{errors.New("no instant given to set the watermark to"), hint}
	}
	text := cmd.Instant
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		if t, err = time.Parse(time.DateOnly, text); err != nil {
			return "", &usageError{fmt.Errorf("%q is neither an instant with a time zone nor a date", text), hint}
		}
		text = t.Format(time.RFC3339)
	}
	switch {
	case t.After(now):
		return "", &usageError{fmt.Errorf("%s is in the future: changes until then would never be asked for", text), hint}
	case t.Year() < 1900:
		return "", &usageError{fmt.Errorf("%s is before any data", text), "--none exports everything"}
	}
	return text, nil
}
