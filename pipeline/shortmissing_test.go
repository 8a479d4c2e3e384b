package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/sink"
)

// ids returns how many distinct ids are among the live rows of a type.
func (c *clinic) ids(t *testing.T, typ string) int {
	t.Helper()
	all := map[string]bool{}
	for _, row := range c.live(t)[typ] {
		_, after, _ := strings.Cut(row, `"id":"`)
		id, _, _ := strings.Cut(after, `"`)
		all[id] = true
	}
	return len(all)
}

func patients(from, to int) bulktest.File {
	return bulktest.Lines("Patient", resources("Patient", from, to)...)
}

// As many new ones came as old ones are missing.
func TestNewIDsHideNoMissingOnes(t *testing.T) {
	t.Parallel()
	c := newClinic(t, patients(0, 40))
	c.Feed.Keep.Runs, c.Feed.FullEvery = 1, 24*time.Hour
	c.run(t)
	c.then(2, bulktest.Lines("Patient", append(resources("Patient", 0, 10), resources("Patient", 100, 130)...)...))
	report := c.run(t)
	if live := strings.Join(c.live(t)["Patient"], "\n"); !strings.Contains(live, `"Patient-39"`) {
		t.Errorf("%s: 30 of 40 patients are gone, older runs kept: %q", report.Status, report.OlderKept)
	}
}

// What this run's own tombstones delete counts as present.
func TestOwnTombstonesHideNoMissingOnes(t *testing.T) {
	t.Parallel()
	c := newClinic(t, patients(0, 100))
	c.Feed.Keep.Runs, c.Feed.FullEvery = 1, 24*time.Hour
	c.run(t)
	var gone []string
	for n := range 30 {
		gone = append(gone, fmt.Sprintf(`{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/Patient-%d"}}]}`, n))
	}
	c.deleted = bulktest.Files{bulktest.Lines("Bundle", gone...)}
	c.then(2, patients(0, 70)) // 70 were current after the deletes (30..99), and the export has 40 of them
	report := c.run(t)
	if live := strings.Join(c.live(t)["Patient"], "\n"); !strings.Contains(live, `"Patient-99"`) {
		t.Errorf("%s: 30 of 70 patients are gone, older runs kept: %q", report.Status, report.OlderKept)
	}
}

// Who confirms should know what.
func TestAllShortTypesAreNamed(t *testing.T) {
	t.Parallel()
	c := newClinic(t, patients(0, 40), bulktest.Lines("Coverage", resources("Coverage", 0, 4)...))
	c.Feed.Keep.Runs, c.Feed.FullEvery = 1, 24*time.Hour
	c.run(t)
	c.then(2, patients(0, 10), bulktest.Lines("Coverage", resources("Coverage", 0, 1)...))
	report := c.run(t)
	if !strings.Contains(report.OlderKept, "Patient") {
		t.Errorf("three quarters of the patients are missing, but it says only: %s", report.OlderKept)
	}
}

// Rows without an id come again with each incremental run of a server that ignores _since.
func TestRowsWithoutAnIDThatComeEveryNight(t *testing.T) {
	t.Parallel()
	data := func() bulktest.File {
		lines := []string{resource("Basic", 0)}
		for i := range 40 {
			lines = append(lines, fmt.Sprintf(`{"resourceType":"Basic","language":"de","n":%d}`, i))
		}
		return bulktest.Lines("Basic", lines...)
	}
	c := newClinic(t, data())
	c.Feed.Keep.Runs, c.Feed.FullEvery = 1, 5*24*time.Hour
	for range 15 {
		if report := c.run(t); report.OlderKept != "" {
			t.Errorf("night %s: nothing is missing, but %s", report.Started.Format("02"), report.OlderKept)
		}
		c.then(1)
	}
}

// What a store does not give once counts neither as missing nor as there.
func TestOneFailedReadIsNoMissingResource(t *testing.T) {
	t.Parallel()
	all := func(when string) bulktest.File {
		var lines []string
		for n := range 40 {
			lines = append(lines, updated("Patient", strconv.Itoa(n), when))
		}
		return bulktest.Lines("Patient", lines...)
	}
	c := newClinic(t, all("2026-01-01T00:00:00Z"))
	c.Feed.Keep.Runs, c.Feed.FullEvery, c.State = 1, 48*time.Hour, c.dir
	c.run(t)
	c.then(1, all("2026-03-01T12:00:00Z"))
	c.run(t)
	c.then(1)
	c.Sink = &flaky{Dir: c.dir}
	if report := c.run(t); report.Kind != "full" || !strings.Contains(report.OlderKept, "cannot be compared") {
		t.Errorf("%s run, older runs kept: %q", report.Kind, report.OlderKept)
	}
}

type flaky struct {
	*sink.Dir
	opened atomic.Int64
}

func (f *flaky) Open(ctx context.Context, key string) (sink.Reader, error) {
	if strings.HasSuffix(key, ".parquet") && f.opened.Add(1) == 1 {
		return nil, &sink.Error{Doing: "opening a file", Where: key, Err: errors.New("503 Slow Down")}
	}
	return f.Dir.Open(ctx, key)
}
