package main

import (
	"context"

	"fhirkiln"
	"fhirkiln/config"
	"fhirkiln/setup"
)

type checkCommand struct {
	Config string `short:"c" default:"config.yaml" placeholder:"FILE" help:"The config file. Default: config.yaml."`
	Schema bool   `help:"Print the JSON Schema of config.yaml instead, for use in editors."`
}

// Help is shown by fhirkiln check --help.
func (checkCommand) Help() string {
	return `Reads the config as run does, with its variables, secrets, keys and certificates, and reports every problem.
It contacts no server, opens no sink and writes nothing. The exit code is 0; 3 if the config has problems; 2
if a key or certificate of a feed's source cannot be used, in which case each such source is reported.

  fhirkiln check -c config.yaml
  fhirkiln check --schema >config.schema.json`
}

// Run implements the command check.
func (cmd *checkCommand) Run(ctx context.Context, line *cli, c console) error {
	if cmd.Schema {
		_, err := c.stdout.Write(fhirkiln.ConfigSchema())
		return err
	}
	cfg, err := loadConfig(config.Load, cmd.Config, c)
	if err != nil {
		return err
	}
	ui := newUI(c, line, cfg.Log.Format, cfg.Log.Level)
	defer ui.close()
	ui.warn(cfg)
	if err := cfg.Check(); err != nil {
		return err
	}
	if err := checkClients(cfg, line, c, ui); err != nil {
		return err
	}
	parts, err := spelled(cfg.Sink.URL)
	if err != nil {
		return err
	}
	state, err := spelled(cfg.State.URL)
	if err != nil {
		return err
	}
	places := "sink " + parts
	if state != parts {
		places += ", state " + state
	}
	ui.printf("%s is valid: %s, %s; %s\n", cmd.Config, amount(len(cfg.Sources), "source"), amount(len(cfg.Feeds), "feed"), places)
	return nil
}

// checkClients creates the clients of the feeds' sources, and so reads their keys and
// certificates. It reports what is wrong with each source, except for the last such error,
// which it returns for the command to report.
func checkClients(cfg *config.Config, line *cli, c console, ui *ui) error {
	checked := map[string]bool{}
	var wrong error
	for _, feed := range cfg.Feeds {
		if checked[feed.Source] {
			continue
		}
		checked[feed.Source] = true
		_, err := setup.Client(cfg.Sources[feed.Source], nil, c.options(ui.log))
		if err == nil {
			continue
		}
		if wrong != nil {
			tell(c, line.LogFormat, wrong)
		}
		wrong = err
	}
	return wrong
}
