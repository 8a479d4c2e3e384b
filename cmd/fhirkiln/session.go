package main

import (
	"context"
	"log/slog"

	"fhirkiln/config"
	"fhirkiln/setup"
)

// session is what a command needs to write to sink and state.
type session struct {
	*setup.Session
	ui *ui
}

// openSession opens what the config names, and checks that it is writable. close ends it.
func openSession(ctx context.Context, cfg *config.Config, line *cli, c console) (*session, error) {
	ui := newUI(c, line, cfg.Log.Format, cfg.Log.Level)
	ui.warn(cfg)
	opened, err := setup.Open(ctx, cfg, c.options(ui.log))
	if err != nil {
		ui.close()
		return nil, err
	}
	return &session{opened, ui}, nil
}

func (s *session) close() {
	s.Close()
	s.ui.close()
}

// options are for package setup.
func (c console) options(log *slog.Logger) setup.Options {
	return setup.Options{UserAgent: userAgent(), Patience: c.patience, Log: log}
}

// userAgent names the program to servers and stores.
func userAgent() string { return "fhirkiln/" + version() }
