package main

import (
	"context"
	"fmt"
	"strings"

	"fhirkiln/pipeline/lake"
)

type verifyCommand struct {
	lakeFlags
	JSON bool `name:"json" help:"Print the findings as JSON."`
}

// Help is shown by fhirkiln verify --help.
func (verifyCommand) Help() string {
	return `Reads back everything that is live, to the last value, and compares it with what the feeds and their runs
recorded: every part is there, with the size, SHA-256, schema and number of rows that it was published with,
and each row turns back into a resource; feed, list of parts and report agree.

Parts of an unfinished run are not a problem. Parts that belong to no run are listed.

  fhirkiln verify lake
  fhirkiln verify s3://lake/claims         reached as AWS's environment says
  fhirkiln verify -c config.yaml           the config's sink and state`
}

// verifyError says that live data differs from what was published.
type verifyError struct{ found *lake.Verification }

func (e *verifyError) Error() string {
	if len(e.found.Problems) == 1 {
		return "1 problem: what is live is not what was published"
	}
	return fmt.Sprintf("%d problems: what is live is not what was published", len(e.found.Problems))
}

// hint says what to do about each kind of problem found.
func (e *verifyError) hint() string {
	var hints []string
	if e.found.FeedProblems > 0 {
		hints = append(hints, "restore the feed's object from the bucket's versions or a backup; without one, move the object away, and the next run exports the feed in full")
	}
	if e.found.RunProblems > 0 {
		hints = append(hints, "restore the run's parts.json and report.json from a backup; both list the same parts")
	}
	if e.found.PartProblems > 0 {
		hints = append(hints, "restore the damaged parts from a backup; without one, set keep_runs: 1 for the feed and export everything again (fhirkiln run --full); "+
			"once that exits with 0, the damaged runs are no longer live, and fhirkiln gc removes them")
	}
	if e.found.ManifestProblems > 0 {
		hints = append(hints, "fhirkiln gc rewrites the symlink manifests; until then Athena and Trino do not see exactly what is live")
	}
	return strings.Join(hints, "; ")
}

// Run implements the command verify.
func (cmd *verifyCommand) Run(ctx context.Context, line *cli, c console) error {
	ui := newUI(c, line, "plain", "info")
	defer ui.close()
	l, err := cmd.open(ctx, c, ui.log)
	if err != nil {
		return err
	}
	defer l.close()
	v, err := l.lake().Verify(ctx, func(key string, n, of int) {
		if ui.live {
			ui.screen.status(fmt.Sprintf("%s/%s parts  %s", count(int64(n)), count(int64(of)), key))
		}
	})
	ui.screen.clear()
	if err != nil {
		return err
	}
	if v.Feeds == 0 && len(v.Problems) == 0 {
		_, err := l.feeds(ctx, nil) // its error says what is missing
		return err
	}
	if cmd.JSON {
		err = ui.printJSON(v)
	} else {
		verdict := "everything is as it was published: sizes, SHA-256, schemas, row counts, every value"
		switch {
		case len(v.Problems) > 0:
			verdict = amount(len(v.Problems), "problem")
		case v.Parts == 0:
			verdict = "nothing is live"
		}
		ui.printf("%s, %s, %s: %s rows in %s read back; %s\n",
			amount(v.Feeds, "feed"), amount(v.Runs, "live run"), amount(v.Parts, "part"), count(v.Rows), size(v.Bytes), verdict)
		if v.NotLive > 0 {
			ui.printf("%s not live: of unfinished runs, or waiting for gc\n", amount(v.NotLive, "part"))
		}
		for _, p := range v.Problems {
			ui.printf("PROBLEM  %s\n", p)
		}
		for _, key := range v.Unclaimed {
			ui.printf("unclaimed  %s: no run of any feed lists it\n", key)
		}
	}
	if err == nil && len(v.Problems) > 0 {
		err = &verifyError{v}
	}
	return err
}
