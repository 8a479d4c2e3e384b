package main

import (
	"context"

	"fhirkiln/columnar"
	"fhirkiln/config"
	"fhirkiln/pipeline"
)

// session is what a command needs to write to sink and state. Its feeds, which may run in
// parallel, share all of it.
type session struct {
	ui           *ui
	config       *config.Config
	sources      sources
	parts, state place
	cores        *columnar.Cores // if nil, each feed uses all of the machine's
}

// openSession opens what the config names, and checks that it is writable. close ends it.
func openSession(ctx context.Context, cfg *config.Config, line *cli, c console) (*session, error) {
	ui := newUI(c, line, cfg.Log.Format, cfg.Log.Level)
	ui.warn(cfg)
	parts, state, err := openPlaces(ctx, cfg, ui.log)
	if err != nil {
		ui.close()
		return nil, err
	}
	return &session{ui: ui, config: cfg, parts: parts, state: state, sources: newSources(cfg, state, c.patience, ui.log)}, nil
}

func (s *session) close() {
	s.state.Close()
	s.parts.Close()
	s.ui.close()
}

// places returns options for operations that ask no server.
func (s *session) places(feed pipeline.Feed) pipeline.Options {
	return pipeline.Options{Feed: feed, Sink: s.parts, State: s.state, LeaseTTL: s.config.State.LeaseTTL, Log: s.ui.log}
}

// options returns the pipeline's options for a feed.
func (s *session) options(feed config.Feed) (pipeline.Options, error) {
	source := s.sources[feed.Source]
	client, err := source.client()
	if err != nil {
		return pipeline.Options{}, err
	}
	o := s.places(pipelineFeed(feed, source.Source, s.config.Feeds))
	o.Server = pipeline.Client(client)
	o.KeepJob = keepJob(source.Source)
	o.ExportDeadline = exportDeadlines * source.Poll.Deadline
	o.Turn = source.turns.take
	o.Workers = source.Downloads
	o.Cores = s.cores
	o.PartBytes = int64(feed.PartMiB) << 20
	o.MaxLine = feed.MaxLineMiB << 20
	o.MaxQuarantined = percent(feed.MaxQuarantined.Share()).orNone()
	setParquet(s.config.Sink.Parquet, &o)
	return o, nil
}
