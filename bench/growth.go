package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"fhirkiln/columnar"
)

// growth shows what more rows, columns and files cost. There are no goals.
func growth(ctx context.Context, b *bench) ([]result, error) {
	var results []result
	add := func(what string, less, more string, lessPaths, morePaths []string) error {
		on := func(paths []string) func() (usage, error) {
			return func() (usage, error) {
				u, _, err := b.convert(ctx, "lake", 1, paths...)
				return u, err
			}
		}
		all, err := b.inTurn(ctx, on(lessPaths), on(morePaths))
		if err != nil {
			return err
		}
		from, to := b.time(all[0]), b.time(all[1])
		results = append(results, result{table: "growth", what: what, ours: fmt.Sprintf("%s: %s", more, to.Round(time.Millisecond)),
			theirs: fmt.Sprintf("%s: %s", less, from.Round(time.Millisecond)), ratio: to.Seconds() / from.Seconds()})
		return nil
	}
	few, err := b.generated(ctx, "Observation", max(b.mb/10, 1))
	if err != nil {
		return nil, err
	}
	many, err := b.generated(ctx, "Observation", b.mb)
	if err != nil {
		return nil, err
	}
	if err := add("rows × 10, Observation", fmt.Sprintf("%d MB", max(b.mb/10, 1)), fmt.Sprintf("%d MB", b.mb), few.paths(), many.paths()); err != nil {
		return results, err
	}
	narrow, wide := "BodyStructure", "ExplanationOfBenefit"
	var paths []string
	for _, t := range []string{narrow, wide} {
		path := filepath.Join(b.madeIn, "ids-"+t+".ndjson")
		err := b.make(ctx, path, func(w io.Writer) error {
			for i := range 500_000 {
				if _, err := fmt.Fprintf(w, "{\"resourceType\":%q,\"id\":\"%d\"}\n", t, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return results, err
		}
		paths = append(paths, path)
	}
	columns := func(t string) string { return fmt.Sprintf("%d columns", leaves(columnar.LayoutOf(t).Fields)) }
	if err := add("columns, 500,000 rows of an id", columns(narrow), columns(wide), paths[:1], paths[1:]); err != nil {
		return results, err
	}
	for _, n := range []int{10, 1000} {
		folder, err := b.split(ctx, many, n)
		if err != nil {
			return results, err
		}
		if err := add(fmt.Sprintf("%d MB of Observation in files", b.mb), "1 file", fmt.Sprintf("%d files", n), many.paths(), []string{folder}); err != nil {
			return results, err
		}
	}
	return results, nil
}

// leaves counts the fields that are no structs.
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
