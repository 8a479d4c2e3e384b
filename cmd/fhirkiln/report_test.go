package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

// nights returns a full run, a partial one, and a night that brought nothing.
func nights() history {
	at := time.Date(2026, 11, 20, 2, 15, 0, 0, time.UTC)
	run := func(night int, kind ledger.Kind, status ledger.Status, resources int64, took time.Duration, phases ...lake.PhaseReport) *lake.Report {
		began := at.AddDate(0, 0, night)
		return &lake.Report{Run: fmt.Sprintf("r%d", night), Kind: kind, Status: status, Started: began, Finished: began.Add(took),
			Resources: resources, ParquetBytes: resources * 100, Phases: phases,
			Types: []lake.TypeReport{{Type: "Coverage", Rows: resources / 10}, {Type: "Patient", Rows: resources}}}
	}
	return history{
		Feed: ledger.Feed{Name: "members", Source: "bison", Purpose: "payer <to> payer",
			Watermarks:  map[string]ledger.Watermark{"*": {Time: "2026-11-22T02:15:01Z"}, "Patient": {Time: "2026-11-21T02:15:01+01:00"}},
			Unfinished:  &ledger.Unfinished{Run: "r3", Processes: 2},
			LastFailure: &ledger.Failure{At: at.AddDate(0, 0, 3), Run: "r3", Error: "401 <html>\nand more", Failures: 5}},
		Reports: []*lake.Report{
			run(0, ledger.KindFull, ledger.StatusPublished, 1_234_567, 100*time.Minute,
				lake.PhaseReport{Phase: "queued", Seconds: 60}, lake.PhaseReport{Phase: "waiting", Seconds: 2940},
				lake.PhaseReport{Phase: "converting", Seconds: 2400}, lake.PhaseReport{Phase: "publishing", Seconds: 300}),
			run(1, ledger.KindIncremental, ledger.StatusPartial, 1111, 50*time.Second),
			run(2, ledger.KindIncremental, ledger.StatusPublished, 0, time.Second),
		},
	}
}

func TestReportText(t *testing.T) {
	t.Parallel()
	want := `members (source bison): published up to 2026-11-21T02:15:01+01:00, 1d00h ago
unfinished: run r3, 2 attempts
last run failed 2026-11-23T02:15:00Z (5 in a row): 401 <html>; and more
started (UTC)     kind            took      resources            Parquet
2026-11-22 02:15  incremental    1.0 s              0                0 B
2026-11-21 02:15  incremental   50.0 s          1,111 ████      111.1 kB partial
2026-11-20 02:15  full           1h40m      1,234,567 ████████  123.5 MB
`
	if diff := cmp.Diff(want, nights().text(time.Date(2026, 11, 22, 1, 16, 0, 0, time.UTC))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for line := range strings.Lines(want) {
		if n := len([]rune(line)); n > 81 {
			t.Errorf("%d letters: %s", n, line)
		}
	}
}

func TestLatestRuns(t *testing.T) {
	t.Parallel()
	f := ledger.Feed{
		Runs:    []ledger.PublishedRun{{Run: "r5", Replaces: []string{"r2", "r4"}}, {Run: "r6"}},
		History: []ledger.Moved{{Run: "r6"}, {Run: "r7"}, {}},
		Dropped: []ledger.DroppedRun{{Run: "r1"}, {Run: "r3"}, {Run: "r4"}},
	}
	if got := strings.Join(latestRuns(f, 5), " "); got != "r3 r4 r5 r6 r7" {
		t.Errorf("got %s", got)
	}
	f.LastSuccess = &ledger.Success{Run: "r8"} // found nothing new and moved no watermark
	if got := strings.Join(latestRuns(f, 5), " "); got != "r4 r5 r6 r7 r8" {
		t.Errorf("got %s", got)
	}
}

func TestBarText(t *testing.T) {
	t.Parallel()
	for share, want := range map[float64]string{0: "", 0.0001: "▏", 0.25: "██", 0.3: "██▍", 1: "████████"} {
		if got := barText(share); got != want {
			t.Errorf("%v: got %q, want %q", share, got, want)
		}
	}
}

// The page has a bar for each part of each run, and loads nothing from elsewhere.
func TestPage(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := writePage(&b, "/data/<claims>", []history{nights(), {Feed: ledger.Feed{Name: "new"}}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{
		"/data/&lt;claims&gt;", "payer &lt;to&gt; payer", "<p>last run failed 2026-11-23T02:15:00Z (5 in a row): 401 &lt;html&gt;; and more",
		`class="full" x="164.33" y="8.00" width="28.00" height="162.00"><title>2026-11-20 02:15 full: 1,234,567 resources`,
		`class="partial" x="381.00" y="88.99"`, // 1,111 is about the root of 1,234,567
		`class="waiting" x="164.33" y="90.62" width="28.00" height="79.38"><title>2026-11-20 02:15 full, 1h40m: 49m00s waiting for the server`,
		`class="converting" x="164.33" y="25.82" width="28.00" height="64.80"`,
		`class="publishing" x="164.33" y="17.72" width="28.00" height="8.10"`,
		`class="other" x="164.33" y="8.00" width="28.00" height="9.72"><title>2026-11-20 02:15 full, 1h40m: 6m00s queued or other`,
		`class="other" x="381.00" y="96.78"`, // all of a run that did not report its phases
		`<td class="dim">49m00s waiting for the server, 40m00s fetching and converting, 5m00s publishing, 6m00s queued or other`,
		`>2026-11-21</text>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("it has no %s", want)
		}
	}
	if found := regexp.MustCompile(`(?i)<script|href=|src=|url\(|ZgotmplZ|NaN|height="-`).FindString(page); found != "" {
		t.Errorf("it has %s", found)
	}
	if t.Failed() {
		t.Log(page)
	}
}
