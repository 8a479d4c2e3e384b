package pipeline_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
)

func outcome(severity string) string {
	return fmt.Sprintf(`{"resourceType":"OperationOutcome","issue":[{"severity":%q,"code":"processing","diagnostics":"MBI 1S00A00AA00"}]}`, severity)
}

// serverErrors returns the files of what servers say is missing.
func (w *world) serverErrors(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(w.files(t, ".ndjson"), func(name string) bool { return !strings.Contains(name, "/quarantine/server-errors-") })
}

// What the server says is missing outlives its export, as long as quarantined lines do.
func TestServerErrorsAreKept(t *testing.T) {
	t.Parallel()
	odd := "{\"resourceType\": \"OperationOutcome\", \"x\": \"\xff\", \"issue\": [{\"code\": \"y\", \"diagnostics\": \"1.50\"}]}"
	w := newWorld(t, bulktest.Options{Errors: bulktest.Files{
		bulktest.Lines("OperationOutcome", outcome("warning"), outcome("error")),
		bulktest.Lines("OperationOutcome", outcome("information"), "{}"),
		bulktest.Lines("OperationOutcome", outcome("fatal")),
	}})
	// As only a foreign server would write them.
	w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always, Do: bulktest.EditBody(func(body []byte) []byte {
		return []byte(strings.ReplaceAll(string(body), "{}", strings.Replace(odd, " \"issue", "\r\n\"issue", 1)))
	})})
	report, err := pipeline.Run(t.Context(), w.Options)
	var partial *pipeline.PartialError
	if !errors.As(err, &partial) || partial.Issues != 3 {
		t.Fatalf("error %v", err)
	}
	w.wantDeleted(t, 1)
	files := w.serverErrors(t)
	if diff := cmp.Diff(files, report.ServerErrors); diff != "" || len(files) != 1 || len(report.Quarantine) != 0 {
		t.Fatalf("quarantine %q; (-there +reported)\n%s", report.Quarantine, diff)
	}
	name := filepath.Join(w.dir.String(), files[0])
	if partial.ServerErrors != name {
		t.Errorf("the error names %s", partial.ServerErrors)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{outcome("error"), strings.Replace(odd, " \"issue", "  \"issue", 1), outcome("fatal"), ""}
	if diff := cmp.Diff(want, strings.Split(string(content), "\n")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if strings.Contains(w.logs.String(), "1S00A00AA00") {
		t.Error("the log says who is missing")
	}

	// It goes when its run does.
	if found := w.gc(t, noGrace); len(found.Files) > 0 || len(w.feed(t).Runs) != 1 {
		t.Errorf("gc has removed %v of %d runs", found.Files, len(w.feed(t).Runs))
	}
	w.wantLive(t, 1)
	w.serve(t, 9, bulktest.Options{Data: oneOfEach()})
	w.Feed.Keep.Runs, w.Full = 1, true
	for range 2 {
		if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
			t.Fatal(err)
		}
	}
	w.gc(t, noGrace)
	if left := w.serverErrors(t); len(left) > 0 {
		t.Errorf("gc leaves %q", left)
	}
	w.verify(t)
}

// A run that fails after it has read the error files, or within them, leaves nothing of them.
func TestServerErrorsOfAFailedRun(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(w *world){
		"it is thrown away": func(w *world) { w.Sink = &brokenSink{Dir: w.dir, step: "publish"} },
		"a file is gone": func(w *world) {
			w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Skip: 1, Times: bulktest.Always, Do: bulktest.Respond(http.StatusNotFound, nil, "")})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := bulktest.Lines("OperationOutcome", outcome("error"))
			w := newWorld(t, bulktest.Options{Errors: bulktest.Files{lines, lines}})
			breaks(w)
			report, err := pipeline.Run(t.Context(), w.Options)
			var partial *pipeline.PartialError
			if err == nil || errors.As(err, &partial) || len(report.ServerErrors) > 0 {
				t.Fatalf("error %v, with %q", err, report.ServerErrors)
			}
			w.Sink = w.dir
			if _, err := pipeline.Cancel(t.Context(), w.Options); err != nil {
				t.Fatal(err)
			}
			if left := w.serverErrors(t); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
			w.wantTidy(t)
		})
	}
}
