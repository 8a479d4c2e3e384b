// Package views writes SQL views, for query engines, over what a sink holds.
//
// The common path:
//
//	err := views.Write(os.Stdout, views.Options{Engine: views.DuckDB, Root: "s3://lake/claims", Types: types, Tombstones: true})
//
// For each resource type T there is a view T, with every live version of every resource, and a
// view current_T, with the newest version of each resource that was not deleted since.
// docs/current.md says what that means. Each engine's script is a template beside this file.
//
// A row is live if its feed's object names its run. Parts of a run that is being published, or
// that gc will remove, are in the same folders, so no view trusts a folder. DuckDB reads the
// feeds' objects in each query, Spark once per session. Athena goes by symlink manifests, which
// every run that publishes keeps up to date ([ManifestKey], [Manifest]).
package views

import (
	"cmp"
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"

	"fhirkiln/fhir"
)

// Engine is a query engine that [Write] knows.
type Engine string

// The engines.
const (
	DuckDB Engine = "duckdb" // from 1.4
	Spark  Engine = "spark"  // from 3.5: temporary views of a session
	Athena Engine = "athena" // engine version 3, and Trino: tables in AWS Glue, and views over them
)

// Options say what the views cover. Engine is required.
type Options struct {
	Engine Engine

	// Root is the sink's location, a URL or a path as the engine spells it. Athena requires
	// s3://. Default s3://BUCKET/PREFIX, for the reader to replace.
	Root string

	// State is where the folder _fhirkiln with the feeds' objects is, spelled as Root is.
	// Default Root.
	State string

	// Types are the resource types that have parts, in any order. DuckDB and Spark refuse a view
	// of a type that has none. [Clashes] says which types are left out.
	Types []string

	// Tombstones says that there are parts of tombstones. If it is false and live ones come
	// later, views for DuckDB fail with an error that says so; those for other engines include
	// them.
	Tombstones bool

	// IDSpaces are the id spaces of the feeds that were given one. That of any other feed is its
	// source.
	IDSpaces map[string]string
}

// OptionsError says what is wrong with [Options].
type OptionsError struct{ Reason string }

func (e *OptionsError) Error() string { return e.Reason }

// Write writes the views to w, as a script that may be run any number of times. The script
// depends only on o, and has no time in it. Errors are an [*OptionsError], before anything is
// written, and w's.
func Write(w io.Writer, o Options) error {
	s, err := newScript(o)
	if err != nil {
		return err
	}
	file := string(o.Engine) + ".sql"
	t, err := template.New(file).Funcs(s.functions).ParseFS(templates, file)
	var text strings.Builder
	if err == nil {
		err = t.Execute(&text, s)
	}
	if err != nil {
		return fmt.Errorf("writing the views for %s: %w", o.Engine, err)
	}
	_, err = io.WriteString(w, strings.TrimSpace(text.String())+"\n")
	return err
}

//go:embed duckdb.sql spark.sql athena.sql
var templates embed.FS

// Folders of a sink (DESIGN.md, "What a sink holds").
const (
	feedsFolder   = "_fhirkiln/feeds"
	runsFolder    = "_fhirkiln/runs"
	deletedFolder = "deleted"
	partsGlob     = "*/*/*/*.parquet" // below a type: source, feed, run
)

// defaultRoot is for people to replace with their own.
const defaultRoot = "s3://BUCKET/PREFIX"

// Clash is a resource type without a view, because its name differs from that of another only in
// case: engines ignore the case of a view's name. A server's slip (PATIENT) is a type of its own
// in the files, and must not cost all others their views.
type Clash struct{ LeftOut, Kept string }

// Clashes returns the clashes among types. The type that R4 knows is kept, else the first.
func Clashes(types []string) []Clash {
	_, clashes := distinct(types)
	return clashes
}

// distinct sorts types, and separates those that get views from those that clash.
func distinct(types []string) (kept []string, clashes []Clash) {
	types = slices.Compact(slices.Sorted(slices.Values(types)))
	isR4 := func(name string) bool { return slices.Contains(fhir.R4().ResourceTypes(), name) }
	of := map[string]string{}
	for _, name := range types {
		if isR4(name) {
			of[strings.ToLower(name)] = name
		}
	}
	for _, name := range types {
		if other, ok := of[strings.ToLower(name)]; ok && other != name {
			clashes = append(clashes, Clash{LeftOut: name, Kept: other})
			continue
		}
		of[strings.ToLower(name)] = name
		kept = append(kept, name)
	}
	return kept, clashes
}

func isTypeName(name string) bool {
	return name != "" && name[0] >= 'A' && name[0] <= 'Z' && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
}

// checkPlace returns a location without trailing slashes, "" for the root of a disk.
func checkPlace(e Engine, place string) (string, error) {
	if strings.ContainsFunc(place, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", &OptionsError{"a location contains a control character"}
	}
	if e == Athena && !strings.HasPrefix(place, "s3://") {
		return "", &OptionsError{"Athena reads only from S3: a location must begin with s3://"}
	}
	return strings.TrimRight(place, "/"), nil
}

// joinPath joins a location and a path.
func joinPath(place string, path ...string) string {
	return strings.Join(append([]string{place}, path...), "/")
}

func newScript(o Options) (*script, error) {
	if !slices.Contains([]Engine{DuckDB, Spark, Athena}, o.Engine) {
		return nil, &OptionsError{fmt.Sprintf("unknown engine %q", o.Engine)}
	}
	for _, name := range o.Types {
		if !isTypeName(name) {
			return nil, &OptionsError{fmt.Sprintf("%q is not the name of a resource type", name)}
		}
	}
	types, clashes := distinct(o.Types)
	root, err := checkPlace(o.Engine, cmp.Or(o.Root, defaultRoot))
	if err != nil {
		return nil, err
	}
	state, err := checkPlace(o.Engine, cmp.Or(o.State, o.Root, defaultRoot))
	if err != nil {
		return nil, err
	}
	s := &script{S3: strings.HasPrefix(root, "s3"), Prefix: joinPath(root, ""), Tombstones: o.Tombstones, Clashes: clashes}
	switch o.Engine {
	case DuckDB:
		s.duckDB(root, state, types)
	case Spark:
		s.spark(root, state, types)
	case Athena:
		s.athena(root, state, types)
	}
	s.IDSpace = s.idSpace(o.IDSpaces)
	return s, nil
}
