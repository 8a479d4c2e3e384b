package pipeline_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/auth"
	"fhirkiln/bulk"
	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/transport"
)

// serve gives the feed another server that has these files, on the nth of November.
func (w *world) serve(t *testing.T, n int, o bulktest.Options) {
	t.Helper()
	o.TransactionTime = func() time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }
	server, err := bulktest.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	client := transport.New(transport.Options{})
	t.Cleanup(client.CloseIdleConnections)
	c, err := bulk.New(bulk.Options{Base: server.FHIR(), HTTP: client, Poll: bulk.Poll{Min: time.Millisecond, Max: time.Millisecond},
		Credentials: auth.NewCache(auth.ClientCredentials{TokenURL: server.TokenURL(), ClientID: bulktest.DefaultClientID,
			ClientSecret: bulktest.DefaultClientSecret, Scope: bulktest.DefaultScope, HTTP: client})})
	if err != nil {
		t.Fatal(err)
	}
	w.server, w.Server = server, pipeline.Client(c)
}

// patientsBut returns n patients, without some of them.
func patientsBut(n int, gone ...int) bulktest.Files {
	var lines []string
	for i := range n {
		if !slices.Contains(gone, i) {
			lines = append(lines, resource("Patient", i))
		}
	}
	return bulktest.Files{bulktest.Lines("Patient", lines...), bulktest.Lines("Basic", resources("Basic", 0, 3)...)}
}

func buried(ids ...int) []string {
	var lines []string
	for _, id := range ids {
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/Patient-%d"}}]}`, id))
	}
	return lines
}

// twoFulls runs the feed in full with forty patients, and then again with the given files.
func twoFulls(t *testing.T, second bulktest.Options, between func(w *world)) (*world, *lake.Report, error) {
	t.Helper()
	w := newWorld(t, bulktest.Options{})
	w.serve(t, 1, bulktest.Options{Data: patientsBut(40)})
	w.runFull(t, 1)
	w.Full, w.Feed.Retire = true, true
	if between != nil {
		between(w)
	}
	w.serve(t, 5, second)
	report, err := pipeline.Run(t.Context(), w.Options)
	return w, report, err
}

func TestRetire(t *testing.T) {
	t.Parallel()
	w, report, err := twoFulls(t, bulktest.Options{Data: patientsBut(40, 3, 7)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(buried(3, 7), w.live(t)["deleted"]); diff != "" {
		t.Errorf("tombstones (-want +got):\n%s", diff)
	}
	if report.Retired == nil || report.Retired.Resources != 2 || report.Resources != 41 || report.Status != ledger.StatusPublished {
		t.Errorf("report: %+v, %d resources, %s", report.Retired, report.Resources, report.Status)
	}
	for _, row := range w.liveRows(t) {
		if strings.HasPrefix(row, "deleted") && !strings.Contains(row, report.TransactionTime) {
			t.Errorf("a tombstone is not of the run's transactionTime %s: %s", report.TransactionTime, row)
		}
	}
	w.verify(t)
	w.wantTidy(t)

	// What is retired is not retired again. If it comes back, it may be.
	w.serve(t, 6, bulktest.Options{Data: patientsBut(40, 7)})
	if report, err = pipeline.Run(t.Context(), w.Options); err != nil || report.Retired.Resources != 0 {
		t.Errorf("a second time: %+v, %v", report.Retired, err)
	}
	w.serve(t, 7, bulktest.Options{Data: patientsBut(40, 3, 7)})
	if report, err = pipeline.Run(t.Context(), w.Options); err != nil || report.Retired.Resources != 1 {
		t.Errorf("of the one that came back: %+v, %v", report.Retired, err)
	}

	// The same holds after a compaction.
	if _, err := pipeline.Compact(t.Context(), w.Options, pipeline.CompactOptions{}); err != nil {
		t.Fatal(err)
	}
	w.serve(t, 8, bulktest.Options{Data: patientsBut(40, 3, 7, 9)})
	if report, err = pipeline.Run(t.Context(), w.Options); err != nil || report.Retired.Resources != 1 {
		t.Errorf("after a compaction: %+v, %v", report.Retired, err)
	}
	w.verify(t)
}

// Absence deletes nothing unless that is asked for and the run can tell.
func TestRetireIsCareful(t *testing.T) {
	t.Parallel()
	outcome := `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing"}]}`
	for name, tt := range map[string]struct {
		between func(w *world)
		second  bulktest.Options
		partial bool
		skipped string // part of why
	}{
		"not asked for":  {between: func(w *world) { w.Feed.Retire = false }, second: bulktest.Options{Data: patientsBut(40, 3)}},
		"not in full":    {between: func(w *world) { w.Full = false }, second: bulktest.Options{Data: patientsBut(40, 3)}},
		"a tenth":        {second: bulktest.Options{Data: patientsBut(40, 1, 2, 3, 4, 5)}, partial: true, skipped: "5 of 40 Patient resources"},
		"a type is gone": {second: bulktest.Options{Data: patientsBut(40, 3)[:1]}, partial: true, skipped: "3 of 3 Basic resources"},
		"errors": {second: bulktest.Options{Data: patientsBut(40, 3), Errors: bulktest.Files{bulktest.Lines("OperationOutcome", outcome)}},
			partial: true, skipped: "reported errors"},
		"quarantine": {between: func(w *world) { w.MaxQuarantined = 1 },
			second:  bulktest.Options{Data: append(patientsBut(40, 3), bulktest.Lines("Device", `{"id":"no type"}`))},
			partial: true, skipped: "quarantine"},
		"since":         {between: func(w *world) { w.Feed.Request.Since = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) }, second: bulktest.Options{Data: patientsBut(40, 3)}, skipped: "since"},
		"other types":   {between: func(w *world) { w.Feed.Request.Types = []string{"Basic"} }, second: bulktest.Options{Data: patientsBut(40, 3)}},
		"other filters": {between: func(w *world) { w.Feed.Request.Elements = []string{"id"} }, second: bulktest.Options{Data: patientsBut(40, 3)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, report, err := twoFulls(t, tt.second, tt.between)
			if _, partial := errors.AsType[*pipeline.PartialError](err); partial != tt.partial || err != nil && !tt.partial {
				t.Errorf("error %v", err)
			}
			if got := w.live(t)["deleted"]; len(got) > 0 {
				t.Errorf("tombstones: %q", got)
			}
			if tt.skipped != "" && (report.Retired == nil || !strings.Contains(report.Retired.Skipped, tt.skipped)) {
				t.Errorf("the report says %+v", report.Retired)
			}
			if n := len(w.live(t)["Patient"]); n < 40 {
				t.Errorf("%d versions of patients are live", n)
			}
			w.verify(t)
			w.wantTidy(t)
		})
	}
}

// In a type with few resources, one or two come and go all the time.
func TestRetireOfASmallType(t *testing.T) {
	t.Parallel()
	second := bulktest.Options{Data: bulktest.Files{patientsBut(40, 3)[0], bulktest.Lines("Basic", resource("Basic", 0))}}
	w, report, err := twoFulls(t, second, nil)
	if err != nil || report.Retired == nil || report.Retired.Resources != 3 || len(w.live(t)["deleted"]) != 3 {
		t.Errorf("error %v, retired %+v", err, report.Retired)
	}
	w.verify(t)
}

// Wherever a run dies, the same is retired, and only once.
func TestRetireDyingAnywhere(t *testing.T) {
	t.Parallel()
	counting := func(w *world) *mortalStore {
		calls := &mortalStore{Dir: w.dir}
		calls.lives.Store(1 << 40)
		w.Sink = calls
		return calls
	}
	var calls *mortalStore
	second := bulktest.Options{Data: patientsBut(40, 3, 7)}
	if _, _, err := twoFulls(t, second, func(w *world) { calls = counting(w) }); err != nil {
		t.Fatal(err)
	}
	all := 1<<40 - calls.lives.Load()
	for n := max(all-30, 1); n <= all; n++ { // before it retires, it is a run like any other
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			w, _, err := twoFulls(t, second, func(w *world) {
				dying := &mortalStore{Dir: w.dir, last: n%2 == 0}
				dying.lives.Store(n)
				w.Sink = dying
			})
			if err != nil && !errors.Is(err, errDead) {
				t.Fatal(err)
			}
			w.Sink = w.dir
			if len(w.feed(t).Runs) == 1 {
				report, err := pipeline.Run(t.Context(), w.Options)
				if err != nil || report.Retired == nil || report.Retired.Resources != 2 {
					t.Errorf("the run after: %+v, %v", report.Retired, err)
				}
			}
			if diff := cmp.Diff(buried(3, 7), w.live(t)["deleted"]); diff != "" {
				t.Errorf("tombstones (-want +got):\n%s", diff)
			}
			if _, err := pipeline.GC(t.Context(), w.Options, noGrace); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(w.live(t), w.published(t)); diff != "" {
				t.Errorf("parts (-live +there):\n%s", diff)
			}
			w.verify(t)
			w.wantTidy(t)
		})
	}
}

// A live part that is gone does not make full runs fail forever.
func TestRetireWithAPartGone(t *testing.T) {
	t.Parallel()
	w, report, err := twoFulls(t, bulktest.Options{Data: patientsBut(40, 3)}, func(w *world) {
		for _, name := range w.files(t, ".parquet") {
			if strings.Contains(name, "/Patient/") {
				if err := w.dir.Remove(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	if err != nil || report.Status != ledger.StatusPublished || !strings.Contains(report.Retired.Skipped, "not all live runs can be read") || report.Retired.Resources != 0 {
		t.Errorf("%+v, error %v", report.Retired, err)
	}
	w.wantTidy(t)
}
