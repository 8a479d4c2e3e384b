package pipeline_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
)

func TestDuplicatesAreCounted(t *testing.T) {
	t.Parallel()
	version := func(n string) string { return `{"resourceType":"Coverage","id":"1","meta":{"versionId":"` + n + `"}}` }
	w := newWorld(t, bulktest.Options{
		Data: bulktest.Files{
			bulktest.Lines("Patient", resources("Patient", 0, 5)...),
			bulktest.Lines("Patient", append(resources("Patient", 3, 7), resource("Patient", 3), resource("Device", 1), resource("Device", 1))...),
			bulktest.Lines("Coverage", version("1"), version("2"), version("1")),
			bulktest.Lines("Observation", resource("Observation", 0)),
		},
		Deleted: bulktest.Files{bulktest.Lines("Bundle", `{"resourceType":"Bundle","id":"1"}`, `{"resourceType":"Bundle","id":"1"}`)},
	})
	w.Workers = 1 // so that the order of the files is known
	report, err := pipeline.Run(t.Context(), w.Options)
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]int64{}
	for _, typ := range report.Types {
		types[typ.Type] = *typ.Duplicates
	}
	if diff := cmp.Diff(map[string]int64{"Patient": 3, "Device": 1, "Coverage": 1, "Observation": 0}, types); diff != "" {
		t.Errorf("by type (-want +got):\n%s", diff)
	}
	files := map[string]int64{}
	for _, f := range report.Files {
		files[f.Type] += *f.Duplicates
	}
	if diff := cmp.Diff(map[string]int64{"Patient": 4, "Coverage": 1, "Observation": 0}, files); diff != "" {
		t.Errorf("by file (-want +got):\n%s", diff)
	}
	if *report.Duplicates != 5 {
		t.Errorf("%d in all", *report.Duplicates)
	}
	if rows := w.published(t); len(rows["Patient"]) != 10 || len(rows["Coverage"]) != 3 {
		t.Errorf("rows are missing: %v", rows)
	}
}

// If another process has begun the run, it is not known what came before.
func TestDuplicatesOfAResumedRunAreNotKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Skip: 1, Do: bulktest.Respond(http.StatusForbidden, nil, "")})
	failed, err := pipeline.Run(t.Context(), w.Options)
	if err == nil {
		t.Fatal("the fault did not play")
	}
	report, err := pipeline.Run(t.Context(), w.Options)
	if err != nil || !report.Resumed {
		t.Fatalf("resumed: %v, %v", report.Resumed, err)
	}
	for _, r := range []*lake.Report{failed, report} {
		kept, err := r.JSON()
		if err != nil || strings.Contains(string(kept), "duplicates") {
			t.Errorf("it tells of duplicates: %s", kept)
		}
	}
}
