package pipeline_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// What cannot be compared is not dropped, unless somebody asked for a full run: that is how to get
// rid of damaged runs.
func TestShortOfWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	reportGone := func(t *testing.T, c *clinic, first *lake.Report) {
		if err := os.Remove(filepath.Join(c.dir.String(), lake.ReportKey(first.Run))); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		harm func(t *testing.T, c *clinic, first *lake.Report)
		full bool
		want string
	}{
		"a report is gone":                     {harm: reportGone, want: "cannot be compared"},
		"a report is gone, and full is set":    {harm: reportGone, full: true},
		"the run's own parts cannot be read":   {harm: func(_ *testing.T, c *clinic, _ *lake.Report) { c.Sink = unreadable{c.dir} }, want: "cannot be compared"},
		"a part is gone, whose rows are known": {harm: partGone, full: true, want: "40 of 40 Patient"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, bulktest.Lines("Patient", resources("Patient", 0, 40)...))
			c.Feed.Keep.Runs, c.Feed.FullEvery, c.State = 1, 24*time.Hour, c.dir
			first := c.run(t)
			tt.harm(t, c, first)
			c.then(2, bulktest.Lines("Patient", resources("Patient", 0, 1)...))
			c.Full = tt.full
			report, err := pipeline.Run(t.Context(), c.Options)
			if tt.want == "" {
				if err != nil || len(c.feed(t).Runs) != 1 {
					t.Errorf("error %v, live runs are %+v", err, c.feed(t).Runs)
				}
				return
			}
			if _, ok := errors.AsType[*pipeline.PartialError](err); !ok || !strings.Contains(report.OlderKept, tt.want) {
				t.Errorf("error %v, report %+v", err, report)
			}
			if runs := c.feed(t).Runs; len(runs) != 2 || runs[1].Status != ledger.StatusPartial {
				t.Errorf("live runs are %+v", runs)
			}
		})
	}
}

func partGone(t *testing.T, c *clinic, first *lake.Report) {
	for _, p := range first.Parts {
		if err := os.Remove(filepath.Join(c.dir.String(), p.Key)); err != nil {
			t.Fatal(err)
		}
	}
}

// A run that has nothing to be compared with does not need to read what it wrote.
func TestFirstRunIsNotReadBack(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", resources("Patient", 0, 10)...))
	c.Feed.Keep.Runs, c.State, c.Sink = 1, c.dir, unreadable{c.dir}
	c.run(t)
}

// unreadable is a folder in which no Parquet can be read.
type unreadable struct{ *sink.Dir }

func (u unreadable) Open(ctx context.Context, key string) (sink.Reader, error) {
	if strings.HasSuffix(key, ".parquet") {
		return nil, errors.New("cannot read back")
	}
	return u.Dir.Open(ctx, key)
}
