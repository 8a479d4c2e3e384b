package main

import (
	"log/slog"
	"sync"

	"fhirkiln/bulk"
	"fhirkiln/config"
)

// sources are the config's sources. The feeds of a command share them: each has one client,
// and so one token, one throttle and one count of exports.
type sources map[string]*source

type source struct {
	config.Source
	client func() (*bulk.Client, error) // created on first use
	turns  turns                        // limits the runs with exports at the server
}

func newSources(cfg *config.Config, state tokenPlace, p patience, log *slog.Logger) sources {
	all := sources{}
	for name, s := range cfg.Sources {
		all[name] = &source{
			Source: s,
			client: sync.OnceValues(func() (*bulk.Client, error) { return newClient(s, state, p, log.With("source", name)) }),
			turns:  turns{limit: s.Exports},
		}
	}
	return all
}

// inTurns interleaves the feeds of different sources: the first of each source, then the
// second of each. Otherwise feeds of one source, waiting for each other, could occupy all of
// the parallel runs.
func inTurns(feeds []config.Feed) []config.Feed {
	var rounds [][]config.Feed
	of := map[string]int{}
	for _, f := range feeds {
		n := of[f.Source]
		if of[f.Source]++; n == len(rounds) {
			rounds = append(rounds, nil)
		}
		rounds[n] = append(rounds[n], f)
	}
	ordered := make([]config.Feed, 0, len(feeds))
	for _, round := range rounds {
		ordered = append(ordered, round...)
	}
	return ordered
}
