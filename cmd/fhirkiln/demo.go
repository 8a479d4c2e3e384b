package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fhirkiln/auth"
	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/bulk/bulktest/population"
	"fhirkiln/columnar"
	"fhirkiln/config"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/setup"
	"fhirkiln/transport"
)

type demoCommand struct {
	Out      string `default:"fhirkiln-demo" placeholder:"DIR" help:"Where the Parquet goes: a folder, or s3://BUCKET/PREFIX, reached the way AWS's own tools reach it. Default: ./fhirkiln-demo."`
	Patients int    `default:"100" help:"How many members to generate. Default: 100."`
	Seed     uint64 `default:"1" help:"Seed of the generator: the same seed makes the same people. Default: 1."`
	JSON     bool   `name:"json" help:"Print the report as JSON instead of a table."`
}

// Help is shown by fhirkiln demo --help.
func (demoCommand) Help() string {
	return `Serves a synthetic payer on this machine, runs the real pipeline against it, and leaves Parquet in --out.
At the end it prints a table of what it wrote, and a DuckDB command to open it with. Needs no config.

  fhirkiln demo
  fhirkiln demo --patients 20000 --seed 2 --out big`
}

// Run implements the command demo: the pipeline of run, against a server in this process,
// over HTTP on loopback.
func (d *demoCommand) Run(ctx context.Context, line *cli, c console) error {
	if d.Patients < 1 {
		return &usageError{error: fmt.Errorf("--patients must be at least 1, not %d", d.Patients)}
	}
	ui := newUI(c, line, "plain", "info")
	defer ui.close()
	settings := s3Settings(nil, c.env)
	out, err := openOut(ctx, d.Out, settings, c.options(ui.log))
	if err != nil {
		return err
	}
	defer out.Close()
	if err := d.onlyDemos(ctx, out); err != nil {
		return err
	}
	server, err := bulktest.NewServer(bulktest.Options{
		Data:       population.New(population.Options{Seed: d.Seed, Patients: d.Patients}),
		RetryAfter: time.Second,
	})
	if err != nil {
		return err
	}
	defer server.Close()

	ui.log.Info("serving a synthetic payer", "patients", d.Patients, "fhir", server.FHIR())
	http := transport.New(transport.Options{UserAgent: userAgent()})
	client, err := bulk.New(bulk.Options{
		Base: server.FHIR(),
		HTTP: http,
		Credentials: auth.NewCache(auth.ClientCredentials{
			TokenURL:     server.TokenURL(),
			ClientID:     bulktest.DefaultClientID,
			ClientSecret: bulktest.DefaultClientSecret,
			Scope:        bulktest.DefaultScope,
			HTTP:         http,
		}),
		Log: ui.log,
		// The server is in this process, so frequent polls do no harm.
		Poll: bulk.Poll{Min: 100 * time.Millisecond, Max: 500 * time.Millisecond},
	})
	if err != nil {
		return err
	}
	report, err := ui.watch(ctx, pipeline.Options{
		Feed:   pipeline.Feed{Name: demoFeed, Source: demoFeed, Purpose: "demo", Request: bulk.Request{Level: bulk.System}},
		Full:   true, // so that a second demo in the same folder shows something, despite the watermark
		Server: pipeline.Client(client),
		Sink:   out,
	}, func(o pipeline.Options) (*lake.Report, error) { return pipeline.Run(ctx, o) })
	if d.JSON {
		return errors.Join(err, ui.printReport(report, err))
	}
	ui.printResult(report)
	if err == nil {
		ui.printf("\nOpen it in DuckDB:\n  %s\n", duckdbCommand(out.String(), settings, report))
	}
	return err
}

// onlyDemos rejects a place that other feeds publish to: it would mix synthetic people with
// real ones.
func (d *demoCommand) onlyDemos(ctx context.Context, out setup.Place) error {
	feeds, err := ledger.List(ctx, out)
	if err != nil {
		return err
	}
	if feeds = slices.DeleteFunc(feeds, func(name string) bool { return name == demoFeed }); len(feeds) > 0 {
		return &usageError{fmt.Errorf("%s holds other feeds (%s), and the demo's people are made up", out, strings.Join(feeds, ", ")),
			"choose another folder with --out"}
	}
	return nil
}

// demoFeed is the name of the feed and of its source.
const demoFeed = "demo"

// duckdbCommand returns a command line for DuckDB that counts a run's resources. It reaches
// a bucket with the AWS CLI's credentials, at the store that settings name.
func duckdbCommand(out string, settings config.S3, r *lake.Report) string {
	secret := ""
	if strings.HasPrefix(out, "s3://") {
		secret = "INSTALL aws; CREATE SECRET (TYPE s3, PROVIDER credential_chain"
		if u, err := url.Parse(settings.Endpoint); err == nil && u.Host != "" {
			style := "vhost"
			if settings.PathStyle {
				style = "path"
			}
			secret += fmt.Sprintf(", ENDPOINT '%s', URL_STYLE '%s', USE_SSL %t", u.Host, style, u.Scheme == "https")
		}
		secret += "); "
	} else if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, out); err == nil && filepath.IsLocal(rel) {
			out = rel
		}
	}
	// [A-Z]* excludes the tombstones, which are in the folder deleted.
	glob := filepath.ToSlash(out) + "/" + columnar.LayoutPath + "/[A-Z]*/*/*/kiln_run=" + r.Run + "/*.parquet"
	return fmt.Sprintf(`duckdb -c "%sSELECT resourceType, count(*) AS resources FROM '%s' GROUP BY ALL ORDER BY ALL"`, secret, glob)
}
