package pipeline_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
)

const (
	oldBase = "https://old.example/r4"
	newBase = "https://new.example/r4?no=query"
)

// wantOtherServer runs the feed, which must ask the server for nothing.
func (c *clinic) wantOtherServer(t *testing.T) {
	t.Helper()
	report, err := pipeline.Run(t.Context(), c.Options)
	var other *pipeline.OtherServerError
	if !errors.As(err, &other) || other.Was != "old.example" || other.Is != "https://new.example/r4?…" || report.Status != lake.StatusFailed {
		t.Fatalf("error %v, report %+v", err, report)
	}
	c.wantAsked(t)
}

// A watermark of one server means nothing to another. A full run begins a new one.
func TestChangedServer(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", resource("Patient", 1)))
	c.run(t) // of an old version, or a program that does not say
	c.wantAsked(t, "")
	c.Feed.Base = oldBase
	c.then(1)
	c.run(t)
	c.wantAsked(t, "since=2026-03-01T02")
	for _, same := range []string{"HTTPS://Old.Example:443/r4/", ""} {
		c.Feed.Base = same
		c.run(t)
		c.wantAsked(t, "since=2026-03-02T02")
	}
	c.Feed.Base = oldBase
	c.then(1)
	c.run(t)
	c.wantAsked(t, "since=2026-03-02T02")
	c.Feed.Base = newBase
	c.wantOtherServer(t)
	c.then(-2) // its clock may be behind the other one's
	c.Full = true
	c.run(t)
	c.wantAsked(t, "", "since=2026-03-03T02")
	if w := c.feed(t).Watermarks["*"]; w.Time != "2026-03-01T02:00:00.000Z" {
		t.Errorf("the watermark is at %s", w.Time)
	}
	c.Full = false
	c.then(1)
	c.run(t)
	c.wantAsked(t, "since=2026-03-01T02")
	if is := c.feed(t).Server; !strings.HasPrefix(is, "new.example ") || strings.Contains(is, "/") {
		t.Errorf("the feed is of server %q", is)
	}
}

// Setting the watermark to where it is says that the new address is the same server's. Taking a
// type's watermark away says nothing.
func TestChangedAddressOfTheSameServer(t *testing.T) {
	t.Parallel()
	c := newClinic(t, bulktest.Lines("Patient", resource("Patient", 1)))
	c.Feed.Base = oldBase
	c.run(t)
	c.wantAsked(t, "")
	c.Feed.Base = newBase
	set := func(to string, types ...string) {
		t.Helper()
		if _, err := pipeline.SetWatermark(t.Context(), c.Options, types, to); err != nil {
			t.Fatal(err)
		}
	}
	set("", "Coverage")
	c.then(1)
	c.wantOtherServer(t)
	set("2026-03-01T02:00:00Z")
	c.run(t)
	c.wantAsked(t, "since=2026-03-01T02")
}

// An unfinished run is not resumed with another server's export. It waits for the user to say
// what is wanted, unless there is no watermark to be wrong.
func TestUnfinishedRunOfAnotherServer(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{true, false} {
		c := newClinic(t, bulktest.Lines("Patient", resource("Patient", 1)))
		c.Feed.Base = oldBase
		if !first {
			c.run(t)
			c.then(1)
		}
		remove := c.server.Inject(bulktest.Fault{On: bulktest.StatusEndpoint, Times: bulktest.Always, Do: bulktest.Respond(http.StatusForbidden, nil, "")})
		if _, err := pipeline.Run(t.Context(), c.Options); err == nil {
			t.Fatal("it did not fail")
		}
		remove()
		c.asked(t)
		c.Feed.Base = newBase
		if !first {
			c.wantOtherServer(t)
			c.Full = true
		}
		if report := c.run(t); report.Resumed || len(c.asked(t)) == 0 {
			t.Errorf("report %+v", report)
		}
		c.wantTidy(t)
	}
}
