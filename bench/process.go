package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// usage is what a process used.
type usage struct {
	wall, cpu time.Duration
	peak      int64 // peak resident memory in bytes
}

// compared returns the time that the bench compares.
func (b *bench) compared(u usage) time.Duration {
	if b.cpu {
		return u.cpu
	}
	return u.wall
}

// place finds the repository and the inputs' folders, and makes the cache.
func (b *bench) place(ctx context.Context) error {
	here, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "fhirkiln").Output()
	if err != nil {
		return fmt.Errorf("finding the repository (run this in its folder bench): %w", err)
	}
	b.root = strings.TrimSpace(string(here))
	if b.cache, err = filepath.Abs(b.cache); err != nil { // commands run in other folders
		return err
	}
	if err := b.placeInputs(); err != nil {
		return err
	}
	return os.MkdirAll(b.cache, 0o700)
}

// build builds fhirkiln.
func (b *bench) build(ctx context.Context) error {
	b.bin = filepath.Join(b.scratch, "fhirkiln")
	build := exec.CommandContext(ctx, "go", "build", "-o", b.bin, "./cmd/fhirkiln")
	build.Dir = b.root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building fhirkiln: %w\n%s", err, out)
	}
	return nil
}

// measure runs a process to its end on the given number of cores and returns its stdout.
func measure(cmd *exec.Cmd, cores int) (usage, []byte, error) {
	var out, failed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failed
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", cores))
	// What earlier processes left unwritten is written now. fhirkiln syncs its files and would
	// otherwise wait for DuckDB's, which does not.
	syscall.Sync()
	start := time.Now()
	err := cmd.Start()
	if err != nil {
		return usage{}, nil, err
	}
	peak := watchPeak(cmd.Process.Pid)
	err = cmd.Wait()
	u := usage{wall: time.Since(start), peak: peak()}
	if cmd.ProcessState != nil {
		u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		if r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok && runtime.GOOS != "linux" {
			u.peak = r.Maxrss // in bytes on macOS
		}
	}
	if err != nil {
		return u, nil, fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, &failed)
	}
	return u, out.Bytes(), nil
}

// watchPeak polls a process's peak resident memory until the function it returns is called,
// which returns the last peak. The peak that Linux reports for an ended process will not do: it
// is never less than that of the process that started it.
func watchPeak(pid int) (peak func() int64) {
	stop, last := make(chan struct{}), make(chan int64)
	go func() {
		highest := int64(0)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				highest = max(highest, peakOf(pid))
			case <-stop:
				last <- highest
				return
			}
		}
	}()
	return func() int64 {
		close(stop)
		return <-last
	}
}

// peakOf returns a process's peak resident memory in bytes, or 0 if unknown.
func peakOf(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscanf(rest, "%d kB", &kib); err != nil {
		return 0
	}
	return kib << 10
}

// convert runs fhirkiln convert on the given number of cores, with more as paths and flags. It
// returns the folder that holds the Parquet until the next call with the same name.
func (b *bench) convert(ctx context.Context, name string, cores int, more ...string) (u usage, lake string, err error) {
	lake = filepath.Join(b.scratch, name)
	if err := os.RemoveAll(lake); err != nil {
		return u, "", err
	}
	args := append([]string{"convert", "--out", lake, "--workers", fmt.Sprint(cores), "--progress", "off"}, more...)
	u, _, err = measure(exec.CommandContext(ctx, b.bin, args...), cores)
	return u, lake, err
}

// inTurn calls each function once to warm up, then b.runs times, alternating, and returns what
// they used.
func (b *bench) inTurn(ctx context.Context, each ...func() (usage, error)) ([][]usage, error) {
	all := make([][]usage, len(each))
	for n := range b.runs + 1 {
		for i, f := range each {
			u, err := f()
			if err := errors.Join(err, ctx.Err()); err != nil {
				return nil, err
			}
			if n > 0 {
				all[i] = append(all[i], u)
			}
		}
	}
	return all, nil
}

// time returns the median of the compared times.
func (b *bench) time(all []usage) time.Duration {
	var times []time.Duration
	for _, u := range all {
		times = append(times, b.compared(u))
	}
	return median(times)
}

func median[T ~int64 | ~float64](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	if len(sorted) == 0 {
		return 0
	}
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// bytesIn returns the total size of all files below a folder whose names end with suffix.
func bytesIn(folder, suffix string) (int64, error) {
	total := int64(0)
	err := filepath.WalkDir(folder, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(d.Name(), suffix) {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}
