package pipeline_test

import (
	"net/http"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/transport"
)

// tellEarly has the server answer with 202 and all files until that many are fetched, and then
// with end. In between, it checks that nothing is visible in the sink.
func tellEarly(t *testing.T, w *world, files int64, end bulktest.Behavior) (fetched *atomic.Int64, remove func()) {
	t.Helper()
	fetched = new(atomic.Int64)
	counted := w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always, Do: func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(rw, r)
		fetched.Add(1)
	}})
	early := w.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: bulktest.Always, Do: func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if fetched.Load() >= files {
			w.wantUnseen(t)
			end(rw, r, next)
			return
		}
		bulktest.EditHead(func(_ int, h http.Header) int {
			h.Set("Retry-After", "0")
			return http.StatusAccepted
		})(rw, r, next)
	}})
	return fetched, func() { counted(); early() }
}

func asItIs(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(w, r) }

func TestFilesAreConvertedWhileTheExportRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	fetched, _ := tellEarly(t, w, 3, asItIs)
	report, err := pipeline.Run(t.Context(), w.Options)
	if err != nil {
		t.Fatal(err)
	}
	if report.Resources != 60 || fetched.Load() != 3 {
		t.Errorf("%d resources, and files were fetched %d times", report.Resources, fetched.Load())
	}
	want := map[string][]string{"Patient": resources("Patient", 0, 20), "Observation": resources("Observation", 0, 20), "Encounter": resources("Encounter", 0, 20)}
	if diff := cmp.Diff(want, w.live(t)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	w.wantTidy(t)
}

// A server that takes back what it has told of is not trusted with that export.
func TestAFileThatIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bulktest.Options{Data: oneOfEach()})
	var job atomic.Value
	_, remove := tellEarly(t, w, 3, func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if job.CompareAndSwap(nil, r.URL.Path) || job.Load() == r.URL.Path {
			bulktest.EditManifest(func(m map[string]any) { m["output"] = m["output"].([]any)[1:] })(rw, r, next)
			return
		}
		next.ServeHTTP(rw, r)
	})
	defer remove()
	if _, err := pipeline.Run(t.Context(), w.Options); !isKind(transport.Broken)(err) {
		t.Fatalf("error %v", err)
	}
	w.wantUnseen(t)
	if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
		t.Fatal(err)
	}
	if rows := w.published(t); len(rows["Patient"]) != 20 || len(rows["Observation"]) != 20 || len(rows["Encounter"]) != 20 {
		t.Errorf("rows: %v", rows)
	}
	if got := w.kickOffs(); got != 2 {
		t.Errorf("the server saw %d kick-offs, want 2", got)
	}
	w.wantTidy(t)
}

// Files organized by patient have a header before each block.
func TestOrganizedOutput(t *testing.T) {
	t.Parallel()
	for name, counted := range map[string]int{"headers are counted": 4, "headers are not counted": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, bulktest.Options{Data: bulktest.Files{bulktest.Lines("Patient", resources("Patient", 0, 2)...)}})
			w.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: bulktest.Always, Do: bulktest.EditManifest(func(m map[string]any) {
				m["outputOrganizedBy"] = "Patient"
				file := m["output"].([]any)[0].(map[string]any)
				delete(file, "type")
				file["count"] = counted
			})})
			w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always, Do: bulktest.EditBody(func(body []byte) []byte {
				header := `{"resourceType":"Parameters","parameter":[{"name":"header","valueReference":{"reference":"Patient/1"}}]}` + "\n"
				var organized strings.Builder
				for line := range strings.Lines(string(body)) {
					organized.WriteString(header + line)
				}
				return []byte(organized.String())
			})})
			report, err := pipeline.Run(t.Context(), w.Options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string][]string{"Patient": resources("Patient", 0, 2)}, w.live(t)); diff != "" || report.Resources != 2 {
				t.Errorf("%d resources; rows (-want +got):\n%s", report.Resources, diff)
			}
		})
	}
}

// Rows that hold URLs of attachments at the server are worthless without its export.
func TestKeepJob(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		keep        pipeline.KeepJob
		attachments bool
		deleted     int
	}{
		{pipeline.KeepForAttachments, false, 1}, {pipeline.KeepForAttachments, true, 0},
		{pipeline.KeepNever, true, 1}, {pipeline.KeepAlways, false, 0},
	} {
		for _, dies := range []bool{false, true} {
			var line string
			w := newWorld(t, bulktest.Options{Data: section(func() []bulktest.File {
				return []bulktest.File{bulktest.Lines("DocumentReference", line)}
			})})
			line = resource("DocumentReference", 1)
			if test.attachments {
				line = `{"resourceType":"DocumentReference","id":"1","status":"current","content":[{"attachment":{"url":"` + w.server.FHIR() + `/Binary/1"}}]}`
			}
			w.KeepJob = test.keep
			if dies { // when the run is published
				w.Sink = &brokenSink{Dir: w.dir, step: "remove"}
			}
			report, err := pipeline.Run(t.Context(), w.Options)
			if err != nil {
				t.Fatal(err)
			}
			if (report.Attachments > 0) != test.attachments {
				t.Errorf("%d rows with attachments", report.Attachments)
			}
			if dies {
				if feed := w.feed(t); len(feed.Ended) != 1 {
					t.Errorf("nothing is left to be tidied up: %+v", feed)
				}
				w.Sink = w.dir
				if _, err := pipeline.Run(t.Context(), w.Options); err != nil {
					t.Fatal(err)
				}
			}
			w.wantTidy(t)
			first, deleted := "", 0
			for _, r := range w.server.Requests() {
				if r.Endpoint == bulktest.StatusEndpoint && first == "" {
					first = r.Path
				}
				if r.Endpoint == bulktest.DeleteEndpoint && r.Path == first {
					deleted = 1
				}
			}
			if deleted != test.deleted {
				t.Errorf("%q with attachments %v: the export was deleted: %d, want %d", test.keep, test.attachments, deleted, test.deleted)
			}
		}
	}
}

// Links that differ only in their query are told apart by it, in whatever order the server tells
// of them.
func TestFilesToldApartByTheirQuery(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]int{"all": 3, "one is gone": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testToldApart(t, last)
		})
	}
}

// testToldApart has a server that first tells of the last two of three files, and in the end of
// the first ones, last of them.
func testToldApart(t *testing.T, last int) {
	t.Helper()
	w := newWorld(t, bulktest.Options{Data: bulktest.Files{
		bulktest.Lines("Patient", resources("Patient", 0, 20)...), bulktest.Lines("Patient", resources("Patient", 20, 40)...),
		bulktest.Lines("Patient", resources("Patient", 40, 60)...),
	}})
	var fetched atomic.Int64
	w.server.Inject(bulktest.Fault{On: bulktest.FileEndpoint, Times: bulktest.Always, Do: func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		r = r.Clone(r.Context())
		r.URL.Path = strings.TrimSuffix(r.URL.Path, "all") + r.URL.Query().Get("file")
		next.ServeHTTP(rw, r)
		fetched.Add(1)
	}})
	w.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: bulktest.Always, Do: func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		complete := fetched.Load() > 0
		bulktest.Chain(bulktest.EditHead(func(status int, h http.Header) int {
			if h.Set("Retry-After", "0"); !complete {
				return http.StatusAccepted
			}
			return status
		}), bulktest.EditManifest(func(m map[string]any) {
			output := m["output"].([]any)
			for _, f := range output {
				f := f.(map[string]any)
				folder, file := path.Split(f["url"].(string))
				f["url"] = folder + "all?file=" + file
			}
			m["output"] = output[:last]
			if !complete {
				m["output"] = output[1:]
			}
		}))(rw, r, next)
	}})
	_, err := pipeline.Run(t.Context(), w.Options)
	if last < 3 {
		if err == nil {
			t.Error("a file is gone, and the run took another for it")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]string{"Patient": resources("Patient", 0, 60)}, w.live(t)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}
