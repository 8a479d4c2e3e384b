package main

import (
	"math"
	"strings"
	"time"

	"fhirkiln/pipeline/ledger"
)

// logShare returns the length of a bar for n as a share, 0 to 1, of the bar for the largest
// number. It is logarithmic: a full export has a thousand times as much as a night, and both
// must be visible.
func logShare[N int64 | float64](n, largest N) float64 {
	if n <= 0 || largest <= 0 {
		return 0
	}
	return math.Log1p(float64(n)) / math.Log1p(float64(largest))
}

// barText draws a bar as text, at most eight characters wide, in steps of an eighth of a
// character.
func barText(share float64) string {
	eighths := int(math.Round(share * 8 * 8))
	if eighths == 0 && share > 0 {
		eighths = 1
	}
	bar := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		bar += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return bar
}

// chart is a bar chart of runs, in SVG units.
type chart struct {
	Title  string
	Bars   []chartBar
	Grid   []label // one per grid line
	Days   []label // below the chart
	Legend []legend
	Note   string
}

type chartBar struct {
	X, Y, Width, Height float64
	Class               string
	Text                string // shown on hover
}

type label struct {
	X, Y float64
	Text string
}

type legend struct{ Class, Text string }

// The area of a chart's bars; see page.html.
const (
	chartLeft, chartRight = 70.0, 720.0 // right of the grid's labels
	chartTop, chartFoot   = 8.0, 170.0
)

// slot returns the position and width of the bar of the ith of n runs.
func slot(i, n int) (x, width float64) {
	each := (chartRight - chartLeft) / float64(max(n, 1))
	width = max(min(each*0.75, 28), 0.5)
	return chartLeft + each*float64(i) + (each-width)/2, width
}

// level returns the y coordinate for a share of a chart's height; 0 is the foot.
func level(share float64) float64 { return chartTop + (chartFoot-chartTop)*(1-share) }

// newChart returns a chart without bars, with the days of at most eight runs.
func (h history) newChart(title string, legend ...legend) chart {
	c := chart{Title: title, Legend: legend}
	const maxDays = 8
	each := (len(h.Reports) + maxDays - 1) / maxDays
	for i, r := range h.Reports {
		if i%each == 0 {
			x, width := slot(i, len(h.Reports))
			c.Days = append(c.Days, label{x + width/2, chartFoot + 16, r.Started.UTC().Format(time.DateOnly)})
		}
	}
	return c
}

// resourcesChart shows the number of resources of each run, on a logarithmic scale.
func (h history) resourcesChart() chart {
	c := h.newChart("Resources", legend{"full", "full"}, legend{"incremental", "incremental"}, legend{"other", "files"}, legend{"partial", "partial"})
	largest := h.maxResources()
	for n := int64(1); n <= largest && n < 1e18; n *= 10 {
		c.Grid = append(c.Grid, label{chartLeft - 6, level(logShare(n, largest)), count(n)})
	}
	for i, r := range h.Reports {
		x, width := slot(i, len(h.Reports))
		y := level(min(logShare(r.Resources, largest), 1)) // a compaction may have more
		if r.Kind == ledger.KindCompaction {
			y = chartFoot
		}
		c.Bars = append(c.Bars, chartBar{x, y, width, chartFoot - y, runClass(r), runText(r) + ": " + count(r.Resources) + " resources"})
	}
	return c
}

// timeChart shows how long each run took, on a logarithmic scale. The shares of a bar show
// what the time went into.
func (h history) timeChart() chart {
	c := h.newChart("Time", legend{"waiting", "waiting for the server"}, legend{"converting", "fetching and converting"}, legend{"publishing", "publishing"}, legend{"other", "queued, other"})
	c.Note = "Heights are logarithmic; colors show what share of a run's time went where."
	longest := 0.0
	for _, r := range h.Reports {
		longest = max(longest, tookSeconds(r))
	}
	for _, at := range []struct {
		seconds float64
		text    string
	}{{1, "1 s"}, {10, "10 s"}, {60, "1 min"}, {600, "10 min"}, {3600, "1 h"}, {6 * 3600, "6 h"}, {24 * 3600, "1 day"}, {168 * 3600, "1 week"}} {
		if at.seconds <= longest {
			c.Grid = append(c.Grid, label{chartLeft - 6, level(logShare(at.seconds, longest)), at.text})
		}
	}
	for i, r := range h.Reports {
		x, width := slot(i, len(h.Reports))
		took := tookSeconds(r)
		y, whole := chartFoot, logShare(took, longest)*(chartFoot-chartTop)
		times := timesOf(r)
		sum := 0.0
		for _, p := range times {
			sum += p.seconds
		}
		for _, p := range times {
			height := whole * p.seconds / max(took, sum)
			if p.seconds <= 0 {
				continue
			}
			y -= height
			c.Bars = append(c.Bars, chartBar{x, y, width, height, p.class, runText(r) + ", " + seconds(took) + ": " + seconds(p.seconds) + " " + p.what})
		}
	}
	return c
}
