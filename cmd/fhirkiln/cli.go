package main

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// cli is the command line.
type cli struct {
	Run        runCommand        `cmd:"" help:"Bring feeds of config.yaml up to date: token, export, download, Parquet."`
	Check      checkCommand      `cmd:"" help:"Say what is wrong with config.yaml, without asking any server."`
	Demo       demoCommand       `cmd:"" help:"Show the whole way on a synthetic payer, against a server in this process."`
	Cancel     cancelCommand     `cmd:"" help:"End a run that was cut off: delete the server's export, throw away what is staged."`
	Watermark  watermarkCommand  `cmd:"" help:"Up to when a feed is published: show it, or set it by hand."`
	Files      filesCommand      `cmd:"" help:"List the files that readers are to see, and the runs that they are of."`
	Report     reportCommand     `cmd:"" help:"What the latest runs have brought and how long they took, also as a page with pictures."`
	SQL        sqlCommand        `cmd:"" name:"sql" help:"Print views of all versions and of the current state, for DuckDB, Spark or Athena."`
	Compact    compactCommand    `cmd:"" help:"Merge the small files of nightly runs into large ones."`
	GC         gcCommand         `cmd:"" name:"gc" help:"Remove files that are live no more: of runs that are not kept, and what killed ones have left."`
	Convert    convertCommand    `cmd:"" help:"Turn NDJSON files into Parquet, without a server."`
	Restore    restoreCommand    `cmd:"" help:"Turn Parquet back into NDJSON, nothing lost."`
	Verify     verifyCommand     `cmd:"" help:"Read published Parquet back and check it against the runs' reports."`
	Schema     schemaCommand     `cmd:"" help:"Print the columns of a resource type, or the DDL to read them."`
	Testserver testserverCommand `cmd:"" help:"Serve a folder of NDJSON as a Bulk Data server, to practice with."`
	Completion completionCommand `cmd:"" help:"Print a script that completes commands and flags in your shell."`

	LogFormat string           `enum:",text,json" default:"" placeholder:"text|json" help:"Format of the log on stderr. Default: text, or what config.yaml says."`
	LogLevel  string           `enum:",debug,info,warn,error" default:"" placeholder:"LEVEL" help:"debug, info, warn or error. Default: info, or what config.yaml says."`
	Progress  string           `enum:"auto,on,off" default:"auto" placeholder:"auto|on|off" help:"Live progress on stderr. auto: if that is a terminal."`
	Version   kong.VersionFlag `help:"Print the version."`
}

const description = `fhirkiln turns a FHIR Bulk Data export into Parquet.

  fhirkiln demo                            see it work, in a minute
  fhirkiln check -c config.yaml            is the config right? Asks no server
  fhirkiln run -c config.yaml              bring the feeds up to date
  fhirkiln cancel --feed NAME              end a run that was cut off, at the server too
  fhirkiln files                           what is live
  fhirkiln report                          what each night has brought
  fhirkiln sql --engine duckdb             views of the current state
  fhirkiln convert PATH --out DIR          NDJSON files to Parquet, without a server
  fhirkiln testserver --data DIR           practice against your own NDJSON

Exit codes: 0 done; 1 a bug; 2 command line; 3 config; 4 credentials refused; 5 wrong address;
6 unreachable or busy, try later; 7 refused by the server; 8 incomplete or damaged data;
9 lines are not FHIR resources; 10 output not writable; 11 published but partial;
12 another process is at work; 129, 130 and 143 interrupted.`

func newParser(line *cli, c console) (*kong.Kong, error) {
	return kong.New(line,
		kong.Name("fhirkiln"), kong.Description(description),
		kong.Writers(c.stdout, c.stderr),
		kong.Vars{"version": version()},
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
			return nil, &usageError{error: fmt.Errorf("%s is empty: a variable of a script may not be set", cmp.Or(name, "an argument"))}
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
		text = regexp.MustCompile(`expected (?:int|uint|value) value but got "(-[^"]+)" \(short flag\).*`).ReplaceAllString(text, "must not be negative, as $1 is")
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
