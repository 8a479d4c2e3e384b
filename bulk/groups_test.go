package bulk_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/transport"
)

// cohorts are Groups, each with two identifiers: its own, and one that they share.
func cohorts(n int) bulktest.Files {
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf(`{"resourceType":"Group","id":"g%02d","identifier":[{"system":"urn:own","value":"%d"},{"system":"urn:npi","value":"all"}]}`, (i*7)%n, i))
	}
	return bulktest.Files{bulktest.Lines("Group", lines...)}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{Data: cohorts(25)})
	var all []string
	for i := range 25 {
		all = append(all, fmt.Sprintf("g%02d", i))
	}
	for _, test := range []struct {
		search string
		want   []string
		pages  int
	}{
		{"Group?identifier=all", all, 3},
		{"Group?identifier=urn:npi|all", all, 3},
		{"Group?identifier=urn:npi%7Call&_count=25", all, 1},
		{"Group?identifier=urn:own|3", []string{"g21"}, 1},
		{"Group?identifier=1,2", []string{"g07", "g14"}, 1},
		{"Group?identifier=urn:own|all", nil, 1},
		{"Group?_id=g03", []string{"g03"}, 1},
	} {
		t.Run(test.search, func(t *testing.T) {
			before := len(requestsOf(server, bulktest.SearchEndpoint))
			got, err := newClient(t, server).Groups(t.Context(), test.search)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("other groups (-want +got):\n%s", diff)
			}
			sent := requestsOf(server, bulktest.SearchEndpoint)[before:]
			if len(sent) != test.pages {
				t.Errorf("got %d requests, want %d", len(sent), test.pages)
			}
			for _, r := range sent {
				if r.Header.Get("Accept") != "application/fhir+json" || r.Header.Get("Authorization") == "" || r.Header.Get("Prefer") != "handling=strict" {
					t.Errorf("it was asked with the header %v", r.Header)
				}
			}
		})
	}
}

func TestGroupsRefused(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{Data: cohorts(1)})
	c := newClient(t, server)
	_, err := c.Groups(t.Context(), "Group?value="+secret)
	wantHint(t, wantError(t, err, transport.Refused, "400 Bad Request"), "group_search")
	for _, search := range []string{"", "Group", "Group?", "Patient?identifier=1", "Group?%zz=" + secret} {
		if _, err := c.Groups(t.Context(), search); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", search, err)
		}
	}
}

// Tokens are renewed and transient failures retried, as elsewhere.
func TestGroupsGoThroughOutages(t *testing.T) {
	t.Parallel()
	server := newServer(t, bulktest.Options{Data: cohorts(1)})
	server.Inject(bulktest.Fault{On: bulktest.SearchEndpoint, Times: 2, Do: bulktest.Respond(503, nil, "")})
	c := newClient(t, server)
	if _, err := c.Groups(t.Context(), "Group?_id=g00"); err != nil {
		t.Fatal(err)
	}
	server.ExpireTokens()
	got, err := c.Groups(t.Context(), "Group?_id=g00")
	if err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestGroupsOfOddServers(t *testing.T) {
	t.Parallel()
	group := func(id string) string {
		return `{"resource":{"resourceType":"Group","id":"` + id + `"},"search":{"mode":"match"}}`
	}
	page := func(links string, entries ...string) http.HandlerFunc {
		return respond(200, nil, `{"resourceType":"Bundle","link":[`+links+`],"entry":[`+strings.Join(entries, ",")+`]}`)
	}
	next := func(url string) string { return `{"relation":"next","url":"` + url + `"}` }
	self := func(url string) string { return `{"relation":"self","url":"` + url + `"}` }
	outcome := func(severity string) string {
		return `{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"` + severity + `","code":"x","diagnostics":"` + secret + `"}]},"search":{"mode":"outcome"}}`
	}
	for name, test := range map[string]struct {
		steps []http.HandlerFunc
		want  []string // nil means an error
		kind  transport.Kind
		says  string
	}{
		"a match twice":         {steps: []http.HandlerFunc{page(next("/2"), group("b"), group("a")), page("", group("b"))}, want: []string{"a", "b"}},
		"no search mode":        {steps: []http.HandlerFunc{page("", `{"resource":{"resourceType":"Group","id":"a_b.c"}}`)}, want: []string{"a_b.c"}},
		"an included resource":  {steps: []http.HandlerFunc{page("", group("a"), `{"resource":{"resourceType":"Organization"},"search":{"mode":"include"}}`)}, want: []string{"a"}},
		"a warning":             {steps: []http.HandlerFunc{page("", group("a"), outcome("warning"))}, want: []string{"a"}},
		"a total":               {steps: []http.HandlerFunc{respond(200, nil, `{"resourceType":"Bundle","total":1,"entry":[`+group("a")+`]}`)}, want: []string{"a"}},
		"a total that is more":  {steps: []http.HandlerFunc{respond(200, nil, `{"resourceType":"Bundle","total":2,"entry":[`+group("a")+`]}`)}, kind: transport.Broken, says: "says that 2 groups match, but lists 1"},
		"a byte order mark":     {steps: []http.HandlerFunc{respond(200, nil, "\uFEFF"+`{"resourceType":"Bundle"}`)}, want: []string{}},
		"self as it was asked":  {steps: []http.HandlerFunc{page(self("http://other.example/Group?identifier=1"), group("a"))}, want: []string{"a"}},
		"self without a query":  {steps: []http.HandlerFunc{page(self("http://other.example/Group"), group("a"))}, want: []string{"a"}},
		"parameter passed over": {steps: []http.HandlerFunc{page(self("Group?_count=10"), group("a"))}, kind: transport.Refused, says: "ignored the parameter identifier"},
		"an error beside":       {steps: []http.HandlerFunc{page("", group("a"), outcome("error"))}, kind: transport.Broken, says: "groups may be missing"},
		"an outcome instead": {steps: []http.HandlerFunc{respond(200, nil, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing"}]}`)},
			kind: transport.Refused, says: "error processing"},
		"a loop":               {steps: []http.HandlerFunc{page(next("/2"), group("a")), page(next("/3")), page(next("/2"))}, kind: transport.Broken, says: "link back"},
		"pages without end":    {steps: []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) { page(next(r.URL.Path+"x"))(w, r) }}, kind: transport.Broken, says: "more than 1000 pages"},
		"a page elsewhere":     {steps: []http.HandlerFunc{page(next("https://elsewhere.example/2?s="+secret), group("a"))}, kind: transport.Broken, says: "another origin, https://elsewhere.example:443"},
		"an unreadable page":   {steps: []http.HandlerFunc{page(next("http://%zz/"+secret), group("a"))}, kind: transport.Broken, says: "unreadable URL"},
		"a page that is gone":  {steps: []http.HandlerFunc{page(next("/2"), group("a")), respond(404, nil, "")}, kind: transport.NotThere, says: "404"},
		"an id with a slash":   {steps: []http.HandlerFunc{page("", group("a/"+secret))}, kind: transport.Broken, says: "no usable id"},
		"no id":                {steps: []http.HandlerFunc{page("", group(""))}, kind: transport.Broken, says: "no usable id"},
		"another resource":     {steps: []http.HandlerFunc{page("", `{"resource":{"resourceType":"Patient","id":"`+secret+`"}}`)}, kind: transport.Broken, says: "is not a Group"},
		"other members":        {steps: []http.HandlerFunc{respond(200, nil, `{"id":"x","meta":{"tag":[{"code":"a"}]},"resourceType":"Bundle","timestamp":"2026","entry":[`+group("a")+`]}`)}, want: []string{"a"}},
		"null lists":           {steps: []http.HandlerFunc{respond(200, nil, `{"resourceType":"Bundle","link":null,"entry":null}`)}, want: []string{}},
		"cut in its entries":   {steps: []http.HandlerFunc{respond(200, nil, `{"resourceType":"Bundle","entry":[`+group("a"))}, kind: transport.Broken, says: "not a Bundle"},
		"cut in an entry":      {steps: []http.HandlerFunc{respond(200, nil, `{"resourceType":"Bundle","entry":[`+group("a")+`,{"resource":`)}, kind: transport.Broken, says: "not a Bundle"},
		"cut at its end":       {steps: []http.HandlerFunc{respond(200, nil, `{"resourceType":"Bundle","entry":[`+group("a")+`]`)}, kind: transport.Broken, says: "not a Bundle"},
		"cut in its links":     {steps: []http.HandlerFunc{respond(200, nil, `{"resourceType":"Bundle","entry":[`+group("a")+`],"link":`)}, kind: transport.Broken, says: "not a Bundle"},
		"cut in a text":        {steps: []http.HandlerFunc{respond(200, nil, `{"entry":[`+group("a")+`],"resourceType":"Bundle`)}, kind: transport.Broken, says: "not a Bundle"},
		"a key that is none":   {steps: []http.HandlerFunc{respond(200, nil, `{"resourceType":"Bundle","entry":[`+group("a")+`],"\q":1}`)}, kind: transport.Broken, says: "not a Bundle"},
		"entries in no list":   {steps: []http.HandlerFunc{respond(200, nil, `{"resourceType":"Bundle","entry":{"0":`+group("a")+`}}`)}, kind: transport.Broken, says: "not a Bundle"},
		"a link that is none":  {steps: []http.HandlerFunc{page("7", group("a"))}, kind: transport.Broken, says: "not a Bundle"},
		"an entry that is odd": {steps: []http.HandlerFunc{page("", group("a"), `{"resource":"`+secret+`"}`)}, kind: transport.Broken, says: "entry 2 of the result is unreadable"},
		"a long entry": {steps: []http.HandlerFunc{page("", group("a"), `{"resource":{"resourceType":"Group","id":"b","x":"`+strings.Repeat("x", 16<<20)+`"}}`)},
			kind: transport.Broken, says: "entry 2 of the result is longer than 16777216 bytes"},
		"no Bundle":            {steps: []http.HandlerFunc{respond(200, nil, `{"resourceType":"Group","id":"a"}`)}, kind: transport.Broken, says: "not a Bundle"},
		"a web page":           {steps: []http.HandlerFunc{respond(200, nil, "<html>")}, kind: transport.NotThere, says: "a web page"},
		"the token is refused": {steps: []http.HandlerFunc{respond(401, nil, "")}, kind: transport.Denied, says: "401"},
		"always busy":          {steps: []http.HandlerFunc{respond(503, nil, "")}, kind: transport.Unavailable, says: "503"},
		"accepted":             {steps: []http.HandlerFunc{respond(202, nil, "")}, kind: transport.Broken, says: "202"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := script(t, test.steps...)
			got, err := clientAt(t, server.URL, bearer("t0ken")).Groups(t.Context(), "Group?identifier=1")
			if test.want == nil {
				wantError(t, err, test.kind, test.says)
				return
			}
			if err != nil || strings.Join(got, " ") != strings.Join(test.want, " ") {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// 1upHealth's gateway refuses a | in a query, even one in its own link.
func TestGroupsWriteTheBarEscaped(t *testing.T) {
	t.Parallel()
	var queries []string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		queries = append(queries, r.URL.RawQuery)
		link := `,"link":[{"relation":"next","url":"?identifier=a|b&_after=x|y"}]`
		if len(queries) > 1 {
			link = ""
		}
		fmt.Fprint(w, `{"resourceType":"Bundle"`+link+`}`)
	})
	c := clientAt(t, server.URL+"/fhir")
	if _, err := c.Groups(t.Context(), "Group?identifier=a|b"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"identifier=a%7Cb", "identifier=a%7Cb&_after=x%7Cy"}, queries); diff != "" {
		t.Errorf("other queries (-want +got):\n%s", diff)
	}
}

// Not parallel, because it measures the process's allocations: empty entries, decoded at once,
// take a hundred times their size in memory.
func TestGroupsOfAPageOfEmptyEntries(t *testing.T) {
	server, _ := script(t, respond(200, nil, `{"resourceType":"Bundle","entry":[{}`+strings.Repeat(",{}", 4<<20)+`]}`))
	c := clientAt(t, server.URL)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.Groups(t.Context(), "Group?_id=1")
	runtime.ReadMemStats(&after)
	wantError(t, err, transport.Broken, "entry 1 of the result is not a Group")
	if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 250 {
		t.Errorf("a page of 12 MB took %d MB", mb)
	}
}

func TestGroupsAreBounded(t *testing.T) {
	t.Parallel()
	included := strings.Repeat(`,{"resource":{"resourceType":"Organization"},"search":{"mode":"include"}}`, 20_000)
	page := func(groups int, next string) http.HandlerFunc {
		var entries []string
		for n := range groups {
			entries = append(entries, fmt.Sprintf(`{"resource":{"resourceType":"Group","id":"g%d"}}`, n))
		}
		return respond(200, nil, `{"resourceType":"Bundle"`+next+`,"entry":[`+strings.Join(entries, ",")+included+`]}`)
	}
	const next = `,"link":[{"relation":"next","url":"/2"}]`
	server, _ := script(t, page(10_000, ""), page(10_001, ""), page(10_000, next), page(1, ""))
	c := clientAt(t, server.URL)
	if got, err := c.Groups(t.Context(), "Group?_id=1"); err != nil || len(got) != 10_000 {
		t.Errorf("got %d groups, %v", len(got), err)
	}
	for range 2 { // on one page, and on two
		_, err := c.Groups(t.Context(), "Group?_id=1")
		wantError(t, err, transport.Broken, "more than 10000 groups match")
	}
}
