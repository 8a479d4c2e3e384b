package pipeline_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRunPublishesEveryResource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{
		Polls: 2,
		Data: bulktest.Files{
			bulktest.Lines("Patient", resources("Patient", 0, 5)...),
			bulktest.Lines("Patient", resources("Patient", 5, 7)...),
			bulktest.Lines("Observation", append(resources("Observation", 0, 3), resource("Device", 1))...), // servers do mix
		},
	})
	progress := new(pipeline.Progress)
	w.Progress = progress
	report, err := pipeline.Run(t.Context(), w.Options)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"Patient": resources("Patient", 0, 7), "Observation": resources("Observation", 0, 3), "Device": {resource("Device", 1)},
	}
	if diff := cmp.Diff(want, w.published(t)); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	if got := w.files(t, ".staged"); len(got) > 0 {
		t.Errorf("still staged: %q", got)
	}
	w.wantDeleted(t, 1)

	if report.Resources != 11 || len(report.Files) != 3 || report.TransactionTime == "" {
		t.Errorf("report: %d resources, %d files, transactionTime %q", report.Resources, len(report.Files), report.TransactionTime)
	}
	for _, typ := range report.Types {
		if want := map[string]int64{"Device": 1}[typ.Type]; typ.Strays != want {
			t.Errorf("%d strays of %s, want %d", typ.Strays, typ.Type, want)
		}
	}
	var rows int64
	for _, p := range report.Parts {
		rows += p.Rows
	}
	if rows != 11 {
		t.Errorf("the report's parts have %d rows, want 11", rows)
	}
	kept, err := os.ReadFile(filepath.Join(w.dir.String(), "_fhirkiln", "runs", report.Run, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var read lake.Report
	if err := json.Unmarshal(kept, &read); err != nil || read.Resources != 11 || read.Status != ledger.StatusPublished {
		t.Errorf("report.json: %s, %d resources, error %v", read.Status, read.Resources, err)
	}
	s := progress.Snapshot()
	if s.Phase != pipeline.Done || s.Files != 3 || s.FilesDone != 3 || s.Resources != 11 || s.Expected != 11 || s.Bytes == 0 ||
		s.BytesBefore != s.Bytes || s.ResourcesBefore != 11 {
		t.Errorf("progress at the end: %+v", s)
	}
}

func TestRunTakesSeveralExports(t *testing.T) {
	t.Parallel()
	group := func(id string, patients ...int) string {
		var members []string
		for _, p := range patients {
			members = append(members, fmt.Sprintf(`{"entity":{"reference":"Patient/Patient-%d"}}`, p))
		}
		return fmt.Sprintf(`{"resourceType":"Group","id":%q,"member":[%s]}`, id, strings.Join(members, ","))
	}
	clock := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	var kickOffs atomic.Int64
	w := newWorld(t, bulktest.Options{
		Data: bulktest.Files{
			bulktest.Lines("Patient", resources("Patient", 0, 4)...),
			bulktest.Lines("Group", group("a", 0, 1), group("b", 2)),
		},
		TransactionTime: func() time.Time { return clock.Add(time.Duration(kickOffs.Add(1)) * time.Hour) },
	})
	w.Feed.Request.Level, w.Feed.Groups, w.Feed.IgnoreNewMembers = bulk.Group, []string{"a", "b"}, true
	report, err := pipeline.Run(t.Context(), w.Options)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]string{"Patient": resources("Patient", 0, 3)}, w.published(t)); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	if want := "2026-11-01T01:00:00Z"; !strings.HasPrefix(report.TransactionTime, want[:19]) {
		t.Errorf("transactionTime %s, want the first and lowest, %s", report.TransactionTime, want)
	}
	w.wantDeleted(t, 2)
}

func TestRunKeepsDeletedApart(t *testing.T) {
	t.Parallel()
	gone := `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/9"}}]}`
	w := newWorld(t, bulktest.Options{
		Data:    bulktest.Files{bulktest.Lines("Patient", resource("Patient", 0))},
		Deleted: bulktest.Files{bulktest.Lines("Bundle", gone)},
	})
	w.Feed.Request.Since = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"Patient": {resource("Patient", 0)}, "deleted": {gone}}
	if diff := cmp.Diff(want, w.published(t)); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

func TestPartsAreFilledWithWholeFiles(t *testing.T) {
	t.Parallel()
	var files bulktest.Files
	for n := range 60 {
		files = append(files, bulktest.Lines("Patient", resource("Patient", n)))
	}
	w := newWorld(t, bulktest.Options{Data: files})
	w.Workers = 3
	report, err := pipeline.Run(t.Context(), w.Options)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Parts) > 3 {
		t.Errorf("60 files of one line became %d parts, want one a worker at most", len(report.Parts))
	}
	if diff := cmp.Diff(resources("Patient", 0, 60), w.published(t)["Patient"]); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

// Parts are closed only between row groups, so small parts need small row groups.
func TestSmallPartsOfALargeFile(t *testing.T) {
	t.Parallel()
	const partBytes = 64 << 10
	text := make([]byte, 10_000)
	random := rand.New(rand.NewPCG(1, 2))
	var lines []string
	for n := range 200 { // 2 MB that do not compress well
		for i := range text {
			text[i] = 'A' + byte(random.IntN(26))
		}
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Observation","id":"%d","valueString":"%s"}`, n, text))
	}
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Observation", lines...)}})
	w.PartBytes = partBytes
	report, err := pipeline.Run(t.Context(), w.Options)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(report.Parts); n < 6 {
		t.Errorf("%d parts, want one for each 256 KiB of NDJSON", n)
	}
}

func TestServerErrorsMakeAPartialRun(t *testing.T) {
	t.Parallel()
	for severity, partial := range map[string]bool{"error": true, "fatal": true, "warning": false, "information": false} {
		t.Run(severity, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bulktest.Options{
				Data:   bulktest.Files{bulktest.Lines("Patient", resource("Patient", 0))},
				Errors: bulktest.Files{bulktest.Lines("OperationOutcome", outcome(severity), outcome(severity))},
			})
			report, err := pipeline.Run(t.Context(), w.Options)
			var p *pipeline.PartialError
			if errors.As(err, &p) != partial || !partial && err != nil {
				t.Fatalf("error %v, want partial: %v", err, partial)
			}
			if len(w.published(t)["Patient"]) != 1 {
				t.Error("the good row is not published")
			}
			if (report.Status == ledger.StatusPartial) != partial {
				t.Errorf("status %s", report.Status)
			}
			if len(report.Issues) != 1 || report.Issues[0].Count != 2 || report.Issues[0].Severity != severity {
				t.Errorf("issues %+v", report.Issues)
			}
			kept, _ := report.JSON()
			if strings.Contains(string(kept)+w.logs.String()+fmt.Sprint(err), "1S00A00AA00") {
				t.Error("the outcome's text has leaked")
			}
		})
	}
}
