package pipeline

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"fhirkiln/bulk"
	"fhirkiln/columnar"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/transport"
)

// Report is what a run did. It holds no URL unredacted and no patient data.
type Report struct {
	Run      string      `json:"run"`
	Feed     string      `json:"feed"`
	Source   string      `json:"source"`
	Purpose  string      `json:"purpose,omitempty"`
	Kind     ledger.Kind `json:"kind,omitempty"`
	Resumed  bool        `json:"resumed,omitempty"` // the run was begun by a process before
	Layout   string      `json:"layout"`
	Started  time.Time   `json:"started"`
	Finished time.Time   `json:"finished"`

	Status Status `json:"status"`
	Error  string `json:"error,omitempty"` // why the run failed

	// TransactionTime is the lowest of the exports', as the server wrote it; "" if one
	// has none that can be read.
	TransactionTime string `json:"transaction_time,omitempty"`

	Resources    int64 `json:"resources"`     // read from whole files, and rows published
	Quarantined  int64 `json:"quarantined"`   // lines that could not become rows
	NDJSONBytes  int64 `json:"ndjson_bytes"`  // uncompressed
	ParquetBytes int64 `json:"parquet_bytes"` // published

	// Duplicates are resources of one type, id and meta.versionId (where there is one) that
	// came more than once in the run, each time but the first. All are published; the views
	// of current data show one. Nil: not known, since the run was resumed by another
	// process, or had more than 3 million resources.
	Duplicates *int64 `json:"duplicates,omitempty"`

	// Attachments are rows that hold a URL of an attachment at the server of the export.
	Attachments int64 `json:"attachments,omitempty"`

	Members *MembersReport `json:"members,omitempty"` // of the feed's groups

	// Watermarks are what the feed is complete up to after the run, by resource type; "*"
	// is every type. Held says why the run did not move them.
	Watermarks map[string]string `json:"watermarks,omitempty"`
	Held       string            `json:"watermark_held,omitempty"`

	// Retired is what came of Feed.Retire; nil where it had nothing to do.
	Retired *RetireReport `json:"retired,omitempty"`

	// Filters are what was asked for beside types and groups: hashes, to be compared.
	Filters map[string]string `json:"filters,omitempty"`

	// GroupSearch is what the groups were searched by, "" if they were not: a hash.
	GroupSearch string `json:"group_search,omitempty"`

	// Moved is how the run moved the watermarks.
	Moved []MoveReport `json:"watermark_moves,omitempty"`

	// ExportKept is why the server's exports are left there, "" if they are not.
	ExportKept string `json:"export_kept,omitempty"`

	// Replaces are the runs that a compaction was made of. Its exports are theirs.
	Replaces []string `json:"replaces,omitempty"`

	Exports []ExportReport `json:"exports"`
	Types   []TypeReport   `json:"types"`
	Files   []FileReport   `json:"files"`
	Parts   []PartReport   `json:"parts"`
	Issues  issueCounts    `json:"issues,omitempty"` // of the server's error files

	// Quarantine are the keys of the files that hold the quarantined lines: NDJSON, an
	// object a line, with file, line, offset, reason and bytes (base64).
	Quarantine []string `json:"quarantine,omitempty"`

	firstBad map[string]string // by type: reason and place of the first one
}

// MembersReport counts the patients of a feed's groups. Who they are is in the state
// alone.
type MembersReport struct {
	Listed int `json:"listed"`
	New    int `json:"new"`  // not there at the run before
	Left   int `json:"left"` // there at the run before, and not now
}

// MoveReport is how a run moved the watermark of a resource type, "*" being all types.
type MoveReport struct {
	Type string `json:"type"`
	From string `json:"from,omitempty"` // "": there was none
	To   string `json:"to"`
}

// Status is how a run ended.
type Status = ledger.Status

// The statuses of runs. One that has failed is in no feed's object.
const (
	Published Status = ledger.StatusPublished
	Partial   Status = ledger.StatusPartial // published, but the server reported errors, or lines are in quarantine
	Failed    Status = "failed"             // nothing is published
)

// ExportReport is one export of a run.
type ExportReport struct {
	Level           bulk.Level `json:"level"`
	Role            role       `json:"role"` // data, or history of new members
	Group           string     `json:"group,omitempty"`
	Types           []string   `json:"types,omitempty"`
	Since           *time.Time `json:"since,omitempty"`
	Patients        int        `json:"patients,omitempty"`
	TransactionTime string     `json:"transaction_time,omitempty"`
	Files           int        `json:"files"`
}

// TypeReport sums up the files and parts of one resource type. A resource of another
// type than its file's counts with its file under Files, Resources and NDJSONBytes, and
// with its own type under Rows, Strays, Parts and ParquetBytes.
type TypeReport struct {
	Type         string  `json:"type"` // "deleted" for tombstones
	Files        int     `json:"files"`
	Resources    int64   `json:"resources"`
	Quarantined  int64   `json:"quarantined"`
	NDJSONBytes  int64   `json:"ndjson_bytes"`
	Parts        int     `json:"parts"`
	Rows         int64   `json:"rows"`
	Strays       int64   `json:"strays,omitempty"`     // rows that came in files of another type
	Duplicates   *int64  `json:"duplicates,omitempty"` // among the rows; see [Report]
	ParquetBytes int64   `json:"parquet_bytes"`
	Seconds      float64 `json:"seconds"` // from the first file's start to the last one's end

	first, last time.Time
}

// FileReport is the last word on one output file.
type FileReport struct {
	Type        string `json:"type"`
	Deleted     bool   `json:"deleted,omitempty"`
	URL         string `json:"url"`             // redacted
	Count       *int64 `json:"count,omitempty"` // the manifest's
	Resources   int64  `json:"resources"`
	Quarantined int64  `json:"quarantined,omitempty"`
	Bytes       int64  `json:"bytes"`
	Lines       int64  `json:"lines"`
	XXH128      string `json:"xxh128"` // of the plain bytes; see [bulk.XXH128]
	Attempts    int    `json:"attempts"`
	Duplicates  *int64 `json:"duplicates,omitempty"` // that came before, here or in another file; see [Report]
}

// PartReport is one published part.
type PartReport struct {
	Type   string `json:"type"`
	Key    string `json:"key"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`

	// FullFooter says that the part has as many row groups as readers like, so that it is not
	// to be merged with others however small it is.
	FullFooter bool `json:"full_footer,omitempty"`
}

func newReport(f Feed, started time.Time) *Report {
	return &Report{Feed: f.Name, Source: f.Source, Purpose: f.Purpose, Layout: columnar.LayoutName, Started: started.UTC(),
		Exports: []ExportReport{}, Types: []TypeReport{}, Files: []FileReport{}, Parts: []PartReport{}}
}

// JSON is the report as it is kept.
func (r *Report) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}

func (r *Report) addExport(level bulk.Level, x *export) {
	e := ExportReport{Level: level, Role: x.Role, Group: x.Group, Types: x.Types, Patients: len(x.Patients),
		TransactionTime: x.complete.TransactionTimeText, Files: len(x.files)}
	if !x.Since.IsZero() {
		e.Since = &x.Since
	}
	r.Exports = append(r.Exports, e)
	lowest := slices.MinFunc(r.Exports, func(a, b ExportReport) int {
		ta, _ := time.Parse(time.RFC3339Nano, a.TransactionTime) // zero, the lowest, if it cannot be read
		tb, _ := time.Parse(time.RFC3339Nano, b.TransactionTime)
		return ta.Compare(tb)
	})
	r.TransactionTime = ""
	if _, err := time.Parse(time.RFC3339Nano, lowest.TransactionTime); err == nil {
		r.TransactionTime = lowest.TransactionTime
	}
}

func (r *Report) addFile(f *exportFile) {
	read, s, partType := f.end.Read, f.end.Stats, fileKind{f.Type, f.Deleted}.partType()
	file := FileReport{Type: f.Type, Deleted: f.Deleted, URL: transport.Redact(f.URL), Resources: read.Resources, Quarantined: read.Quarantined,
		Bytes: s.Bytes, Lines: f.end.Lines, XXH128: s.XXH128, Attempts: s.Attempts}
	if f.Count >= 0 {
		file.Count = &f.Count
	}
	if !f.Deleted {
		file.Duplicates = &f.end.again
	}
	r.Files = append(r.Files, file)
	t := r.typeOf(partType)
	t.Files++
	t.Resources += read.Resources
	t.Quarantined += read.Quarantined
	t.NDJSONBytes += s.Bytes
	if t.first.IsZero() || f.end.Started.Before(t.first) {
		t.first = f.end.Started
	}
	if f.end.Ended.After(t.last) {
		t.last = f.end.Ended
	}
	t.Seconds = t.last.Sub(t.first).Seconds()
	r.Resources += read.Resources
	r.Quarantined += read.Quarantined
	r.NDJSONBytes += s.Bytes
	if f.end.Bad != "" && r.firstBad[partType] == "" {
		if r.firstBad == nil {
			r.firstBad = map[string]string{}
		}
		r.firstBad[partType] = f.end.Bad
	}
}

func (r *Report) addPart(p stagedPart) {
	r.Parts = append(r.Parts, PartReport{Type: p.Type, Key: p.Receipt.Key, Rows: p.Rows, Bytes: p.Receipt.Size, SHA256: p.SHA256, FullFooter: p.FullFooter})
	t := r.typeOf(p.Type)
	t.Parts++
	t.Rows += p.Rows
	if p.Of.Type != p.Type && !p.Of.Deleted {
		t.Strays += p.Rows
	}
	t.ParquetBytes += p.Receipt.Size
	r.ParquetBytes += p.Receipt.Size
	r.Attachments += p.Attachments
}

// addDuplicates says what came more than once, if s knows, of all types that addPart has
// seen.
func (r *Report) addDuplicates(s *seen) {
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

func (r *Report) forgetDuplicates() {
	r.Duplicates = nil
	for i := range r.Types {
		r.Types[i].Duplicates = nil
	}
	for i := range r.Files {
		r.Files[i].Duplicates = nil
	}
}

// markPublished says that all parts are.
func (r *Report) markPublished() {
	r.Status = Published
	if r.errorIssues() > 0 || r.Quarantined > 0 || r.retiringRefused() {
		r.Status = Partial
	}
}

func (r *Report) retiringRefused() bool { return r.Retired != nil && r.Retired.Refused }

// failed says why the run failed, and takes back what addPart said.
func (r *Report) failed(err error) {
	r.Status, r.Error = Failed, err.Error()
	r.Parts, r.Quarantine, r.ParquetBytes, r.Attachments = []PartReport{}, nil, 0, 0
	r.Watermarks, r.Moved, r.ExportKept, r.Retired = nil, nil, "", nil
	r.forgetDuplicates()
	for i := range r.Types {
		t := &r.Types[i]
		t.Parts, t.Rows, t.Strays, t.ParquetBytes = 0, 0, 0, 0
	}
}

func (r *Report) typeOf(name string) *TypeReport {
	i, found := slices.BinarySearchFunc(r.Types, name, func(t TypeReport, name string) int { return cmp.Compare(t.Type, name) })
	if !found {
		r.Types = slices.Insert(r.Types, i, TypeReport{Type: name})
	}
	return &r.Types[i]
}

func (r *Report) finish(t time.Time) { r.Finished = t.UTC() }
