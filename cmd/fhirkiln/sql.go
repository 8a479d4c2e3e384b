package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/views"
	"fhirkiln/setup"
)

type sqlCommand struct {
	lakeFlags
	Engine   views.Engine `required:"" enum:"duckdb,spark,athena" placeholder:"duckdb|spark|athena" help:"The query engine: duckdb, spark or athena (also for Trino)."`
	Location string       `placeholder:"URL" help:"URL at which the engine reaches the sink, if it differs, such as s3a://BUCKET/PREFIX."`
}

// Help is shown by fhirkiln sql --help.
func (sqlCommand) Help() string {
	return `Prints views of the published data. For each resource type there is one of all versions (Patient), and one of
the current state (current_Patient): the newest version of each resource that has not been deleted since.
Print them again when a new type arrives. docs/current.md explains what current means.

  fhirkiln sql --engine duckdb | duckdb lake.duckdb
  fhirkiln sql s3://lake/claims --engine athena`
}

// Run implements the command sql.
func (cmd *sqlCommand) Run(ctx context.Context, line *cli, c console) error {
	ui := newUI(c, line, "plain", "info")
	defer ui.close()
	l, err := cmd.open(ctx, c, ui.log)
	if err != nil {
		return err
	}
	defer l.close()
	parts, err := l.live(ctx, nil, nil)
	if err != nil {
		return err
	}
	o := views.Options{Engine: cmd.Engine}
	for _, p := range parts {
		if p.Type == columnar.Deleted {
			o.Tombstones = true
		} else if !slices.Contains(o.Types, p.Type) {
			o.Types = append(o.Types, p.Type)
		}
	}
	if len(o.Types) == 0 {
		return &usageError{fmt.Errorf("%s has no published data yet, so there is nothing to view", l.where), "publish something with fhirkiln run"}
	}
	if l.config != nil {
		o.IDSpaces = setup.IDSpaces(l.config.Feeds)
	}
	if o.Root, o.State, err = cmd.locations(l); err != nil {
		return err
	}
	for _, clash := range views.Clashes(o.Types) {
		ui.log.Warn("no views for a resource type: engines cannot tell its name from another's", "type", clash.LeftOut, "other", clash.Kept)
	}
	return views.Write(c.stdout, o)
}

// locations returns where the engine finds the parts and the state.
func (cmd *sqlCommand) locations(l *openLake) (root, state string, err error) {
	if root, err = spelled(l.where); err != nil {
		return "", "", err
	}
	if state, err = spelled(l.stateAt); err != nil {
		return "", "", err
	}
	if cmd.Location == "" {
		return root, state, nil
	}
	if state == root {
		state = cmd.Location
	} else if scheme, _, ok := strings.Cut(cmd.Location, "://"); ok && strings.HasPrefix(state, "s3://") {
		state = scheme + strings.TrimPrefix(state, "s3") // reached in the same way
	}
	return cmd.Location, state, nil
}

// spelled returns a place as engines need it. A relative path would depend on where the engine
// is started.
func spelled(place string) (string, error) {
	if strings.HasPrefix(place, "s3://") {
		return place, nil
	}
	abs, err := filepath.Abs(place)
	return filepath.ToSlash(abs), err
}
