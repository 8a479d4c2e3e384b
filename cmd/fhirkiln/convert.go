package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"fhirkiln/config"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/setup"
)

type convertCommand struct {
	Paths          []string `arg:"" placeholder:"PATH" help:"NDJSON files, folders or patterns, plain, .gz or .zst; - is stdin."`
	Out            string   `required:"" placeholder:"DIR" help:"Where the Parquet goes: a folder, or s3://BUCKET/PREFIX."`
	Config         string   `short:"c" placeholder:"FILE" help:"Config file whose sink.s3 says how to reach a bucket, and sink.parquet how to write Parquet. Default: AWS's own environment variables and files."`
	Source         string   `default:"files" placeholder:"NAME" help:"Name for where the data comes from, used in paths and in the column __origin. Default: files."`
	Workers        int      `default:"2" placeholder:"N" help:"How many files to convert at once. Default: 2."`
	MaxLineMiB     int      `name:"max-line-mib" default:"128" placeholder:"MIB" help:"Maximum length of a line; longer ones go to quarantine. Default: 128."`
	MaxQuarantined percent  `default:"0.1%" placeholder:"PERCENT" help:"Share of a type's lines that may go to quarantine before nothing is published. Default: 0.1%."`
	PartMiB        int      `name:"part-mib" default:"256" placeholder:"MIB" help:"Parquet size at which a file is closed and the next one started. Default: 256."`
	parquetFlags
	JSON bool `name:"json" help:"Print the report as JSON instead of a table."`
}

// Help is shown by fhirkiln convert --help.
func (convertCommand) Help() string {
	return `Needs no server and no config. Each line says its own resource type, so a file may hold several:

  fhirkiln convert export/ --out lake
  fhirkiln convert 'claims-*.ndjson.gz' --out lake
  zcat dump.gz | fhirkiln convert - --out lake
  AWS_REGION=eu-central-1 fhirkiln convert export/ --out s3://lake/claims
  fhirkiln convert export/ --out lake --compression snappy --bloom-filter

Files without any resource cause a warning, not an error. An empty stdin means that the program before the
pipe has failed, and exits with code 2.

A bucket is reached the way AWS's own tools reach it: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL, keys, roles.`
}

// Run implements the command convert: the pipeline of run, on local files.
func (cmd *convertCommand) Run(ctx context.Context, line *cli, c console) error {
	switch {
	case !ledger.IsName("convert-"+cmd.Source) || !ledger.IsName(cmd.Source):
		return &usageError{error: fmt.Errorf("--source %q must be a short name of a-z, 0-9 and -, starting with a letter: it becomes part of paths", cmd.Source)}
	case cmd.Workers < 1:
		return &usageError{error: fmt.Errorf("--workers must be at least 1, not %d", cmd.Workers)}
	case cmd.MaxLineMiB < 1 || cmd.MaxLineMiB > 1024:
		return &usageError{error: fmt.Errorf("--max-line-mib must be from 1 to 1024, not %d", cmd.MaxLineMiB)}
	case cmd.PartMiB < 1 || cmd.PartMiB > 10240:
		return &usageError{error: fmt.Errorf("--part-mib must be from 1 to 10240, not %d", cmd.PartMiB)}
	}
	if i := slices.Index(cmd.Paths, "-"); i >= 0 && slices.Contains(cmd.Paths[i+1:], "-") {
		return &usageError{error: errors.New("- is given twice, but there is only one stdin")}
	}
	var cfg *config.Config
	if cmd.Config != "" {
		var err error
		if cfg, err = config.LoadPlaces(cmd.Config, c.env); err != nil {
			return err
		}
	}
	written, err := cmd.over(sinkParquet(cfg))
	if err != nil {
		return err
	}
	stdin := bufio.NewReader(os.Stdin)
	files, err := pipeline.FindFiles(stdin, cmd.Paths...)
	if err != nil {
		return &usageError{error: err}
	}
	if len(cmd.Paths) == 1 && cmd.Paths[0] == "-" {
		if err := notEmpty(ctx, stdin); err != nil {
			return err
		}
	}
	ui := newUI(c, line, "plain", "info")
	defer ui.close()
	settings := s3Settings(cfg, c.env)
	out, err := openOut(ctx, cmd.Out, settings, c.options(ui.log))
	if err != nil {
		return err
	}
	defer out.Close()
	o := pipeline.Options{
		Feed:           pipeline.Feed{Name: "convert-" + cmd.Source, Source: cmd.Source, Purpose: "convert"},
		Sink:           out,
		Workers:        cmd.Workers,
		PartBytes:      int64(cmd.PartMiB) << 20,
		MaxLine:        cmd.MaxLineMiB << 20,
		MaxQuarantined: setup.MaxQuarantined(float64(cmd.MaxQuarantined)),
	}
	setup.SetParquet(&o, written)
	c.limitGarbage(1, o.Workers, runtime.GOMAXPROCS(0), o.RowGroupBytes)
	report, err := ui.watch(ctx, o, func(o pipeline.Options) (*lake.Report, error) { return pipeline.Convert(ctx, files, o) })
	if err == nil && report.Resources == 0 { // a night without changes, or a mistake
		ui.log.Warn("the input has no resources", "files", len(report.Files))
	}
	if cmd.JSON {
		return errors.Join(err, ui.printReport(report, err))
	}
	ui.printResult(report)
	if err == nil && len(report.Parts) > 0 {
		ui.printf("\nOpen it in DuckDB:\n  %s\n", duckdbCommand(out.String(), settings, report))
	}
	return err
}

// notEmpty rejects an empty stdin: the program before the pipe has failed.
func notEmpty(ctx context.Context, stdin *bufio.Reader) error {
	first := make(chan error, 1)
	go func() {
		_, err := stdin.Peek(1)
		first <- err
	}()
	select {
	case err := <-first:
		if err == io.EOF {
			return &usageError{errors.New("stdin is empty: the input has no resources"), "check what the program before the pipe printed"}
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// percent is a share, written like "0.1%".
type percent float64

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *percent) UnmarshalText(text []byte) error {
	number, ok := strings.CutSuffix(string(text), "%")
	v, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(v >= 0 && v <= 100) { // NaN is neither
		return fmt.Errorf("%q is not a percentage from 0%% to 100%%", text)
	}
	*p = percent(v / 100)
	return nil
}
