package pipeline

import (
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/columnar"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/transport"
)

// draft is a run's report in the making. It is stored as report.json right after finish and
// before the run counts, so what is added later is not in there. A run that fails has published
// nothing: failed must take back every field that says what was published.
type draft struct {
	lake.Report
	firstBad map[string]string // by type: reason and place of the first bad line
	spans    map[string]span   // by type, of its files
	phase    Phase             // the current one
	in       time.Time         // when it began
}

// span is the time from the first file's start to the last one's end.
type span struct{ from, to time.Time }

func newDraft(f Feed, started time.Time) *draft {
	return &draft{firstBad: map[string]string{}, spans: map[string]span{}, Report: lake.Report{
		Feed: f.Name, Source: f.Source, Purpose: f.Purpose, Layout: columnar.LayoutName, Started: started.UTC(),
		Exports: []lake.ExportReport{}, Types: []lake.TypeReport{}, Files: []lake.FileReport{}, Parts: []lake.Part{}}}
}

func (r *draft) addExport(level bulk.Level, x *export) {
	e := lake.ExportReport{Level: string(level), Role: string(x.Role), Group: x.Group, Types: x.Types, Patients: len(x.Patients),
		TransactionTime: x.complete.TransactionTimeText, Files: len(x.files)}
	if !x.Since.IsZero() {
		e.Since = &x.Since
	}
	r.Exports = append(r.Exports, e)
	lowest := slices.MinFunc(r.Exports, func(a, b lake.ExportReport) int {
		ta, _ := time.Parse(time.RFC3339Nano, a.TransactionTime) // zero, the lowest, if it cannot be read
		tb, _ := time.Parse(time.RFC3339Nano, b.TransactionTime)
		return ta.Compare(tb)
	})
	r.TransactionTime = ""
	if _, err := time.Parse(time.RFC3339Nano, lowest.TransactionTime); err == nil {
		r.TransactionTime = lowest.TransactionTime
	}
}

func (r *draft) addFile(f *exportFile) {
	read, s, partType := f.end.Read, f.end.Stats, fileKind{f.Type, f.Deleted}.partType()
	file := lake.FileReport{Type: f.Type, Deleted: f.Deleted, URL: transport.Redact(f.URL), Resources: read.Resources, Quarantined: read.Quarantined,
		Bytes: s.Bytes, Lines: f.end.Lines, XXH128: s.XXH128, Attempts: s.Attempts}
	if f.Count >= 0 {
		file.Count = &f.Count
	}
	if !f.Deleted {
		file.Duplicates = &f.end.repeats
	}
	r.Files = append(r.Files, file)
	t := r.typeOf(partType)
	t.Files++
	t.Resources += read.Resources
	t.Quarantined += read.Quarantined
	t.NDJSONBytes += s.Bytes
	all := r.spans[partType]
	if all.from.IsZero() || f.end.Started.Before(all.from) {
		all.from = f.end.Started
	}
	if f.end.Ended.After(all.to) {
		all.to = f.end.Ended
	}
	r.spans[partType] = all
	t.Seconds = all.to.Sub(all.from).Seconds()
	r.Resources += read.Resources
	r.Quarantined += read.Quarantined
	r.NDJSONBytes += s.Bytes
	if r.firstBad[partType] == "" {
		r.firstBad[partType] = f.end.Bad
	}
}

func (r *draft) addPart(p stagedPart) {
	r.Parts = append(r.Parts, lake.Part{Type: p.Type, Key: p.Receipt.Key, Rows: p.Rows, Bytes: p.Receipt.Size, SHA256: p.SHA256, FullFooter: p.FullFooter})
	t := r.typeOf(p.Type)
	t.Parts++
	t.Rows += p.Rows
	if p.Of.Type != p.Type && !p.Of.Deleted && r.Kind != ledger.KindFiles { // local files may hold any type
		t.Strays += p.Rows
	}
	t.ParquetBytes += p.Receipt.Size
	r.ParquetBytes += p.Receipt.Size
	r.Attachments += p.Attachments
}

// takeExports adds the exports of a run that the reported one replaces; first says whether it is
// the first such run. The exports say which groups and types the rows come from. So do the
// filters, if they are the same for all replaced runs.
func (r *draft) takeExports(of *lake.Report, first bool) {
	if first {
		r.Filters, r.GroupSearch = of.Filters, of.GroupSearch
	}
	if !maps.Equal(r.Filters, of.Filters) {
		r.Filters = nil
	}
	if r.GroupSearch != of.GroupSearch {
		r.GroupSearch = ""
	}
	for _, x := range of.Exports {
		x.Files, x.Patients = 0, 0
		same := func(other lake.ExportReport) bool {
			a, errA := json.Marshal(withoutTimes(x))
			b, errB := json.Marshal(withoutTimes(other))
			return errA == nil && errB == nil && string(a) == string(b)
		}
		if !slices.ContainsFunc(r.Exports, same) {
			r.Exports = append(r.Exports, x)
		}
	}
}

// withoutTimes returns an export without what differs from one night to the next.
func withoutTimes(x lake.ExportReport) lake.ExportReport {
	x.TransactionTime = ""
	if x.Since != nil {
		x.Since = new(time.Time)
	}
	return x
}

// addDuplicates records how many resources of each type that addPart has seen came more than
// once, if s knows.
func (r *draft) addDuplicates(s *seen) {
	if !s.known() {
		r.forgetDuplicates()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Duplicates = new(int64)
	for i := range r.Types {
		if t := &r.Types[i]; t.Type != columnar.Deleted {
			n := s.byType[t.Type]
			t.Duplicates = &n
			*r.Duplicates += n
		}
	}
}

func (r *draft) forgetDuplicates() {
	r.Duplicates = nil
	for i := range r.Types {
		r.Types[i].Duplicates = nil
	}
	for i := range r.Files {
		r.Files[i].Duplicates = nil
	}
}

// markPublished sets the status of a run whose parts are all published.
func (r *draft) markPublished() {
	r.Status = ledger.StatusPublished
	if r.Issues.Failed() > 0 || r.Quarantined > 0 || r.retiringRefused() || r.OlderKept != "" {
		r.Status = ledger.StatusPartial
	}
}

func (r *draft) retiringRefused() bool { return r.Retired != nil && r.Retired.Refused }

// failed records why the run failed, and takes back whatever was reported as published.
func (r *draft) failed(err error) {
	r.Status, r.Error = lake.StatusFailed, err.Error()
	r.Parts, r.Quarantine, r.ServerErrors, r.ParquetBytes, r.Attachments = []lake.Part{}, nil, nil, 0, 0
	r.Watermarks, r.Moved, r.ExportKept, r.Retired, r.OlderKept = nil, nil, "", nil, ""
	r.forgetDuplicates()
	for i := range r.Types {
		t := &r.Types[i]
		t.Parts, t.Rows, t.Strays, t.Distinct, t.Missing, t.ParquetBytes = 0, 0, 0, 0, 0, 0
	}
}

func (r *draft) typeOf(name string) *lake.TypeReport {
	i, found := slices.BinarySearchFunc(r.Types, name, func(t lake.TypeReport, name string) int { return cmp.Compare(t.Type, name) })
	if !found {
		r.Types = slices.Insert(r.Types, i, lake.TypeReport{Type: name})
	}
	return &r.Types[i]
}

// enter begins a phase, and notes how long the one before has taken. Only one goroutine at a
// time may call it.
func (r *draft) enter(p Phase, now time.Time) {
	if took := now.Sub(r.in).Round(time.Millisecond).Seconds(); r.phase != "" && r.phase != Ending && took > 0 {
		i := slices.IndexFunc(r.Phases, func(was lake.PhaseReport) bool { return was.Phase == string(r.phase) })
		if i < 0 {
			i, r.Phases = len(r.Phases), append(r.Phases, lake.PhaseReport{Phase: string(r.phase)})
		}
		r.Phases[i].Seconds = math.Round(1000*(r.Phases[i].Seconds+took)) / 1000
	}
	r.phase, r.in = p, now
}

// finish ends the report. What is done afterwards is not counted.
func (r *draft) finish(t time.Time) {
	r.enter("", t)
	r.Finished = t.UTC()
}

// quality returns a [*QualityError] if the share of a type's lines in quarantine is larger than
// allowed.
func (r *draft) quality(allowed float64) error {
	for _, t := range r.Types {
		if lines := t.Resources + t.Quarantined; float64(t.Quarantined) > allowed*float64(lines) {
			return &QualityError{Type: t.Type, Quarantined: t.Quarantined, Lines: lines, Allowed: allowed, First: r.firstBad[t.Type], Kept: r.Kind != ledger.KindFiles}
		}
	}
	return nil
}

// issueOf returns an issue as it appears in the report.
func issueOf(i bulk.Issue) lake.IssueReport {
	return lake.IssueReport{Severity: codeOrOther(i.Severity), Code: codeOrOther(i.Code), Count: 1, Failed: i.Failed()}
}

// codeOrOther lets nothing but codes into the report: servers put texts, with patients in them,
// where codes belong.
func codeOrOther(s string) string {
	if len(s) > 30 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-") != "" {
		return "other"
	}
	return s
}
