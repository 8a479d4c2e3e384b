package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"

	"fhirkiln/columnar"
	"fhirkiln/columnar/ddl"
	"fhirkiln/fhir"
	"fhirkiln/spelling"
)

type schemaCommand struct {
	Type     string     `arg:"" optional:"" placeholder:"TYPE" help:"Resource type, such as Patient."`
	Format   ddl.Format `enum:"parquet,duckdb,spark,athena,json" default:"parquet" placeholder:"parquet|duckdb|spark|athena|json" help:"Parquet's own notation, an engine's DDL, or JSON for programs. Default: parquet."`
	Location string     `placeholder:"PATH" help:"The sink's URL or folder, for the DDL. Default: s3://BUCKET/PREFIX, a placeholder."`
	List     bool       `help:"List the resource types of R4, with the number of columns of each."`
}

// Help is shown by fhirkiln schema --help.
func (schemaCommand) Help() string {
	return `The columns of a resource type depend only on its name, never on the data. A type that R4 does not have gets
the columns that every resource has.

  fhirkiln schema Patient
  fhirkiln schema Patient --format duckdb --location lake | duckdb lake.duckdb
  fhirkiln schema Claim --format athena --location s3://lake/claims`
}

// Run implements the command schema.
func (cmd *schemaCommand) Run(c console) error {
	if cmd.List {
		if cmd.Type != "" || cmd.Format != "parquet" || cmd.Location != "" {
			return &usageError{errors.New("--list takes no type and no other flag"), "fhirkiln schema --list, or fhirkiln schema TYPE --format json"}
		}
		return listTypes(c.stdout)
	}
	known, err := checkType(cmd.Type)
	if err != nil {
		return err
	}
	location, err := cmd.location()
	if err != nil {
		return err
	}
	if !known {
		fmt.Fprintf(c.stderr, "fhirkiln: R4 has no type %s; it gets the columns that every resource has\n", cmd.Type)
	}
	return ddl.Write(c.stdout, columnar.LayoutOf(cmd.Type), cmd.Format, ddl.Options{Location: location})
}

// location returns the flag's location in a form that the engine can use.
func (cmd *schemaCommand) location() (string, error) {
	switch {
	case cmd.Location == "":
		return "", nil
	case cmd.Format == ddl.Athena && !strings.HasPrefix(cmd.Location, "s3://"):
		return "", &usageError{fmt.Errorf("--location %s: Athena reads only from S3", cmd.Location), "use --location s3://BUCKET/PREFIX"}
	case cmd.Format == ddl.Spark && !strings.Contains(cmd.Location, ":/"):
		return filepath.Abs(cmd.Location) // Spark would resolve a relative path in its warehouse
	}
	return cmd.Location, nil
}

func listTypes(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "resource type\tcolumns")
	for _, name := range fhir.R4().ResourceTypes() {
		fmt.Fprintf(t, "%s\t%d\n", name, columns(columnar.LayoutOf(name).Fields))
	}
	return t.Flush()
}

// columns counts the leaf columns.
func columns(fields []*columnar.Field) int {
	n := 0
	for _, f := range fields {
		if f.Type == columnar.Struct {
			n += columns(f.Fields)
		} else {
			n++
		}
	}
	return n
}

// checkTypes rejects names that look like misspelled resource types. "deleted" is allowed.
func checkTypes(names []string) error {
	for _, name := range names {
		if name == columnar.Deleted {
			continue
		}
		if _, err := checkType(name); err != nil {
			return err
		}
	}
	return nil
}

// checkType reports whether R4 knows a resource type. An unknown name is an error only if it
// looks like a typo: servers have types of later FHIR versions, and their own.
func checkType(name string) (known bool, err error) {
	r4 := fhir.R4()
	if name == "" {
		return false, &usageError{errors.New("no resource type given"), "fhirkiln schema Patient, or fhirkiln schema --list"}
	}
	if best := spelling.Nearest(name, r4.ResourceTypes()); best != "" {
		if best == name {
			return true, nil
		}
		return false, &usageError{fmt.Errorf("%q is not a resource type, did you mean %s?", name, best), "fhirkiln schema " + best}
	}
	if !regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,63}$`).MatchString(name) {
		return false, &usageError{fmt.Errorf("%q is not the name of a resource type", name), "fhirkiln schema --list"}
	}
	if _, ok := r4.Lookup(name); ok { // a datatype, or an abstract type
		return false, &usageError{fmt.Errorf("%s is not a resource type but a data type or an abstract type", name), "fhirkiln schema --list"}
	}
	return false, nil
}
