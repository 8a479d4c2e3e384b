package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"

	"fhirkiln/config"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/setup"
	"fhirkiln/sink"
)

// lakeFlags select the lake that a command reads.
type lakeFlags struct {
	Path   string `arg:"" optional:"" placeholder:"PATH" help:"Folder or s3:// URL that runs publish to. Default: sink.url in the config file."`
	Config string `short:"c" placeholder:"FILE" help:"The config file: says where sink and state are, and how to reach a PATH on S3. Default: config.yaml if PATH is left out, else none."`
}

// openLake is a lake opened for reading.
type openLake struct {
	parts, state setup.Place
	where        string         // where parts are: an absolute path or an s3:// URL
	stateAt      string         // the same for state
	config       *config.Config // nil if there is none
}

func (f lakeFlags) open(ctx context.Context, c console, log *slog.Logger) (*openLake, error) {
	l := &openLake{}
	var err error
	if f.Path == "" || f.Config != "" {
		if l.config, err = config.LoadPlaces(cmp.Or(f.Config, defaultConfig), c.env); err != nil {
			if f.Config == "" && errors.Is(err, fs.ErrNotExist) {
				return nil, &usageError{&noConfigError{err}, "name a folder or an s3:// URL, or use -c FILE"}
			}
			return nil, err
		}
	}
	settings := s3Settings(l.config, c.env)
	path := f.Path
	if path == "" {
		path = l.config.Sink.URL
	}
	if l.where, err = locate(path); err != nil {
		return nil, err
	}
	if l.parts, err = setup.ReadPlace(ctx, l.where, settings, c.options(log)); err != nil {
		return nil, notPublished(err, "check the path")
	}
	l.state, l.stateAt = l.parts, l.where
	// A path that is not the config's sink holds its own state.
	if cfg := l.config; l.configured() && !samePlace(cfg.State.URL, cfg.Sink.URL) {
		if l.stateAt, err = locate(cfg.State.URL); err != nil {
			l.parts.Close()
			return nil, err
		}
		if l.state, err = setup.ReadPlace(ctx, l.stateAt, cfg.State.S3, c.options(log)); err != nil {
			l.parts.Close()
			return nil, notPublished(err, "check the path")
		}
	}
	return l, nil
}

// configured reports whether the lake is the config's sink, so that the config says where
// its state is.
func (l *openLake) configured() bool { return l.config != nil && samePlace(l.where, l.config.Sink.URL) }

func samePlace(a, b string) bool {
	x, err1 := locate(a)
	y, err2 := locate(b)
	return err1 == nil && err2 == nil && x == y
}

// lake returns it as a [lake.Lake].
func (l *openLake) lake() lake.Lake { return lake.Lake{Parts: l.parts, State: l.state} }

func (l *openLake) close() {
	l.parts.Close()
	l.state.Close()
}

// feeds returns the named feeds, or all of them.
func (l *openLake) feeds(ctx context.Context, only []string) ([]ledger.Feed, error) {
	names, err := l.names(ctx, only)
	if err != nil {
		return nil, err
	}
	return ledger.ReadAll(ctx, l.state, names)
}

// names returns the names of all feeds, or those in only if they are there.
func (l *openLake) names(ctx context.Context, only []string) ([]string, error) {
	names, err := ledger.List(ctx, l.state)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		hint := "check the path; if the config has state:, name the config with -c"
		if l.configured() {
			hint = "publish something with fhirkiln run; if that was done, check sink.url and state.url in the config"
		}
		return nil, &usageError{fmt.Errorf("%s has no fhirkiln feeds (no _fhirkiln/feeds/*.json)", l.state), hint}
	}
	for _, name := range only {
		if !slices.Contains(names, name) {
			return nil, noSuchFeed(l.state.String(), name, names)
		}
	}
	if len(only) > 0 {
		names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(only, name) })
	}
	return names, nil
}

// live returns the live parts of the named feeds, or of all, in the runs that keep reports
// true for.
func (l *openLake) live(ctx context.Context, only []string, keep func(ledger.Feed, ledger.PublishedRun) bool) ([]lake.LivePart, error) {
	names, err := l.names(ctx, only)
	if err != nil {
		return nil, err
	}
	return l.lake().ReadLive(ctx, names, keep)
}

// livePart opens a part by its key.
func (l *openLake) livePart(key string) func(context.Context) (sink.Reader, error) {
	return func(ctx context.Context) (sink.Reader, error) { return l.lake().OpenPart(ctx, key) }
}

// opener opens a file by its key.
func (l *openLake) opener(key string) func(context.Context) (sink.Reader, error) {
	return func(ctx context.Context) (sink.Reader, error) { return l.parts.Open(ctx, key) }
}
