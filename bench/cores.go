package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// large is how many times larger than other inputs those for two cores are: a second core pays
// off only if converting the file takes longer than starting and stopping fhirkiln.
const large = 5

// cores compares two cores with one, always by wall time.
func cores(ctx context.Context, b *bench) ([]result, error) {
	var results []result
	for _, t := range goalTypes[:2] {
		in, err := b.generated(ctx, t, large*b.mb)
		if err != nil {
			return results, err
		}
		folder, err := b.split(ctx, in, 16)
		if err != nil {
			return results, err
		}
		for _, c := range []struct{ name, path string }{{"one file", in.files[0].path}, {"16 files", folder}} {
			one, two, err := b.oneAndTwo(ctx, c.path)
			results = append(results, atLeast(onTwoCores, fmt.Sprintf("%s, %s of %d MB, two cores, one", t, c.name, large*b.mb), fmt.Sprintf("%.0f MB/s", in.megabytesPer(two)),
				fmt.Sprintf("%.0f MB/s", in.megabytesPer(one)), one/two, 1.8).orFails(err))
		}
	}
	return results, nil
}

// oneAndTwo returns the seconds it takes to convert path on one core and on two.
func (b *bench) oneAndTwo(ctx context.Context, path string) (one, two float64, err error) {
	on := func(cores int) func() (usage, error) {
		return func() (usage, error) {
			u, _, err := b.convert(ctx, "lake", cores, path)
			return u, err
		}
	}
	all, err := b.inTurn(ctx, on(1), on(2))
	if err != nil {
		return 0, 0, err
	}
	var wall [2]float64
	for i := range wall {
		var times []time.Duration
		for _, u := range all[i] {
			times = append(times, u.wall)
		}
		wall[i] = median(times).Seconds()
	}
	return wall[0], wall[1], nil
}

// split cuts a single-file input into a folder of several files, between lines.
func (b *bench) split(ctx context.Context, in *input, pieces int) (string, error) {
	folder := fmt.Sprintf("%s-%d-files", in.files[0].path, pieces)
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	text, err := os.ReadFile(in.files[0].path)
	if err != nil {
		return "", err
	}
	unfinished, err := os.MkdirTemp(b.scratch, "split")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(unfinished) }()
	size := len(text)/pieces + 1
	for i := 0; len(text) > 0; i++ {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		end := min(size, len(text))
		if at := bytes.IndexByte(text[end-1:], '\n'); at >= 0 {
			end += at
		}
		if err := os.WriteFile(filepath.Join(unfinished, fmt.Sprintf("%06d.ndjson", i)), text[:end], 0o600); err != nil {
			return "", err
		}
		text = text[end:]
	}
	return folder, os.Rename(unfinished, folder)
}
