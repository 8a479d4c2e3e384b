package bulktest_test

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk/bulktest"
)

// People type the names, and they are in the order of an export.
func TestKnownFaultsAreTold(t *testing.T) {
	t.Parallel()
	phases := []string{"token", "kickoff", "poll", "manifest", "file", "delete"}
	name := regexp.MustCompile(`^[a-z]+(-[a-z0-9]+)+$`)
	seen := make(map[string]bool)
	last := 0
	for _, f := range bulktest.KnownFaults() {
		begins, _, _ := strings.Cut(f.Name, "-")
		at := slices.Index(phases, begins)
		if !name.MatchString(f.Name) || at < last || seen[f.Name] {
			t.Errorf("the name %s is malformed, in the wrong place, or there twice", f.Name)
		}
		if f.Does == "" || strings.HasSuffix(f.Does, ".") || f.Seen == "" {
			t.Errorf("%s is not told: %q, seen at %q", f.Name, f.Does, f.Seen)
		}
		last, seen[f.Name] = max(at, last), true
	}
	if len(seen) < 150 {
		t.Errorf("there are %d known faults", len(seen))
	}
}

func TestUnknownFault(t *testing.T) {
	t.Parallel()
	_, err := bulktest.NewServer(bulktest.Options{Faults: []string{"poll-429", "nonsense"}})
	var unknown *bulktest.UnknownFaultError
	if !errors.As(err, &unknown) || unknown.Name != "nonsense" {
		t.Errorf("got %v", err)
	}
}

// Temporary faults play on each export, and before permanent ones, in whatever order they are
// named.
func TestKnownFaultsOnEachExport(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{Data: twoPatients(), Faults: []string{
		"manifest-no-lists", "poll-429", "kickoff-503", "file-404-once", "manifest-empty"}})
	for range 2 {
		var got []int
		var status string
		for len(got) < 3 {
			a := c.tryKickOff("/$export", "")
			got = append(got, a.status)
			status = a.header.Get("Content-Location")
		}
		var last answer
		for range 3 {
			last = c.get(status)
			got = append(got, last.status)
		}
		file := strings.Replace(status, "/job/", "/file/", 1) + "/Patient.1.ndjson"
		got = append(got, c.get(file).status, c.get(file).status)
		if diff := cmp.Diff([]int{503, 503, 202, 429, 429, 200, 404, 200}, got); diff != "" {
			t.Error(diff)
		}
		if strings.Contains(string(last.body), "output") {
			t.Errorf("the first of two that last was not played: %s", last.body)
		}
	}
}

// The second origin serves files only without a token, and everything else only with one.
func TestStorage(t *testing.T) {
	t.Parallel()
	c := start(t, bulktest.Options{Data: twoPatients(), Faults: []string{"file-presigned"}})
	if c.server.StorageURL() == c.server.URL() || c.server.StorageURL() == "" {
		t.Fatalf("storage is at %q", c.server.StorageURL())
	}
	m := c.export("/$export", "")
	link := m.Output[0].URL
	if !strings.HasPrefix(link, c.server.StorageURL()+"/") || m.RequiresAccessToken {
		t.Errorf("got %+v", m)
	}
	if a := c.get(link); a.status != 400 || !strings.Contains(string(a.body), "<Code>InvalidArgument</Code>") {
		t.Errorf("with a token: %d %s", a.status, a.body)
	}
	open := func(url string) int {
		a, err := c.try("GET", url, "")
		if err != nil {
			t.Fatal(err)
		}
		return a.status
	}
	if status := open(link); status != 200 {
		t.Errorf("without a token: %d", status)
	}
	job, _, _ := strings.Cut(strings.Replace(link, "/file/", "/job/", 1), "/Patient.")
	if status := open(job); status != http.StatusUnauthorized {
		t.Errorf("a status URL without a token: %d", status)
	}
}
