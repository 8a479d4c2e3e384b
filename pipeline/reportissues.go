package pipeline

import (
	"strings"

	"fhirkiln/bulk"
	"fhirkiln/pipeline/ledger"
)

// IssueReport counts issues of the server's error files.
type IssueReport struct {
	Severity string `json:"severity"`
	Code     string `json:"code"`
	Count    int64  `json:"count"`
	Failed   bool   `json:"failed,omitempty"` // something is missing, by its severity
}

// issueCounts are issues by severity and code.
type issueCounts []IssueReport

func (c *issueCounts) add(i bulk.Issue) {
	c.count(IssueReport{Severity: codeOrOther(i.Severity), Code: codeOrOther(i.Code), Count: 1, Failed: i.Failed()})
}

func (c *issueCounts) count(i IssueReport) {
	for n := range *c {
		if seen := &(*c)[n]; seen.Severity == i.Severity && seen.Code == i.Code {
			seen.Count += i.Count
			return
		}
	}
	*c = append(*c, i)
}

// quality is a [*QualityError] if more lines of a type are in quarantine than allowed.
func (r *Report) quality(allowed float64) error {
	for _, t := range r.Types {
		if lines := t.Resources + t.Quarantined; float64(t.Quarantined) > allowed*float64(lines) {
			return &QualityError{Type: t.Type, Quarantined: t.Quarantined, Lines: lines, Allowed: allowed, First: r.firstBad[t.Type], Kept: r.Kind != ledger.KindFiles}
		}
	}
	return nil
}

// codeOrOther lets nothing but a code into the report: servers put texts, with
// patients in them, where codes belong.
func codeOrOther(s string) string {
	if len(s) > 30 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-") != "" {
		return "other"
	}
	return s
}

func (r *Report) errorIssues() int64 {
	var n int64
	for _, i := range r.Issues {
		if i.Failed {
			n += i.Count
		}
	}
	return n
}
