package lake

import "time"

// MembersReport counts the patients of a feed's groups. Only the state says who they are.
type MembersReport struct {
	Listed int `json:"listed"`
	New    int `json:"new"`  // not there at the previous run
	Left   int `json:"left"` // there at the previous run, but not now
}

// PhaseReport is how long a run was in a phase.
type PhaseReport struct {
	Phase   string  `json:"phase"` // queued, starting, waiting (for the server), converting, publishing
	Seconds float64 `json:"seconds"`
}

// MoveReport is how a run moved the watermark of a resource type, "*" being all types.
type MoveReport struct {
	Type string `json:"type"`
	From string `json:"from,omitempty"` // "": there was none
	To   string `json:"to"`
}

// ExportReport is one export of a run.
type ExportReport struct {
	Level           string     `json:"level"` // system, patient or group
	Role            string     `json:"role"`  // data, or history of new members
	Group           string     `json:"group,omitempty"`
	Types           []string   `json:"types,omitempty"`
	Since           *time.Time `json:"since,omitempty"`
	Patients        int        `json:"patients,omitempty"`
	TransactionTime string     `json:"transaction_time,omitempty"`
	Files           int        `json:"files"`
}

// TypeReport sums up the files and parts of one resource type. A resource of another
// type than its file's counts with its file under Files, Resources and NDJSONBytes, and
// with its own type under Rows, Strays, Parts and ParquetBytes. Distinct is counted only for a
// full run after which older runs may be dropped.
type TypeReport struct {
	Type         string  `json:"type"` // "deleted" for tombstones
	Files        int     `json:"files"`
	Resources    int64   `json:"resources"`
	Quarantined  int64   `json:"quarantined"`
	NDJSONBytes  int64   `json:"ndjson_bytes"`
	Parts        int     `json:"parts"`
	Rows         int64   `json:"rows"`
	Strays       int64   `json:"strays,omitempty"`     // rows that came in output files of another type
	Duplicates   *int64  `json:"duplicates,omitempty"` // among the rows; see [Report]
	Distinct     int64   `json:"distinct,omitempty"`   // resources, each counted once, to within about one percent; 0: not counted
	Missing      int64   `json:"missing,omitempty"`    // resources that were live before the full run, and that it lacks; as exact as Distinct
	ParquetBytes int64   `json:"parquet_bytes"`
	Seconds      float64 `json:"seconds"` // from the first file's start to the last one's end
}

// FileReport is the final result of one output file.
type FileReport struct {
	Type        string `json:"type"`
	Deleted     bool   `json:"deleted,omitempty"`
	URL         string `json:"url"`             // redacted
	Count       *int64 `json:"count,omitempty"` // the manifest's
	Resources   int64  `json:"resources"`
	Quarantined int64  `json:"quarantined,omitempty"`
	Bytes       int64  `json:"bytes"`
	Lines       int64  `json:"lines"`
	XXH128      string `json:"xxh128"` // of the uncompressed bytes
	Attempts    int    `json:"attempts"`
	Duplicates  *int64 `json:"duplicates,omitempty"` // resources that had come before, in this file or another; see [Report]
}

// RetireReport is what came of retiring what a full run lacks.
type RetireReport struct {
	// Resources is how many count as deleted now: they were current, and the full run no longer
	// had them.
	Resources int64 `json:"resources"`

	// Skipped is why nothing was retired although it was asked for. Refused says that too much
	// would have been retired, which makes the run partial.
	Skipped string `json:"skipped,omitempty"`
	Refused bool   `json:"refused,omitempty"`

	// Spared is how many of the feed's live runs were not looked at because they are of other
	// groups or filters: what they have brought stays.
	Spared int `json:"spared_runs,omitempty"`
}

// IssueReport counts issues of the server's error files.
type IssueReport struct {
	Severity string `json:"severity"`
	Code     string `json:"code"`
	Count    int64  `json:"count"`
	Failed   bool   `json:"failed,omitempty"` // its severity says that something is missing
}

// Issues are the issues of a server's error files, by severity and code.
type Issues []IssueReport

// Add counts issues together with those of the same severity and code.
func (c *Issues) Add(i IssueReport) {
	for n := range *c {
		if seen := &(*c)[n]; seen.Severity == i.Severity && seen.Code == i.Code {
			seen.Count += i.Count
			return
		}
	}
	*c = append(*c, i)
}

// Failed returns how many issues say that something is missing.
func (c Issues) Failed() int64 {
	var n int64
	for _, i := range c {
		if i.Failed {
			n += i.Count
		}
	}
	return n
}
