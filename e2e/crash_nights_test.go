package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fhirkiln/bulk/bulktest"
)

// night is a server's data on one night.
type night struct {
	files   []bulktest.File
	deleted []bulktest.File

	// What is new since the night before, as it must be published: resources, and the keys
	// of tombstones. late is what a feed of the group gets on this night, but a feed of the
	// whole system got earlier; systems is only for feeds of the whole system.
	fresh, late, systems, tombstones []string
}

// The numbers of resources on the first night.
const (
	crashPatients     = 240
	crashObservations = 1600 // in one file, which becomes several parts
	observationBytes  = 10_000
	crashNights       = 3
)

// firstNight is the time of the server's first transaction.
var firstNight = time.Date(2026, time.March, 1, 2, 0, 0, 0, time.UTC)

// allNights returns the nights of every round, made once.
var allNights = sync.OnceValue(func() []night {
	// Incompressible text, so that little NDJSON gives much Parquet.
	source := rand.New(rand.NewPCG(5, 8))
	text := make([]byte, 1<<20)
	for i := range text {
		text[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"[source.IntN(64)]
	}
	var nights []night
	for n := range crashNights {
		nights = append(nights, newNight(n, text))
	}
	return nights
})

// newNight returns the nth night. Each night, every third resource has changed and a patient is
// deleted. On the second night, a patient who was on the server before joins the group.
func newNight(n int, text []byte) night {
	var all night
	lines := map[string][]string{}
	add := func(kind string, number int, late bool, rest func(version int) string) {
		version := 0 // the night of its last change
		for v := 1; v <= n && !late; v++ {
			if (number+v)%3 == 0 {
				version = v
			}
		}
		line := fmt.Sprintf(`{"resourceType":%q,"id":"%s-%d","meta":{"lastUpdated":"%s"}%s}`, kind, strings.ToLower(kind), number,
			firstNight.AddDate(0, 0, version).Add(-time.Hour).Format(time.RFC3339), rest(version))
		lines[kind] = append(lines[kind], line)
		switch {
		case late && n == 0:
			all.systems = append(all.systems, line)
		case late && n == 1:
			all.late = append(all.late, line)
		case !late && version == n:
			all.fresh = append(all.fresh, line)
		}
	}
	of := func(patient int) string { return fmt.Sprintf(`{"reference":"Patient/patient-%d"}`, patient) }
	members := make([]string, 0, crashPatients)
	for p := range crashPatients {
		late := p == crashPatients-1
		add("Patient", p, late, func(int) string { return fmt.Sprintf(`,"birthDate":"19%02d-01-02"`, p%100) })
		add("Encounter", p, late, func(int) string { return `,"status":"finished","class":{"code":"AMB"},"subject":` + of(p) })
		if !late || n > 0 {
			members = append(members, `{"entity":`+of(p)+`}`)
		}
	}
	for o := range crashObservations {
		add("Observation", o, false, func(version int) string {
			at := (o*7919 + version*104729) % (len(text) - observationBytes)
			return `,"status":"final","code":{"text":"a long one"},"subject":` + of(o%(crashPatients-1)) + `,"valueString":"` + string(text[at:at+observationBytes]) + `"`
		})
	}
	if n == 0 { // a line that is not a resource
		lines["Encounter"] = append(lines["Encounter"], `{"id":"no type","meta":{"lastUpdated":"2026-01-01T00:00:00Z"},"subject":{"reference":"Patient/patient-1"}}`)
	}
	group := fmt.Sprintf(`{"resourceType":"Group","id":"everyone","meta":{"lastUpdated":"%s"},"type":"person","actual":true,"member":[%s]}`,
		firstNight.AddDate(0, 0, min(n, 1)).Add(-time.Hour).Format(time.RFC3339), strings.Join(members, ","))
	if n <= 1 {
		all.systems = append(all.systems, group)
	}
	all.files = []bulktest.File{crashFile("Group", []string{group})}
	for i := range 6 { // small files that share parts
		size := crashPatients / 6
		all.files = append(all.files, crashFile("Patient", lines["Patient"][i*size:(i+1)*size]))
	}
	all.files = append(all.files, crashFile("Observation", lines["Observation"]),
		crashFile("Encounter", lines["Encounter"][:100]), crashFile("Encounter", lines["Encounter"][100:]))
	if n > 0 {
		all.tombstones = []string{fmt.Sprintf("Patient/gone-%d", n)}
		all.deleted = []bulktest.File{crashFile("Bundle", []string{fmt.Sprintf(
			`{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"%s"}}]}`, all.tombstones[0])})}
	}
	return all
}

// crashFile returns a file whose readers share one copy of its lines.
func crashFile(kind string, lines []string) bulktest.File {
	all := []byte(strings.Join(lines, "\n") + "\n")
	return bulktest.File{Type: kind, Count: len(lines), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(all)), nil
	}}
}

// sky tells which night it is.
type sky struct {
	night    atomic.Int32
	kickOffs atomic.Int64
}

// transactionTime advances with each kick-off.
func (s *sky) transactionTime() time.Time {
	return firstNight.AddDate(0, 0, int(s.night.Load())).Add(time.Duration(s.kickOffs.Add(1)) * time.Second)
}

// crashData is a server's data, which changes each night.
type crashData struct {
	*sky
	nights []night
	of     func(night) []bulktest.File
}

// Files implements [bulktest.Data].
func (d crashData) Files() []bulktest.File { return d.of(d.nights[d.night.Load()]) }
