package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// parts runs benchmarks of package columnar that need its internals, always by wall time.
func parts(ctx context.Context, b *bench) ([]result, error) {
	binary := filepath.Join(b.scratch, "columnar.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, "./columnar")
	build.Dir = b.root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the benchmarks: %w\n%s", err, out)
	}
	all := map[string][]float64{} // by benchmark and unit
	for range b.runs {
		for _, t := range goalTypes {
			for _, name := range []string{"Shred", "Tokens"} { // alternating per type, so that both see the same machine
				cmd := exec.CommandContext(ctx, binary, "-test.run", "^$", "-test.bench", "^Benchmark"+name+"$/^"+t+"$", "-test.benchtime", "300ms", "-test.cpu", "1")
				cmd.Dir = filepath.Join(b.root, "columnar")
				_, out, err := measure(cmd, 1)
				if err != nil {
					return nil, err
				}
				if err := benchmarks(out, all); err != nil {
					return nil, err
				}
			}
		}
	}
	var results []result
	maxAllocs := 0.0
	for _, t := range goalTypes {
		maxAllocs = max(maxAllocs, median(all["BenchmarkShred/"+t+" allocs/resource"]))
		ours, theirs := median(all["BenchmarkShred/"+t+" MB/s"]), median(all["BenchmarkTokens/"+t+" MB/s"])
		results = append(results, atLeast(againstTokens, t+", scanning and shredding, jsontext's tokens",
			fmt.Sprintf("%.0f MB/s", ours), fmt.Sprintf("%.0f MB/s", theirs), ours/theirs, 0.8))
	}
	return append(results, within(ofAllocations, "allocations for each resource, at most of these types", fmt.Sprintf("%.3f", maxAllocs), "~0", maxAllocs, 0.05)), nil
}

// benchmarks adds the numbers in the output of go test -bench to all.
func benchmarks(out []byte, all map[string][]float64) error {
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return fmt.Errorf("reading %q: %w", s.Text(), err)
			}
			key := fields[0] + " " + fields[i+1]
			all[key] = append(all[key], v)
		}
	}
	return nil
}
