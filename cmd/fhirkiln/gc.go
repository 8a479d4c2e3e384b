package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"fhirkiln/config"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/setup"
)

type gcCommand struct {
	Config string       `short:"c" default:"config.yaml" placeholder:"FILE" help:"The config file. Default: config.yaml."`
	Feed   []string     `placeholder:"NAME" help:"Only this feed; may be repeated. Default: all, including those no longer in the config."`
	DryRun bool         `help:"List what would be removed, without removing it."`
	Grace  durationFlag `default:"24h" placeholder:"TIME" help:"How long to keep files that are no longer live, since someone may still be reading them: 90m, 24h, 7d. Default: 24h."`
	JSON   bool         `name:"json" help:"Print what was found as JSON, one line per feed."`
}

// Help is shown by fhirkiln gc --help.
func (gcCommand) Help() string {
	return `Removes the files of runs that are no longer live, because of keep_runs or keep_days, or because compact has
merged them, and what killed processes have left of runs that were never published. Keeps the reports of
runs, and files that are not fhirkiln's.

  fhirkiln gc --dry-run                 what would be removed, and its size
  fhirkiln gc --feed members --grace 168h`
}

// Run implements the command gc.
func (cmd *gcCommand) Run(ctx context.Context, line *cli, c console) error {
	cfg, err := loadConfig(config.LoadPlaces, cmd.Config, c)
	if err != nil {
		return err
	}
	ui := newUI(c, line, cfg.Log.Format, cfg.Log.Level)
	defer ui.close()
	open := setup.OpenPlaces
	if cmd.DryRun {
		open = setup.ReadPlaces // writes nothing
	}
	places, err := open(ctx, cfg, c.options(ui.log))
	if cmd.DryRun {
		err = notPublished(err, "check sink.url")
	}
	if err != nil {
		return err
	}
	defer places.Close()
	feeds, err := cmd.choose(ctx, cfg, places.State)
	if err != nil {
		return err
	}
	g := pipeline.GCOptions{Grace: time.Duration(cmd.Grace), DryRun: cmd.DryRun}
	if g.Grace == 0 {
		g.Grace = -1 // none
	}
	o := pipeline.Options{Sink: places.Parts, State: places.State, LeaseTTL: cfg.State.LeaseTTL, Log: ui.log}
	if g.Inventory, err = (lake.Lake{Parts: places.Parts, State: places.State}).TakeInventory(ctx, feedNames(feeds)...); err != nil {
		return err
	}
	return eachFeed(ctx, ui.log, feeds, 1, func(feed config.Feed) error {
		o := o
		o.Feed = pipeline.Feed{Name: feed.Name, Keep: setup.Retention(feed)}
		found, err := pipeline.GC(ctx, o, g)
		if err != nil {
			return err
		}
		if cmd.JSON {
			return ui.printJSON(found)
		}
		ui.printf("%s", garbageText(found))
		return nil
	})
}

// choose returns the selected feeds. Feeds no longer in the config may have files, too; none
// of their runs stops being live by itself.
func (cmd *gcCommand) choose(ctx context.Context, cfg *config.Config, state setup.Place) ([]config.Feed, error) {
	all := slices.Clone(cfg.Feeds)
	there, err := ledger.List(ctx, state)
	if err != nil {
		return nil, err
	}
	for _, name := range there {
		if _, known := cfg.Feed(name); !known {
			all = append(all, config.Feed{Name: name})
		}
	}
	if len(cmd.Feed) == 0 {
		return all, nil
	}
	names := feedNames(all)
	for _, name := range cmd.Feed {
		if !slices.Contains(names, name) {
			return nil, noSuchFeed(cmd.Config, name, names)
		}
	}
	return slices.DeleteFunc(all, func(f config.Feed) bool { return !slices.Contains(cmd.Feed, f.Name) }), nil
}

// garbageText says what was removed. For a dry run it lists every file.
func garbageText(g *lake.Garbage) string {
	var b strings.Builder
	did, dropped := "removed", "is no longer live"
	if g.DryRun {
		did, dropped = "would be removed", "would no longer be live"
		for _, f := range g.Files {
			what := size(f.Bytes)
			if f.Staged {
				what = "staged"
			}
			fmt.Fprintf(&b, "%-9s %10s  %s\n", f.Why, what, f.Key)
		}
	}
	for _, run := range g.Dropped {
		fmt.Fprintf(&b, "%s: run %s %s\n", g.Feed, run, dropped)
	}
	waiting := ""
	if g.Waiting > 0 {
		waiting = "; the files of " + amount(g.Waiting, "run") + " no longer live stay for the grace period"
	}
	if len(g.Files) == 0 && len(g.Runs) == 0 {
		fmt.Fprintf(&b, "%s: nothing to remove%s\n", g.Feed, waiting)
		return b.String()
	}
	fmt.Fprintf(&b, "%s: %s of %s %s%s\n", g.Feed, amount(len(g.Files), "file"), size(g.Bytes), did, waiting)
	return b.String()
}
