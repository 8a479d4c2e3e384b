package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"fhirkiln/columnar"
)

// growth measures what more rows, columns and files cost. There are no goals.
func growth(ctx context.Context, b *bench) ([]result, error) {
	var results []result
	for _, some := range []func(context.Context) ([]result, error){b.moreRows, b.moreColumns, b.moreFiles} {
		more, err := some(ctx)
		results = append(results, more...)
		if err != nil {
			return results, err
		}
	}
	return results, nil
}

// amount is one side of a comparison: its name and how to convert it.
type amount struct {
	name    string
	convert func() (usage, error)
}

// grown compares the times to convert less and more.
func (b *bench) grown(ctx context.Context, what string, less, more amount) result {
	row := result{table: "growth", what: what}
	all, err := b.inTurn(ctx, less.convert, more.convert)
	if err == nil {
		from, to := b.time(all[0]), b.time(all[1])
		row.ours, row.theirs = fmt.Sprintf("%s: %s", more.name, to.Round(time.Millisecond)), fmt.Sprintf("%s: %s", less.name, from.Round(time.Millisecond))
		row.ratio = to.Seconds() / from.Seconds()
	}
	return row.orFails(err)
}

// amountOf returns an amount that converts paths.
func (b *bench) amountOf(ctx context.Context, name string, paths ...string) amount {
	return amount{name, func() (usage, error) {
		u, _, err := b.convert(ctx, "lake", 1, paths...)
		return u, err
	}}
}

// moreRows measures ten times as many rows through stdin: the file for two cores, twice. No row
// group is large enough to hold a resource twice.
func (b *bench) moreRows(ctx context.Context) ([]result, error) {
	few, err := b.generated(ctx, "Observation", b.mb)
	if err != nil {
		return nil, err
	}
	many, err := b.generated(ctx, "Observation", large*b.mb)
	if err != nil {
		return nil, err
	}
	twice := append(many.paths(), many.paths()...)
	return []result{b.grown(ctx, "rows × 10, Observation through stdin",
		b.throughStdin(ctx, fmt.Sprintf("%d MB", b.mb), few.paths()), b.throughStdin(ctx, fmt.Sprintf("%d MB", 2*large*b.mb), twice))}, nil
}

// throughStdin returns an amount that converts files concatenated on stdin.
func (b *bench) throughStdin(ctx context.Context, name string, paths []string) amount {
	return amount{name, func() (usage, error) {
		folder, err := b.folder("lake")
		if err != nil {
			return usage{}, err
		}
		cmd := exec.CommandContext(ctx, b.bin, "convert", "-", "--out", folder, "--workers", "1", "--progress", "off")
		var all []io.Reader
		for _, path := range paths {
			f, err := os.Open(path)
			if err != nil {
				return usage{}, err
			}
			defer f.Close()
			all = append(all, f)
		}
		cmd.Stdin = io.MultiReader(all...)
		u, _, err := measure(cmd, 1)
		return u, err
	}}
}

// moreColumns measures ten times as many columns, without values and with.
func (b *bench) moreColumns(ctx context.Context) ([]result, error) {
	const wide = "ExplanationOfBenefit"
	type table struct {
		resourceType string
		texts, rows  int
	}
	made := func(t table) (amount, error) {
		path := filepath.Join(b.madeIn, fmt.Sprintf("%s-%d-texts-%d-rows.ndjson", t.resourceType, t.texts, t.rows))
		err := b.make(ctx, path, func(w io.Writer) error {
			for i := range t.rows {
				left := t.texts
				line := appendTexts(fmt.Appendf(nil, `{"resourceType":%q,"id":"%d"`, t.resourceType, i), columnar.LayoutOf(t.resourceType).Fields, i, &left, ",")
				if _, err := w.Write(append(line, "}\n"...)); err != nil {
					return err
				}
			}
			return nil
		})
		name := fmt.Sprintf("%d columns", cmp.Or(t.texts, leaves(columnar.LayoutOf(t.resourceType).Fields)))
		return b.amountOf(ctx, name, path), err
	}
	var results []result
	for _, c := range []struct {
		what       string
		less, more table
	}{
		{"columns × 10 that no row fills", table{"BodyStructure", 0, 2500 * b.mb}, table{wide, 0, 2500 * b.mb}},
		{"columns × 10 that each row fills, so values × 10", table{wide, 10, 250 * b.mb}, table{wide, 100, 250 * b.mb}},
	} {
		less, err := made(c.less)
		if err != nil {
			return results, err
		}
		more, err := made(c.more)
		if err != nil {
			return results, err
		}
		results = append(results, b.grown(ctx, fmt.Sprintf("%s, %d rows", c.what, c.less.rows), less, more))
	}
	return results, nil
}

// appendTexts appends members of a JSON object that fill up to *left text columns, and counts
// *left down. Each column has a thousand values, in an order that cannot be guessed. before is
// what precedes the first member.
func appendTexts(line []byte, fields []*columnar.Field, row int, left *int, before string) []byte {
	for _, f := range fields {
		if *left == 0 {
			break
		}
		from := len(line)
		line = fmt.Appendf(line, "%s%q:", before, f.Name)
		if f.List {
			line = append(line, '[')
		}
		start := len(line)
		switch {
		case f.Type == columnar.Struct && f.FHIR != "" && f.FHIR != "Extension":
			line = appendTexts(append(line, '{'), f.Fields, row, left, "")
			if len(line) > start+1 {
				line = append(line, '}')
			} else {
				line = line[:start]
			}
		case f.Type == columnar.String && (f.FHIR == "string" || f.FHIR == "code" || f.FHIR == "uri") && f.Name != "implicitRules":
			line = fmt.Appendf(line, `"text-%d"`, mix(uint64(row)<<32|uint64(*left))%1000)
			*left--
		}
		if len(line) == start { // no text in it
			line = line[:from]
			continue
		}
		if f.List {
			line = append(line, ']')
		}
		before = ","
	}
	return line
}

// leaves counts the fields that are not structs, at any depth.
func leaves(fields []*columnar.Field) int {
	n := 0
	for _, f := range fields {
		if f.Type == columnar.Struct {
			n += leaves(f.Fields)
			continue
		}
		n++
	}
	return n
}

// moreFiles measures the same rows in more files.
func (b *bench) moreFiles(ctx context.Context) ([]result, error) {
	in, err := b.generated(ctx, "Observation", b.mb)
	if err != nil {
		return nil, err
	}
	var results []result
	for _, n := range []int{10, 1000} {
		folder, err := b.split(ctx, in, n)
		if err != nil {
			return results, err
		}
		results = append(results, b.grown(ctx, fmt.Sprintf("%d MB of Observation in files", b.mb),
			b.amountOf(ctx, "1 file", in.paths()...), b.amountOf(ctx, fmt.Sprintf("%d files", n), folder)))
	}
	return results, nil
}
