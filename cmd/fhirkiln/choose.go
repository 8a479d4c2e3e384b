package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"fhirkiln/config"
	"fhirkiln/spelling"
)

// feedFlags select feeds of the config.
type feedFlags struct {
	Config string   `short:"c" default:"config.yaml" placeholder:"FILE" help:"The config file. Default: config.yaml."`
	Feed   []string `placeholder:"NAME" help:"Only this feed; may be repeated. Default: all."`
}

// choose returns the selected feeds, in the config's order.
func (f feedFlags) choose(cfg *config.Config) ([]config.Feed, error) {
	if len(cfg.Feeds) == 0 {
		return nil, &usageError{fmt.Errorf("%s has no feeds", f.Config), "use -c to name the config that has the feeds"}
	}
	if len(f.Feed) == 0 {
		return cfg.Feeds, nil
	}
	for _, name := range f.Feed {
		if _, ok := cfg.Feed(name); !ok {
			return nil, noSuchFeed(f.Config, name, feedNames(cfg.Feeds))
		}
	}
	var feeds []config.Feed
	for _, feed := range cfg.Feeds {
		if slices.Contains(f.Feed, feed.Name) {
			feeds = append(feeds, feed)
		}
	}
	return feeds, nil
}

const defaultConfig = "config.yaml"

// loadConfig loads the config of a command that needs one.
func loadConfig(load func(string, func(string) (string, bool)) (*config.Config, error), path string, c console) (*config.Config, error) {
	cfg, err := load(path, c.env)
	if path == defaultConfig && errors.Is(err, fs.ErrNotExist) {
		err = &noConfigError{err}
	}
	return cfg, err
}

// noConfigError says that no config was given, and there is none in the current folder.
type noConfigError struct{ error }

func (e *noConfigError) Error() string { return "no " + defaultConfig + " in the current folder" }

func (e *noConfigError) Unwrap() error { return e.error }

func feedNames(feeds []config.Feed) []string {
	names := make([]string, len(feeds))
	for i, f := range feeds {
		names[i] = f.Name
	}
	return names
}

func noSuchFeed(where, name string, has []string) error {
	return &usageError{fmt.Errorf("%s has no feed %q%s; it has %s", where, name, didYouMean(name, has), strings.Join(has, ", ")),
		"use --feed with one of these, or leave it out for all feeds"}
}

// didYouMean suggests a similar name, if there is one.
func didYouMean(name string, names []string) string {
	if near := spelling.Nearest(name, names); near != "" {
		return ", did you mean " + near + "?"
	}
	return ""
}

// choose returns the feeds to run.
func (r *runCommand) choose(cfg *config.Config) ([]config.Feed, error) {
	ways := 0
	for _, given := range []bool{len(r.Feed) > 0, len(r.Class) > 0, r.All} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		return nil, &usageError{errors.New("--feed, --class and --all cannot be combined"), "use only one of them"}
	case len(r.Class) > 0:
		return r.chooseClass(cfg)
	}
	return r.feedFlags.choose(cfg)
}

// chooseClass returns the feeds of the selected classes. A class without feeds is an error:
// it is more likely a typo than a night off.
func (r *runCommand) chooseClass(cfg *config.Config) ([]config.Feed, error) {
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
			return nil, &usageError{fmt.Errorf("%s has no feed with a class", r.Config), "set class: for feeds in the config, or leave --class out to run all"}
		case !classes[class]:
			return nil, &usageError{fmt.Errorf("%s has no feed of class %q%s; it has %s", r.Config, class,
				didYouMean(class, slices.Sorted(maps.Keys(classes))), strings.Join(slices.Sorted(maps.Keys(classes)), ", ")),
				"use --class with one of these, or leave it out for all feeds"}
		}
	}
	return feeds, nil
}
