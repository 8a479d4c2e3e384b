// Package config reads config.yaml.
//
// The common path:
//
//	cfg, err := config.Load("config.yaml", os.LookupEnv)
//	if err != nil {
//		return err // [Errors] prints one problem per line: file:line:column: path: what is wrong; what is allowed
//	}
//	for _, feed := range cfg.Feeds { // in the order of the file
//		source := cfg.Sources[feed.Source]
//		if len(source.Problems) > 0 {
//			... // such as a missing secret: this feed fails, and no other
//		}
//	}
//
// The result is decoded, expanded, checked, and has its defaults filled in: except for
// [Source.Problems], callers need not check anything again. The project's other packages take
// plain options, so a Go program can do without a file.
//
// # How a file is read
//
// The structs of this package are the only definition of what the file may hold. Their tags
// have names, defaults, allowed values and patterns; their comments explain the keys. The
// decoder walks the YAML nodes by them, and config.schema.json, which editors use, is
// generated from them.
//
//   - A scalar is its text as written: the group id 00123 stays 00123.
//   - ${VAR} and ${VAR:-default} are replaced in decoded values, never in the raw bytes, so
//     no value of a variable can change the document. $$ is a single $. A variable that is
//     not set is a problem; in a source, it is a problem of that source alone, and so is a
//     wrong value with a variable in it, or whatever else is wrong while a variable is empty.
//   - A key that holds a [Secret] has a twin with the suffix _file, which names a file that
//     holds the value.
//   - Relative paths start at the folder of the config file.
//   - An empty text counts as not given.
//   - Anchors, aliases and merge keys (<<) work. Top-level keys that begin with x- are
//     ignored, as a place for anchors.
package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// maxFileSize is the maximum size of the config file, in bytes. Forty payers with thousands of
// groups each need about 1 MiB.
const maxFileSize = 4 << 20

// Config is the whole file, valid and with defaults filled in.
type Config struct {
	// The servers to export from. The name becomes part of paths and logs.
	Sources map[string]Source `yaml:"sources" jsonschema:"required" want:"at least one source"`
	// What to keep in sync, each from one source. The name becomes part of paths and logs.
	Feeds []Feed `yaml:"feeds" jsonschema:"required" want:"at least one feed"`
	// Where the Parquet goes.
	Sink Sink `yaml:"sink" jsonschema:"required" want:"a mapping with url"`
	// Where fhirkiln keeps what it must remember from run to run. Default: in the sink.
	State State `yaml:"state"`
	// How many feeds run at once, if a command runs several. Most of a run is waiting for the server, so several cost little more than one.
	Parallel int `yaml:"parallel" jsonschema:"minimum=1,maximum=256,default=4"`
	// Logging. Command-line flags take precedence.
	Log Log `yaml:"log"`

	// Warnings are settings that work but deserve a look, sorted by line.
	Warnings []Problem `yaml:"-"`
}

// Feed returns the feed with the given name, and whether there is one.
func (c *Config) Feed(name string) (Feed, bool) {
	for _, f := range c.Feeds {
		if f.Name == name {
			return f, true
		}
	}
	return Feed{}, false
}

// Log says how much to log, and how.
type Log struct {
	// text for people, json for log collectors. Either way, one line per event.
	Format string `yaml:"format" jsonschema:"enum=text,enum=json,default=text"`
	// The lowest level to log.
	Level string `yaml:"level" jsonschema:"enum=debug,enum=info,enum=warn,enum=error,default=info"`
}

// Load is like [Parse] for the file at path. If the file cannot be read, it returns that
// error; every other error is an [Errors].
//
// env looks up environment variables; it is usually [os.LookupEnv].
func Load(path string, env func(string) (string, bool)) (*Config, error) {
	return load(path, env, false)
}

// LoadPlaces is like [Load], for callers that contact no server. It ignores problems with
// sources, so that nobody needs a payer's secrets to read what was published. The file may
// leave out sources and feeds. Sources of the result is nil.
func LoadPlaces(path string, env func(string) (string, bool)) (*Config, error) {
	return load(path, env, true)
}

func load(path string, env func(string) (string, bool), places bool) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the config: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading the config: %w", err)
	}
	return parse(path, data, filepath.Dir(path), env, places)
}

// Parse decodes data, expands variables, reads secret files and groups files, checks
// everything and fills in defaults. It reports all problems that it finds, not just the first:
// its error is always an [Errors]. If all that is wrong is in sources whose variables or secret
// files are wrong or empty, there is no error; see [Source.Problems] and [Config.Check].
//
// name is the file's name in messages. dir is the folder that relative paths start at. env
// looks up environment variables. No message ever holds a secret or the value of a variable:
// messages quote only the file, and only the values of keys that hold no secret.
func Parse(name string, data []byte, dir string, env func(string) (string, bool)) (*Config, error) {
	return parse(name, data, dir, env, false)
}

// parse is [Parse]; if places is set, for [LoadPlaces].
func parse(name string, data []byte, dir string, env func(string) (string, bool), places bool) (*Config, error) {
	d := &decoder{
		file:        name,
		dir:         dir,
		env:         env,
		at:          map[string]position{},
		failed:      map[string]bool{},
		outside:     map[string]bool{},
		doubtful:    map[string]bool{},
		dueTo:       map[string]string{},
		secretFiles: map[string]string{},
		tags:        map[reflect.Type][]field{},
	}
	cfg := &Config{}
	if root := d.document(data); root != nil {
		d.object(root, "", reflect.ValueOf(cfg).Elem())
		d.check(cfg)
	}
	if places {
		d.problems = slices.DeleteFunc(d.problems, func(p Problem) bool {
			leftOut := (p.Path == "sources" || p.Path == "feeds") && !d.given(p.Path)
			return leftOut || strings.HasPrefix(p.Path, "sources.")
		})
		d.warnings = slices.DeleteFunc(d.warnings, func(p Problem) bool { return strings.HasPrefix(p.Path, "sources.") })
		cfg.Sources = nil
	}
	if slices.ContainsFunc(d.problems, func(p Problem) bool { return d.stops(p) == "" }) {
		return nil, Errors(sorted(d.problems))
	}
	d.distribute(cfg.Sources)
	cfg.Warnings = sorted(d.warnings)
	return cfg, nil
}

// check checks how values go together, which no single value shows. It also brings them into
// the form that callers get.
func (d *decoder) check(cfg *Config) {
	for name, s := range cfg.Sources {
		d.checkSource(join("sources", name), &s)
		cfg.Sources[name] = s
	}
	for i := range cfg.Feeds {
		d.checkFeed(join("feeds", cfg.Feeds[i].Name), &cfg.Feeds[i], cfg.Sources)
	}
	cfg.Sink.URL = d.checkPlace("sink", cfg.Sink.URL, &cfg.Sink.S3)
	d.checkParquet(join("sink", "parquet"), &cfg.Sink.Parquet)
	d.checkState("state", &cfg.State, cfg.Sink)
}
