package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"fhirkiln/config"
	"fhirkiln/pipeline"
	"fhirkiln/setup"
)

// eachFeed calls do for the feeds, up to parallel of them at once. Feeds not begun when ctx
// ends fail. Of several feeds, each failure is logged at once, since the other feeds may go
// on for hours. The error is then a [*feedsError], and for a single feed a [*feedError].
func eachFeed(ctx context.Context, log *slog.Logger, feeds []config.Feed, parallel int, do func(config.Feed) error) error {
	results := make([]error, len(feeds))
	for i := range results {
		results[i] = errNotBegun
	}
	var group errgroup.Group
	group.SetLimit(max(parallel, 1))
	for _, feed := range setup.Interleave(feeds) {
		if ctx.Err() != nil {
			break
		}
		at := slices.IndexFunc(feeds, func(f config.Feed) bool { return f.Name == feed.Name })
		group.Go(func() error {
			if ctx.Err() == nil {
				results[at] = do(feed)
				logFailure(log, feed.Name, results[at], len(feeds))
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in results
	failed := feedsError{of: len(feeds)}
	for i, err := range results {
		if err == errNotBegun {
			err = &notBegunError{context.Cause(ctx)}
		}
		if err != nil {
			failed.add(feeds[i].Name, err)
		}
	}
	switch {
	case failed.decides == nil:
		return nil
	case len(feeds) == 1:
		return &feedError{failed.decides, feeds[0].Name}
	}
	return &failed
}

// logFailure logs what [tell] would print. The error of a single feed is left to tell.
func logFailure(log *slog.Logger, feed string, err error, feeds int) {
	if err == nil || feeds == 1 {
		return
	}
	log = withRun(log.With("feed", feed), err)
	code, hint := classify(err)
	level, what := slog.LevelError, "failed"
	if code == exitPartial {
		level, what = slog.LevelWarn, "published, but partial"
		if !log.Enabled(context.Background(), level) {
			level = slog.LevelError // the final message does not say what is missing
		}
	}
	log.Log(context.Background(), level, what, "error", err.Error(), "hint", hint, "exit_code", code)
}

// withRun adds the run that err belongs to, if any, to the log.
func withRun(log *slog.Logger, err error) *slog.Logger {
	if run, ok := errors.AsType[*runError](err); ok && run.run != "" {
		return log.With("run", run.run)
	}
	return log
}

// feedError says which feed failed if only one was selected.
type feedError struct {
	error
	feed string
}

func (e *feedError) Unwrap() error { return e.error }

// runError says which run failed.
type runError struct {
	error
	run string // "" if it had not begun
}

func (e *runError) Unwrap() error { return e.error }

// errNotBegun marks the result of a feed that had no turn before ctx ended.
var errNotBegun = errors.New("the feed had no turn")

// notBegunError is what the user sees of errNotBegun.
type notBegunError struct{ cause error }

func (e *notBegunError) Error() string { return "stopped before the feed was started" }

func (e *notBegunError) Unwrap() error { return e.cause }

// feedsError says what happened when several feeds ran. A failing feed does not stop the
// others. The first failure decides the exit code; a partial run does so only if there is no
// failure.
type feedsError struct {
	of       int // feeds
	failed   []string
	partial  []string
	notBegun []string
	decides  error
}

// Error names the feeds; what happened to each is in the log.
func (f *feedsError) Error() string {
	var texts []string
	for _, kind := range []struct {
		feeds []string
		what  string
	}{{f.failed, "failed"}, {f.partial, "published but partial"}, {f.notBegun, "not started"}} {
		if n := len(kind.feeds); n > 0 {
			texts = append(texts, fmt.Sprintf("%d of %d feeds %s: %s", n, f.of, kind.what, strings.Join(kind.feeds, ", ")))
		}
	}
	return strings.Join(texts, "; ")
}

func (f *feedsError) Unwrap() error { return f.decides }

func (f *feedsError) add(feed string, err error) {
	var partial *pipeline.PartialError
	if f.decides == nil || errors.As(f.decides, &partial) && !errors.As(err, &partial) {
		f.decides = err
	}
	code, _ := classify(err)
	named := fmt.Sprintf("%s (exit code %d)", feed, code)
	if _, ok := errors.AsType[*notBegunError](err); ok {
		f.notBegun = append(f.notBegun, feed)
	} else if code == exitPartial {
		f.partial = append(f.partial, named)
	} else {
		f.failed = append(f.failed, named)
	}
}
