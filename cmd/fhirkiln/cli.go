package main

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"fhirkiln/config"
)

// cli is the command line. A new command that only prints must also be in [printsOnly].
type cli struct {
	Run        runCommand        `cmd:"" group:"feeds" help:"Bring feeds up to date: export, download, convert, publish."`
	Check      checkCommand      `cmd:"" group:"feeds" help:"Check config.yaml, without contacting any server."`
	Cancel     cancelCommand     `cmd:"" group:"feeds" help:"Discard an unfinished run, at the server too."`
	Report     reportCommand     `cmd:"" group:"feeds" help:"Show what recent runs brought and how long they took."`
	Watermark  watermarkCommand  `cmd:"" group:"feeds" help:"Show or set up to when a feed is published."`
	Files      filesCommand      `cmd:"" group:"data" help:"List the live files, which are the ones to read."`
	SQL        sqlCommand        `cmd:"" name:"sql" group:"data" help:"Print SQL views for DuckDB, Spark, Athena or Trino."`
	Schema     schemaCommand     `cmd:"" group:"data" help:"Print the columns of a resource type, or DDL for them."`
	Restore    restoreCommand    `cmd:"" group:"data" help:"Turn Parquet back into the NDJSON it came from."`
	Verify     verifyCommand     `cmd:"" group:"data" help:"Read live Parquet back and check it against what was published."`
	Compact    compactCommand    `cmd:"" group:"data" help:"Merge the small files of nightly runs into large ones."`
	GC         gcCommand         `cmd:"" name:"gc" group:"data" help:"Remove files that are no longer live."`
	Demo       demoCommand       `cmd:"" group:"alone" help:"See it all work against a synthetic payer, in a minute."`
	Convert    convertCommand    `cmd:"" group:"alone" help:"Convert NDJSON files to Parquet, without a server."`
	Testserver testserverCommand `cmd:"" group:"alone" help:"Serve a folder of NDJSON as a Bulk Data server."`
	Completion completionCommand `cmd:"" group:"alone" help:"Print a script for completion in your shell."`

	LogFormat string           `enum:",text,json" default:"" placeholder:"text|json" help:"Format of the log on stderr. Default: log.format in config.yaml, else text."`
	LogLevel  string           `enum:",debug,info,warn,error" default:"" placeholder:"LEVEL" help:"Lowest level to log: debug, info, warn or error. Default: log.level in config.yaml, else info."`
	Progress  string           `enum:"auto,on,off" default:"auto" placeholder:"auto|on|off" help:"Show live progress on stderr; auto: if it is a terminal."`
	Version   kong.VersionFlag `help:"Print the version."`
}

const description = `fhirkiln turns a FHIR Bulk Data export into Parquet.

It gets a token, starts the export, waits for it, downloads the NDJSON, and publishes Parquet to a folder or to
S3. config.yaml says what to export from which server.

Try it:
  fhirkiln demo                     with a synthetic payer, in a minute
  fhirkiln convert PATH --out lake  with NDJSON files that you have
  fhirkiln testserver --data DIR    with your NDJSON on a test server

Use it:
  fhirkiln check                    is config.yaml right?
  fhirkiln run                      bring all feeds up to date, every night
  fhirkiln report                   what did each night bring?
  fhirkiln sql --engine duckdb      views of the current state

Exit codes: 0 done; 1 a bug; 2 command line; 3 config; 4 credentials refused; 5 wrong address;
6 unreachable or busy, try later; 7 refused by the server; 8 incomplete or damaged data;
9 lines are not FHIR resources, or Parquet is not what was published; 10 storage cannot be read or written;
11 published but partial; 12 another process is working on the feed; 129, 130 and 143 interrupted.

Learn more: README.md and docs/running.md; docs/exit-codes.md says what to do about each exit code.`

// groups are the headings of the commands in --help.
var groups = kong.ExplicitGroups([]kong.Group{
	{Key: "feeds", Title: "Keeping feeds up to date:"},
	{Key: "data", Title: "Working with published data:"},
	{Key: "alone", Title: "Without a config:"},
})

func newParser(line *cli, c console) (*kong.Kong, error) {
	return kong.New(line,
		kong.Name("fhirkiln"), kong.Description(description),
		kong.Writers(c.stdout, c.stderr),
		kong.Vars{"version": version()}, groups,
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Exit(func(code int) { panic(&exitRequest{code}) }),
	)
}

// exitRequest carries kong's request to exit out of its parser.
type exitRequest struct{ code int }

func (e *exitRequest) Error() string { return fmt.Sprintf("exit %d", e.code) }

func parse(parser *kong.Kong, args []string) (ctx *kong.Context, err error) {
	defer func() {
		if r := recover(); r != nil {
			exit, ok := r.(*exitRequest)
			if !ok {
				panic(r)
			}
			err = exit
		}
	}()
	switch {
	case len(args) == 0:
		args = []string{"--help"}
	case args[0] == "help": // like git and go
		args = append(slices.Clone(args[1:]), "--help")
	case args[0] == "version":
		args = []string{"--version"}
	}
	for _, a := range args {
		// Otherwise --feed "$UNSET" would silently mean all feeds.
		if name, value, given := strings.Cut(a, "="); a == "" || strings.HasPrefix(name, "--") && given && value == "" {
			return nil, &usageError{error: fmt.Errorf("%s is empty; a variable in a script may be unset", cmp.Or(name, "an argument"))}
		}
	}
	return parser.Parse(args)
}

// usageError is an error in the command line, or a name in it of something that does not
// exist.
type usageError struct {
	error
	hint string // "" means the command's --help
}

func (e *usageError) Unwrap() error { return e.error }

// usage turns the parser's errors into a [usageError], and adds a hint to those without.
func usage(err error, command string) error {
	if _, ok := errors.AsType[*kong.ParseError](err); ok {
		text := strings.ReplaceAll(err.Error(), `one of "",`, "one of ") // "" stands for the default
		text = regexp.MustCompile(`expected (?:int|uint|value) value but got "(-[^"]+)" \(short flag\).*`).ReplaceAllString(text, "must not be negative, but is $1")
		err = &usageError{error: errors.New(text)}
	}
	if wrong, ok := errors.AsType[*usageError](err); ok && wrong.hint == "" {
		name, _, _ := strings.Cut(command, " <") // without positional arguments
		name, _, _ = strings.Cut(name, " [")
		wrong.hint = strings.Join(append(strings.Fields("fhirkiln "+name), "--help"), " ")
	}
	return err
}

// commandOf returns the command named by a command line that failed to parse, or "".
func commandOf(err error) string {
	if parsing, ok := errors.AsType[*kong.ParseError](err); ok && parsing.Context != nil {
		return parsing.Context.Command()
	}
	return ""
}

// durationFlag is a flag for a duration of at most a year, written as in config.yaml: 24h, 7d.
type durationFlag time.Duration

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *durationFlag) UnmarshalText(text []byte) error {
	parsed, err := config.ParseDuration(string(text))
	if err == nil && parsed > 366*24*time.Hour { // ParseDuration truncates longer ones
		err = errors.New("is more than a year")
	}
	if err != nil {
		return fmt.Errorf("%q %w; want a duration such as 24h or 7d", text, err)
	}
	*d = durationFlag(parsed)
	return nil
}

// logFormatOf finds --log-format in a command line that failed to parse.
func logFormatOf(args []string) string {
	for i, a := range args {
		if value, ok := strings.CutPrefix(a, "--log-format="); ok {
			return value
		}
		if a == "--log-format" && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}
