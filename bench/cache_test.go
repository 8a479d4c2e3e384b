package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlaceInputs checks that inputs from different samples have different places, and that
// missing samples are an error only if the folder was named.
func TestPlaceInputs(t *testing.T) {
	t.Parallel()
	placed := func(samples string) *bench {
		t.Helper()
		b := &bench{root: t.TempDir(), cache: "cache", samples: samples}
		if err := b.placeInputs(); err != nil {
			t.Fatal(err)
		}
		return b
	}
	none := placed("")
	if none.realIn != "" || none.realTypes != nil {
		t.Errorf("without samples, inputs %q of them are in %q", none.realTypes, none.realIn)
	}
	samples := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(samples, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("Claim-2.ndjson.gz", "x")
	write("README.md", "x")
	first := placed(samples)
	if got := strings.Join(first.realTypes, ","); got != "Claim," {
		t.Errorf("real inputs are of %q", got)
	}
	if again := placed(samples); again.realIn != first.realIn || again.madeIn != none.madeIn || filepath.Dir(first.realIn) != "cache" {
		t.Errorf("the same is at %s and %s, then at %s and %s", first.realIn, first.madeIn, again.realIn, again.madeIn)
	}
	write("Claim-2.ndjson.gz", "xy")
	larger := placed(samples)
	write("Claim.ndjson.gz", "")
	if more := placed(samples); larger.realIn == first.realIn || more.realIn == larger.realIn {
		t.Errorf("other samples are at %s, %s and %s", first.realIn, larger.realIn, more.realIn)
	}
	for _, folder := range []string{t.TempDir(), filepath.Join(samples, "none")} {
		b := &bench{root: samples, samples: folder}
		if err := b.placeInputs(); err == nil || !strings.Contains(err.Error(), "-samples "+folder) {
			t.Errorf("samples that are not there: %v", err)
		}
	}
}

// TestMakeEnds checks that an interrupted file leaves nothing behind.
func TestMakeEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	b := &bench{scratch: t.TempDir(), cache: t.TempDir()}
	b.mb, b.madeIn = 1, b.cache
	path := filepath.Join(b.cache, "x.ndjson")
	err := b.make(ctx, path, func(w io.Writer) error {
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if _, err := b.wider(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("wider ended with %v", err)
	}
	for _, folder := range []string{b.scratch, b.cache} {
		if left, _ := filepath.Glob(filepath.Join(folder, "*.ndjson*")); len(left) > 0 {
			t.Errorf("it left %q", left)
		}
		if left, _ := filepath.Glob(filepath.Join(folder, "input*")); len(left) > 0 {
			t.Errorf("it left %q", left)
		}
	}
	split := filepath.Join(b.cache, "lines")
	if err := os.WriteFile(split, []byte("1\n2\n3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.split(ctx, &input{files: []inputFile{{"Claim", split}}}, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("split ended with %v", err)
	}
	if left, _ := os.ReadDir(b.scratch); len(left) > 0 {
		t.Errorf("split left %q", left)
	}
}
