package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"fhirkiln/config"
	"fhirkiln/pipeline"
)

type runCommand struct {
	Config string   `short:"c" default:"config.yaml" placeholder:"FILE" help:"The config file. Default: config.yaml."`
	Feed   []string `placeholder:"NAME" help:"Run this feed only; may be repeated. Default: all, one after the other."`
	Class  []string `placeholder:"LABEL" help:"Run the feeds of this class only; may be repeated."`
	Fresh  bool     `help:"Throw away a run that was cut off, instead of going on with it."`
	Full   bool     `help:"Export everything, whatever was published before."`
	JSON   bool     `name:"json" help:"Print the reports as JSON, one line a run, instead of tables."`
}

// Run implements the command run.
func (r *runCommand) Run(ctx context.Context, line *cli, c console) error {
	cfg, err := config.Load(r.Config, c.env)
	if err != nil {
		return err
	}
	feeds, err := r.choose(cfg)
	if err != nil {
		return err
	}
	ui := newUI(c, line, cfg.Log.Format, cfg.Log.Level)
	defer ui.close()
	for _, w := range cfg.Warnings {
		ui.log.Warn(w.Message, "at", fmt.Sprintf("%s:%d:%d", w.File, w.Line, w.Column))
	}
	parts, state, err := openPlaces(ctx, cfg, ui.log)
	if err != nil {
		return err
	}
	defer parts.Close()
	defer state.Close()

	var failed feedsError
	for _, feed := range feeds {
		err := r.runFeed(ctx, cfg, feed, parts, state, ui)
		if err == nil {
			continue
		}
		if len(feeds) > 1 {
			err = fmt.Errorf("feed %s: %w", feed.Name, err)
		}
		failed.add(err)
		if ctx.Err() != nil {
			break
		}
	}
	if failed.decides == nil {
		return nil
	}
	return &failed
}

// feedsError is what happened when several feeds ran: one failing feed does not stop
// the others. The first failure decides the exit code, a partial run only if there is
// no failure.
type feedsError struct {
	all     []error
	decides error
}

func (f *feedsError) Error() string {
	lines := make([]string, len(f.all))
	for i, err := range f.all {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\nfhirkiln: ")
}

func (f *feedsError) Unwrap() error { return f.decides }

func (f *feedsError) add(err error) {
	var partial *pipeline.PartialError
	if f.decides == nil || errors.As(f.decides, &partial) && !errors.As(err, &partial) {
		f.decides = err
	}
	f.all = append(f.all, err)
}

func (r *runCommand) choose(cfg *config.Config) ([]config.Feed, error) {
	if len(r.Class) > 0 {
		return r.chooseClass(cfg)
	}
	if len(r.Feed) == 0 {
		return cfg.Feeds, nil
	}
	var feeds []config.Feed
	for _, name := range r.Feed {
		feed, ok := cfg.Feed(name)
		if !ok {
			names := make([]string, len(cfg.Feeds))
			for i, f := range cfg.Feeds {
				names[i] = f.Name
			}
			return nil, &usageError{fmt.Errorf("%s has no feed %q; it has %s", r.Config, name, strings.Join(names, ", ")), "give --feed one of these, or leave it out for all"}
		}
		feeds = append(feeds, feed)
	}
	return feeds, nil
}

// chooseClass picks the feeds of the classes that were asked for. A class without feeds is
// more likely a slip than a night off.
func (r *runCommand) chooseClass(cfg *config.Config) ([]config.Feed, error) {
	if len(r.Feed) > 0 {
		return nil, &usageError{errors.New("--feed and --class are given"), "give one of the two"}
	}
	var feeds []config.Feed
	classes := map[string]bool{}
	for _, f := range cfg.Feeds {
		if f.Class == "" {
			continue
		}
		classes[f.Class] = true
		if slices.Contains(r.Class, f.Class) {
			feeds = append(feeds, f)
		}
	}
	for _, class := range r.Class {
		switch {
		case len(classes) == 0:
			return nil, &usageError{fmt.Errorf("%s has no feed with a class", r.Config), "give feeds a class: in the config, or leave --class out for all"}
		case !classes[class]:
			return nil, &usageError{fmt.Errorf("%s has no feed of class %q; it has %s", r.Config, class, strings.Join(slices.Sorted(maps.Keys(classes)), ", ")),
				"give --class one of these, or leave it out for all"}
		}
	}
	return feeds, nil
}

func (r *runCommand) runFeed(ctx context.Context, cfg *config.Config, feed config.Feed, parts, state place, ui *ui) error {
	if feed.GroupSearch != "" { // without its matches nothing would be exported, and that would look fine
		return &usageError{fmt.Errorf("feed %s has group_search, which this version cannot do", feed.Name), "give groups or groups_file"}
	}
	source := cfg.Sources[feed.Source]
	client, err := newClient(source, ui.patience, ui.log.With("source", source.Name))
	if err != nil {
		return err
	}
	report, err := ui.watch(pipeline.Options{
		Feed:           pipelineFeed(feed, source),
		Server:         pipeline.Client(client),
		Sink:           parts,
		State:          state,
		LeaseTTL:       cfg.State.LeaseTTL,
		Fresh:          r.Fresh,
		Full:           r.Full,
		KeepJob:        keepJob(source),
		Workers:        source.Downloads,
		PartBytes:      int64(feed.PartMiB) << 20,
		MaxLine:        feed.MaxLineMiB << 20,
		MaxQuarantined: percent(feed.MaxQuarantined.Share()).orNone(),
	}, func(o pipeline.Options) (*pipeline.Report, error) { return pipeline.Run(ctx, o) })
	if r.JSON {
		return errors.Join(err, ui.printJSON(report))
	}
	ui.printTable(report)
	return err
}
