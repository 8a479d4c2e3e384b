package main

import (
	"context"
	"encoding/json"
	"fmt"

	"fhirkiln/pipeline"
	"fhirkiln/sink"
)

type verifyCommand struct {
	Path string `arg:"" type:"existingdir" placeholder:"DIR" help:"The folder that runs were published to (sink.url, --out)."`
	JSON bool   `name:"json" help:"Print what was found as JSON."`
}

// Help is shown by fhirkiln verify --help.
func (verifyCommand) Help() string {
	return `Reads every published part back, to the last value, and holds it against the report of its run: size,
SHA-256, schema, number of rows, and that each row turns back into a resource.`
}

// verifyError says that published data is not what was published.
type verifyError struct{ problems int }

func (e *verifyError) Error() string {
	return fmt.Sprintf("%d things are not as they were published", e.problems)
}

// Run implements the command verify.
func (cmd *verifyCommand) Run(ctx context.Context, line *cli, c console) error {
	dir, err := sink.ReadDir(cmd.Path)
	if err != nil {
		return err
	}
	defer dir.Close()
	ui := newUI(c, line, "plain", "info")
	defer ui.close()
	v, err := pipeline.Verify(ctx, dir, dir, func(key string) {
		if ui.live {
			ui.screen.status("reading " + key)
		}
	})
	if err != nil {
		return err
	}
	if v.Runs == 0 {
		return &usageError{error: fmt.Errorf("%s holds no run of fhirkiln's (no _fhirkiln/runs/*/report.json)", cmd.Path)}
	}
	if cmd.JSON {
		ui.screen.clear()
		err = json.NewEncoder(c.stdout).Encode(v)
	} else {
		ui.printf("%d runs, %d parts: %s rows in %s read back; sizes, SHA-256, schemas, row counts and every value checked.\n",
			v.Runs, v.Parts, count(v.Rows), size(v.Bytes))
		for _, p := range v.Problems {
			ui.printf("PROBLEM  %s\n", p)
		}
		for _, key := range v.Unclaimed {
			ui.printf("unknown  %s: no run's report names it (perhaps left by a killed run)\n", key)
		}
	}
	if err == nil && len(v.Problems) > 0 {
		err = &verifyError{len(v.Problems)}
	}
	return err
}
