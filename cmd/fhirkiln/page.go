package main

import (
	"cmp"
	_ "embed"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"fhirkiln/pipeline"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
)

//go:embed page.html
var pageHTML string

// pageFeed is a feed on the page.
type pageFeed struct {
	history
	Standing string
	Failure  string // how the last run failed; "": it did not
	Charts   []chart
	Latest   *pageRun  // nil: none
	Rows     []pageRun // newest first
}

// pageRun is a run on the page.
type pageRun struct {
	*lake.Report
	Took  string
	Spent string
	Types []pageType // largest first
}

type pageType struct {
	lake.TypeReport
	Bar float64 // width
}

// writePage writes a self-contained page: no script, no other file.
func writePage(w io.Writer, where string, histories []history, now time.Time) error {
	page, err := template.New("page").Funcs(template.FuncMap{"count": count, "size": size, "utc": utcMinute, "at": func(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }}).Parse(pageHTML)
	if err != nil {
		return err
	}
	feeds := make([]pageFeed, len(histories))
	for i, h := range histories {
		feeds[i] = pageFeed{history: h, Standing: h.standing(now), Failure: showFailure(h.LastFailure).line()}
		if len(h.Reports) == 0 {
			continue
		}
		feeds[i].Charts = []chart{h.resourcesChart(), h.timeChart()}
		for _, r := range slices.Backward(h.Reports) {
			feeds[i].Rows = append(feeds[i].Rows, newPageRun(r))
		}
		for n, r := range feeds[i].Rows {
			if r.Kind != ledger.KindCompaction {
				feeds[i].Latest = &feeds[i].Rows[n]
				break
			}
		}
	}
	return page.Execute(w, struct {
		Where string
		Made  time.Time
		Feeds []pageFeed
	}{where, now, feeds})
}

func newPageRun(r *lake.Report) pageRun {
	const barWidth = 160
	p := pageRun{Report: r, Took: seconds(tookSeconds(r)), Spent: spentText(r)}
	var largest int64
	for _, t := range r.Types {
		largest = max(largest, t.Rows)
	}
	for _, t := range r.Types {
		p.Types = append(p.Types, pageType{t, barWidth * float64(t.Rows) / float64(max(largest, 1))})
	}
	slices.SortStableFunc(p.Types, func(a, b pageType) int { return cmp.Compare(b.Rows, a.Rows) })
	return p
}

// runClass returns the CSS class of a run.
func runClass(r *lake.Report) string {
	switch {
	case r.Status != ledger.StatusPublished:
		return "partial"
	case r.Kind == ledger.KindFull, r.Kind == ledger.KindIncremental:
		return string(r.Kind)
	}
	return "other"
}

// runText names the run of a bar.
func runText(r *lake.Report) string {
	return utcMinute(r.Started) + " " + string(r.Kind)
}

func utcMinute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// runTime is a part of the time that a run took.
type runTime struct {
	class, what string
	seconds     float64
}

// timesOf says where a run's time went, as far as it has reported it.
func timesOf(r *lake.Report) []runTime {
	waiting, converting, publishing := 0.0, 0.0, 0.0
	for _, p := range r.Phases {
		switch pipeline.Phase(p.Phase) {
		case pipeline.Starting, pipeline.Waiting: // not Queued, which is waiting for other feeds
			waiting += p.Seconds
		case pipeline.Converting:
			converting += p.Seconds
		case pipeline.Publishing:
			publishing += p.Seconds
		}
	}
	rest := max(tookSeconds(r)-waiting-converting-publishing, 0)
	return []runTime{{"waiting", "waiting for the server", waiting}, {"converting", "fetching and converting", converting},
		{"publishing", "publishing", publishing}, {"other", "queued or other", rest}}
}

// spentText says where a run's time went, or "" if it has not reported it.
func spentText(r *lake.Report) string {
	if len(r.Phases) == 0 {
		return ""
	}
	var parts []string
	for _, p := range timesOf(r) {
		if p.seconds >= 0.05 {
			parts = append(parts, seconds(p.seconds)+" "+p.what)
		}
	}
	return strings.Join(parts, ", ")
}
