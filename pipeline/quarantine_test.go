package pipeline_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
)

func TestBadLinesGoToQuarantine(t *testing.T) {
	t.Parallel()
	bad := []string{`{"resourceType":"Patient","id":`, "not JSON, Mrs. Planted", `{"id":"no type"}`, "{\"resourceType\":\"Patient\",\"id\":\"\xff\"}", strings.Repeat(" ", 3) + `[1]`}
	lines := resources("Patient", 0, 9995)
	lines = append(lines[:5000], append(bad, lines[5000:]...)...)
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", lines...)}})
	report, err := pipeline.Run(t.Context(), w.Options)
	var partial *pipeline.PartialError
	if !errors.As(err, &partial) || partial.Quarantined != 5 {
		t.Fatalf("error %v, want a partial run with 5 lines in quarantine", err)
	}
	if got := len(w.published(t)["Patient"]); got != 9995 || report.Resources != 9995 || report.Quarantined != 5 {
		t.Errorf("%d rows, the report says %d and %d in quarantine", got, report.Resources, report.Quarantined)
	}
	if len(report.Quarantine) != 1 {
		t.Fatalf("quarantine files %q", report.Quarantine)
	}
	kept, err := os.ReadFile(filepath.Join(w.dir.String(), report.Quarantine[0]))
	if err != nil {
		t.Fatal(err)
	}
	entries := strings.Split(strings.TrimSuffix(string(kept), "\n"), "\n")
	if len(entries) != len(bad) {
		t.Fatalf("%d entries, want %d", len(entries), len(bad))
	}
	for n, e := range entries {
		var q struct {
			File, Reason, Bytes string
			Line, Offset        int64
		}
		if err := json.Unmarshal([]byte(e), &q); err != nil {
			t.Fatal(err)
		}
		was, err := base64.StdEncoding.DecodeString(q.Bytes)
		if err != nil || string(was) != strings.TrimSpace(bad[n]) {
			t.Errorf("entry %d holds %q, want %q", n, was, bad[n])
		}
		if q.Line != int64(5001+n) || q.Reason == "" || !strings.Contains(q.File, "/file/") || strings.Contains(q.Reason, "Planted") {
			t.Errorf("entry %d: %+v", n, q)
		}
	}
	if v, err := w.lake().Verify(t.Context(), nil); err != nil || len(v.Problems) > 0 || v.Rows != 9995 {
		t.Errorf("verify: %+v, %v", v, err)
	}
	if strings.Contains(w.logs.String(), "Planted") {
		t.Error("a quarantined line is in the log")
	}
}

// A file that breaks off within its last line was cut. A bad line that is whole is only bad.
func TestLastLines(t *testing.T) {
	t.Parallel()
	for last, cut := range map[string]bool{
		`{"resourceType":"Patient","name":[{"family":"x"}`:        true,
		`{"resourceType":"Patient","name":[{"family":"x"}` + "\n": false,
		`{"id":"no type"}`: false,
	} {
		t.Run(last, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			content := strings.Join(resources("Patient", 0, 10), "\n") + "\n" + last
			if err := os.WriteFile(filepath.Join(folder, "Patient.ndjson"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			files, err := pipeline.FindFiles(nil, folder)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, bulktest.Options{})
			w.Server, w.MaxQuarantined = nil, 1
			_, err = pipeline.Convert(t.Context(), files, w.Options)
			var damaged *pipeline.BrokenFileError
			var partial *pipeline.PartialError
			if cut && !errors.As(err, &damaged) || !cut && !errors.As(err, &partial) {
				t.Errorf("got %v", err)
			}
			if cut && !strings.Contains(err.Error(), "ends in the middle of line 11") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTooManyBadLinesPublishNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{
		bulktest.Lines("Observation", resources("Observation", 0, 500)...),
		bulktest.Lines("Patient", append([]string{"garbage"}, resources("Patient", 0, 500)...)...),
	}})
	_, err := pipeline.Run(t.Context(), w.Options)
	var quality *pipeline.QualityError
	if !errors.As(err, &quality) || quality.Type != "Patient" || quality.Lines != 501 {
		t.Fatalf("error %v, want 1 of 501 lines of Patient", err)
	}
	w.wantUnseen(t)

	// What was staged is kept, so that the server is not asked again.
	w.MaxQuarantined = 0.01
	var partial *pipeline.PartialError
	if _, err := pipeline.Run(t.Context(), w.Options); !errors.As(err, &partial) {
		t.Fatalf("error %v, want a partial run where 1 %% is allowed", err)
	}
	if got := w.kickOffs(); got != 1 {
		t.Errorf("the server saw %d kick-offs, want 1", got)
	}
	w.wantTidy(t)
}
