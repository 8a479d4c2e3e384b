package main

import (
	"context"
	"fmt"
	"strings"

	"fhirkiln/pipeline/lake"
)

type verifyCommand struct {
	lakeFlags
	JSON bool `name:"json" help:"Print what was found as JSON."`
}

// Help is shown by fhirkiln verify --help.
func (verifyCommand) Help() string {
	return `Reads all that is live back, to the last value, and holds it against what the feeds and their runs say:
every part is there, with the size, SHA-256, schema and number of rows that it was published with, and
each row turns back into a resource; feed, list of parts and report agree.

Parts of a run that is not finished are no problem. Parts that are of no run are named.

  fhirkiln verify lake
  fhirkiln verify s3://lake/claims         region, endpoint and credentials from AWS's environment
  fhirkiln verify -c config.yaml           the config's sink and state`
}

// verifyError says that live data differs from what was published.
type verifyError struct{ found *lake.Verification }

func (e *verifyError) Error() string {
	if len(e.found.Problems) == 1 {
		return "1 thing is not as it was published"
	}
	return fmt.Sprintf("%d things are not as they were published", len(e.found.Problems))
}

// hint says what to do about each kind of problem found.
func (e *verifyError) hint() string {
	var hints []string
	if e.found.FeedProblems > 0 {
		hints = append(hints, "put the feed's object back from the bucket's versions or a backup; without one, move it away, and the next run exports the feed in full")
	}
	if e.found.RunProblems > 0 {
		hints = append(hints, "put the run's parts.json and report.json back from a backup; both have the same parts")
	}
	if e.found.PartProblems > 0 {
		hints = append(hints, "put the damaged parts back from a backup; without one, set keep_runs: 1 for the feed, export everything again (fhirkiln run --full), "+
			"and once that has ended with 0 the damaged runs are live no more; fhirkiln gc removes them")
	}
	if e.found.ManifestProblems > 0 {
		hints = append(hints, "fhirkiln gc writes the symlink manifests anew; until then Athena and Trino see something else than what is live")
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
		verdict := "all is as it was published: sizes, SHA-256, schemas, row counts, every value"
		switch {
		case len(v.Problems) > 0:
			verdict = amount(len(v.Problems), "problem")
		case v.Parts == 0:
			verdict = "nothing is live"
		}
		ui.printf("%s, %s, %s: %s rows in %s read back; %s\n",
			amount(v.Feeds, "feed"), amount(v.Runs, "live run"), amount(v.Parts, "part"), count(v.Rows), size(v.Bytes), verdict)
		if v.NotLive > 0 {
			ui.printf("%s not live: of runs that are not finished, or that wait for gc\n", amount(v.NotLive, "part"))
		}
		for _, p := range v.Problems {
			ui.printf("PROBLEM  %s\n", p)
		}
		for _, key := range v.Unclaimed {
			ui.printf("unclaimed  %s: no run of any feed names it\n", key)
		}
	}
	if err == nil && len(v.Problems) > 0 {
		err = &verifyError{v}
	}
	return err
}
