package columnar_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fhirkiln/columnar"
)

// bury makes tombstones of NDJSON.
func bury(t failer, o columnar.Options, input string) (parts []finishedPart, q quarantine, read columnar.ReadStats) {
	t.Helper()
	m := memory{}
	o.Create, o.Quarantine = m.create, q.take
	w := columnar.NewTombstoneWriter(o)
	read, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(input), 0), &origin)
	if err != nil {
		t.Fatalf("appending: %v", err)
	}
	return m.finish(t, w), q, read
}

// bundle returns a Bundle of these entries.
func bundle(entries ...string) string {
	return `{"resourceType":"Bundle","type":"transaction","entry":[` + strings.Join(entries, ",") + `]}`
}

// deletion returns an entry that deletes the resource at the url.
func deletion(url string) string {
	return fmt.Sprintf(`{"request":{"method":"DELETE","url":%q}}`, url)
}

func TestTombstones(t *testing.T) {
	t.Parallel()
	const patient = `{"request":{"method":"DELETE","url":"Patient/1"}}`
	for _, tt := range []struct {
		name, line string
		rows       []string // resourceType, id, url, __residual
		bad        []string // reason: bytes
		back       []string // what comes back, where it is not the line
	}{
		{name: "one", line: bundle(patient), rows: []string{"Patient 1  "}},
		{name: "two", line: bundle(patient, deletion("Claim/a-b.C")), rows: []string{"Patient 1  ", "Claim a-b.C  "}, back: []string{bundle(patient), bundle(deletion("Claim/a-b.C"))}},
		{name: "none", line: bundle()},
		{name: "no entry", line: `{"resourceType":"Bundle","type":"transaction"}`},
		{name: "another order, white space, escapes",
			line: `{ "entry" : [ { "request" : { "u\u0072l" : "Patient\/1" , "method" : "DELETE" } } ] , "type" : "transaction", "resourceType" : "Bundle" }`,
			rows: []string{"Patient 1  "}, back: []string{bundle(patient)}},
		{name: "an absolute url", line: bundle(deletion("https://payer.example/fhir/R4/Patient/1")), rows: []string{"Patient 1 https://payer.example/fhir/R4/Patient/1 "}},
		{name: "a version", line: bundle(deletion("Patient/1/_history/2")), rows: []string{"Patient 1 Patient/1/_history/2 "}},
		{name: "an absolute url of a version", line: bundle(deletion("http://h/Patient/1/_history/2")), rows: []string{"Patient 1 http://h/Patient/1/_history/2 "}},
		{name: "slashes around", line: bundle(deletion("/Patient/1/")), rows: []string{"Patient 1 /Patient/1/ "}},
		{name: "a query", line: bundle(deletion("Patient/1?_cascade=delete")), rows: []string{"Patient 1 Patient/1?_cascade=delete "}},
		{name: "escapes of URLs", line: bundle(deletion("Patient/a%20b")), rows: []string{"Patient a b Patient/a%20b "}},
		{name: "a type of another version", line: bundle(deletion("ActorDefinition/1")), rows: []string{"ActorDefinition 1  "}},
		{name: "a search", line: bundle(deletion("Patient?identifier=1")), bad: []string{"its entry 1 names no resource in its url: " + deletion("Patient?identifier=1")}},
		{name: "a search below a base", line: bundle(deletion("https://h/R4/Patient?identifier=a/b")), bad: []string{"its entry 1 names no resource in its url: " + deletion("https://h/R4/Patient?identifier=a/b")}},
		{name: "a host", line: bundle(deletion("https://Host/Patient")), bad: []string{"its entry 1 names no resource in its url: " + deletion("https://Host/Patient")}},
		{name: "no url of a resource", line: bundle(deletion("urn:uuid:1")), bad: []string{"its entry 1 names no resource in its url: " + deletion("urn:uuid:1")}},
		{name: "escapes that are no text", line: bundle(deletion("Patient/%ff")), bad: []string{"its entry 1 names no resource in its url: " + deletion("Patient/%ff")}},
		{name: "some are good",
			line: bundle(`{"request":{"method":"PUT","url":"Patient/2"}}`, patient, `7`, `{}`, `{"request":{"method":"DELETE"}}`, `{"request":[1]}`, `{"request":{"method":"DELETE","url":7}}`, patient),
			rows: []string{"Patient 1  ", "Patient 1  "}, back: []string{bundle(patient), bundle(patient)},
			bad: []string{`its entry 1 is not a DELETE: {"request":{"method":"PUT","url":"Patient/2"}}`, "its entry 3 has no request with a method and a url: 7", "its entry 4 has no request with a method and a url: {}",
				`its entry 5 has no request with a method and a url: {"request":{"method":"DELETE"}}`, `its entry 6 has no request with a method and a url: {"request":[1]}`,
				`its entry 7 has no request with a method and a url: {"request":{"method":"DELETE","url":7}}`}},
		{name: "more in the entry", line: bundle(`{"fullUrl":"urn:a","request":{"ifMatch":"W/\"1\"","method":"DELETE","a/b":1.50,"url":"Patient/1"},"x":null}`),
			rows: []string{`Patient 1  {"/entry/0/fullUrl":"urn:a","/entry/0/x":null,"/entry/0/request/ifMatch":"W/\"1\"","/entry/0/request/a~1b":1.50}`}},
		{name: "more in the Bundle", line: `{"id":"b","resourceType":"Bundle","type":"transaction","entry":[7,` + patient + `,` + patient + `],"timestamp":"2026-01-01T00:00:00Z"}`,
			rows: []string{`Patient 1  {"/id":"b","/timestamp":"2026-01-01T00:00:00Z"}`, "Patient 1  "}, bad: []string{"its entry 1 has no request with a method and a url: 7"},
			back: []string{`{"id":"b","resourceType":"Bundle","type":"transaction","entry":[` + patient + `],"timestamp":"2026-01-01T00:00:00Z"}`, bundle(patient)}},
		{name: "a Bundle of another type", line: `{"resourceType":"Bundle","type":"history","entry":[` + patient + `]}`, rows: []string{`Patient 1  {"/type":"history"}`}},
		{name: "a Bundle without a type", line: `{"resourceType":"Bundle","entry":[` + patient + `]}`, rows: []string{"Patient 1  "}, back: []string{bundle(patient)}},
		{name: "a member twice", line: bundle(`{"request":{"method":"DELETE","url":"Patient/1","url":"Patient/2"}}`),
			rows: []string{`Patient 1  {"/entry/0":{"request":{"method":"DELETE","url":"Patient/1","url":"Patient/2"}}}`}},
		{name: "another member twice, before", line: bundle(`{"fullUrl":"a","fullUrl":"b","request":{"ifMatch":"1","ifMatch":"2","method":"DELETE","method":"GET","url":"Patient/1"}}`),
			rows: []string{`Patient 1  {"/entry/0":{"fullUrl":"a","fullUrl":"b","request":{"ifMatch":"1","ifMatch":"2","method":"DELETE","method":"GET","url":"Patient/1"}}}`}},
		{name: "half of a surrogate pair in a name", line: bundle(`{"\ud83d":1,"request":{"\ud83d":1,"method":"DELETE","url":"Patient/1"}}`),
			rows: []string{`Patient 1  {"/entry/0":{"\ud83d":1,"request":{"\ud83d":1,"method":"DELETE","url":"Patient/1"}}}`}},
		{name: "half of a surrogate pair", line: bundle(`{"request":{"method":"DELETE","url":"Patient/\ud83d"}}`),
			rows: []string{"Patient \uFFFD  " + `{"/entry/0":{"request":{"method":"DELETE","url":"Patient/\ud83d"}}}`}},
		{name: "an entry alone", line: patient, rows: []string{"Patient 1  "}, back: []string{bundle(patient)}},
		{name: "an entry alone that is none", line: `{"request":{"method":"GET","url":"Patient/1"}}`, bad: []string{`it is not a DELETE: {"request":{"method":"GET","url":"Patient/1"}}`}},
		{name: "the resource", line: `{"resourceType":"Patient","id":"1"}`, rows: []string{`Patient 1  {"":{"resourceType":"Patient","id":"1"}}`}},
		{name: "the resource, with its last version", line: `{"id":"1","name":[{"family":"Okafor"}],"resourceType":"Patient"}`,
			rows: []string{`Patient 1  {"":{"id":"1","name":[{"family":"Okafor"}],"resourceType":"Patient"}}`}},
		{name: "a resource without id", line: `{"resourceType":"Patient"}`, bad: []string{`it is neither a Bundle of deletions nor a resource with an id: {"resourceType":"Patient"}`}},
		{name: "a Bundle that says nothing", line: `{"resourceType":"Bundle","id":"1"}`, bad: []string{`it is neither a Bundle of deletions nor a resource with an id: {"resourceType":"Bundle","id":"1"}`}},
		{name: "Parameters", line: `{"resourceType":"Parameters","id":"1"}`, bad: []string{`it is neither a Bundle of deletions nor a resource with an id: {"resourceType":"Parameters","id":"1"}`}},
		{name: "an error", line: `{"resourceType":"OperationOutcome","id":"1"}`, bad: []string{`it is neither a Bundle of deletions nor a resource with an id: {"resourceType":"OperationOutcome","id":"1"}`}},
		{name: "a bad type", line: `{"resourceType":"../x","id":"1"}`, bad: []string{`it is neither a Bundle of deletions nor a resource with an id: {"resourceType":"../x","id":"1"}`}},
		{name: "entry is an object", line: `{"resourceType":"Bundle","type":"transaction","entry":` + patient + `}`,
			bad: []string{`its entry is not an array, or occurs twice: {"resourceType":"Bundle","type":"transaction","entry":` + patient + `}`}},
		{name: "entry twice", line: `{"resourceType":"Bundle","entry":[` + patient + `],"entry":[]}`,
			bad: []string{`its entry is not an array, or occurs twice: {"resourceType":"Bundle","entry":[` + patient + `],"entry":[]}`}},
		{name: "broken at its end", line: bundle(patient)[:60], bad: []string{`it ends within a string at byte 60 of the line: ` + bundle(patient)[:60]}},
		{name: "broken between entries", line: `{"resourceType":"Bundle","entry":[` + patient + ` ` + patient + `]}`,
			bad: []string{`a comma or closing bracket is missing at byte 84 of the line: {"resourceType":"Bundle","entry":[` + patient + ` ` + patient + `]}`}},
		{name: "text behind", line: bundle(patient) + "x", bad: []string{`there is extra data after its JSON object at byte 106 of the line: ` + bundle(patient) + "x"}},
		{name: "no object", line: `[]`, bad: []string{"it is not a JSON object at byte 0 of the line: []"}},
		{name: "nothing", line: `{}`, bad: []string{"it is neither a Bundle of deletions nor a resource with an id: {}"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			input := "\n  " + tt.line + "\r\n"
			parts, q, read := bury(t, columnar.Options{}, input)
			if want := int64(len(tt.rows)); read.Resources != want || read.Quarantined != int64(len(tt.bad)) || read.Bytes != int64(len(input)) {
				t.Errorf("the statistics are %+v", read)
			}
			if isBundle := len(q) != 1 || q[0].Line != tt.line; strings.Contains(tt.line, `"Bundle"`) && isBundle != (read.Bundles == 1) {
				t.Errorf("it read %d Bundles", read.Bundles)
			}
			var bad []string
			for _, b := range q {
				bad = append(bad, b.Reason+": "+b.Line)
				if b.DataError.Line != 2 || b.Offset != 1 || b.Origin != origin {
					t.Errorf("in quarantine it is from %+v", b)
				}
			}
			if diff := cmp.Diff(tt.bad, bad); diff != "" {
				t.Errorf("quarantine (-want +got):\n%s", diff)
			}
			if len(tt.rows) == 0 {
				if len(parts) > 0 {
					t.Errorf("there are %d parts without rows", len(parts))
				}
				return
			}
			check(t, parts[0])
			if len(parts) != 1 || parts[0].ResourceType != columnar.Deleted {
				t.Errorf("the parts are %v", parts)
			}
			var got []string
			for _, r := range rows(t, parts[0]) {
				got = append(got, strings.Join([]string{r.text("resourceType"), r.text("id"), r.text("url"), r.text("__residual")}, " "))
				for _, name := range []string{"source", "feed", "run", "file", "transactionTime"} {
					if r.text("__origin."+name) == "" {
						t.Errorf("__origin has no %s", name)
					}
				}
				if r.text("__origin.line") != "2" {
					t.Errorf("the line is %s", r.text("__origin.line"))
				}
			}
			if diff := cmp.Diff(tt.rows, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			back := tt.back
			if back == nil {
				back = []string{tt.line}
			}
			same(t, map[string][]string{columnar.Deleted: back}, byType(t, parts))
		})
	}
}

// Each entry of each Bundle becomes a tombstone or goes to quarantine, in order, however they are
// cut into row groups and parts; and tombstones come back.
func TestTombstonesProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var input strings.Builder
		var want, bad []string
		for range rapid.IntRange(0, 5).Draw(t, "bundles") {
			var entries []string
			for range rapid.IntRange(0, 8).Draw(t, "entries") {
				e := deletion(rapid.SampledFrom([]string{"Patient/%d", "https://h/fhir/Claim/%d", "Basic/%d/_history/1", "Claim?identifier=%d"}).Draw(t, "url"))
				e = strings.Replace(e, "%d", fmt.Sprint(rapid.IntRange(0, 1e9).Draw(t, "id")), 1)
				if rapid.IntRange(0, 3).Draw(t, "more") == 0 {
					e = strings.Replace(e, `{`, `{"fullUrl":"urn:x","resource":{"a":[{},null,-0]},`, 1)
				}
				if entries = append(entries, e); strings.Contains(e, "?") {
					bad = append(bad, e)
				} else {
					want = append(want, bundle(e))
				}
			}
			input.WriteString(bundle(entries...) + "\n")
		}
		o := columnar.Options{RowGroupBytes: rapid.Int64Range(1, 500).Draw(t, "row group")}
		parts, q, read := bury(t, o, input.String())
		if read.Resources != int64(len(want)) || read.Quarantined != int64(len(bad)) {
			t.Errorf("%+v of %d and %d entries", read, len(want), len(bad))
		}
		for i := range q {
			if i >= len(bad) || q[i].Line != bad[i] {
				t.Errorf("%q is in quarantine", q[i].Line)
			}
		}
		all := map[string][]string{}
		if len(want) > 0 {
			all[columnar.Deleted] = want
		}
		same(t, all, byType(t, parts))
	})
}

func TestTombstonesFail(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left")
	stopped := errors.New("stopped by a signal")
	many := bundle(deletion("Patient/1"), "7", deletion("Patient/2"))
	t.Run("without quarantine", func(t *testing.T) {
		t.Parallel()
		w := columnar.NewTombstoneWriter(columnar.Options{Create: memory{}.create})
		var bad *columnar.DataError
		if read, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(many), 0), nil); !errors.As(err, &bad) || read.Resources != 1 || bad.Line != 1 {
			t.Errorf("%+v, %v", read, err)
		}
	})
	t.Run("quarantine fails", func(t *testing.T) {
		t.Parallel()
		w := columnar.NewTombstoneWriter(columnar.Options{Create: memory{}.create, Quarantine: func(context.Context, columnar.Quarantined) error { return full }})
		if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(many), 0), nil); !errors.Is(err, full) {
			t.Error(err)
		}
	})
	t.Run("no part", func(t *testing.T) {
		t.Parallel()
		w := columnar.NewTombstoneWriter(columnar.Options{Create: func(context.Context, string) (io.Writer, error) { return nil, full }})
		if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(many), 0), nil); !errors.Is(err, full) {
			t.Error(err)
		}
	})
	t.Run("canceled within a Bundle", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		w := columnar.NewTombstoneWriter(columnar.Options{Create: memory{}.create, Quarantine: func(context.Context, columnar.Quarantined) error {
			cancel(stopped)
			return nil
		}})
		input := bundle("7" + strings.Repeat(","+deletion("Patient/1"), 5000))
		if read, err := w.Append(ctx, columnar.NewLines(strings.NewReader(input), 0), nil); !errors.Is(err, stopped) || read.Resources > 1000 {
			t.Errorf("%+v, %v", read, err)
		}
	})
}
