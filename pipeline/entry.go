package pipeline

import (
	"time"

	"fhirkiln/bulk"
	"fhirkiln/columnar"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// entry says a thing that has durably happened, or that is about to happen and must be
// cleaned up after. One of its fields is set. What is added together is an array in one
// entry of the ledger, [ledger.Run.Append], there as a whole or not at all.
//
// Entries hold URLs with signatures and ids of patients: they live under the state
// alone, and end with the run.
type entry struct {
	Begun    *begun         `json:"begun,omitempty"`    // always the first
	Groups   []string       `json:"groups,omitempty"`   // what the feed's search for groups has found
	Planned  []planned      `json:"planned,omitempty"`  // exports that the run is to make, after those before
	Started  *started       `json:"started,omitempty"`  // the server has accepted a kick-off
	Refused  *exportEnd     `json:"refused,omitempty"`  // the server does not take a kick-off that the run can do without
	Lost     *exportEnd     `json:"lost,omitempty"`     // the server's job has failed or is gone: to be kicked off again
	Listed   *listed        `json:"listed,omitempty"`   // files of an export
	Complete *complete      `json:"complete,omitempty"` // all files are listed
	Keys     []string       `json:"keys,omitempty"`     // something may be staged under them from now on
	Staged   *staged        `json:"staged,omitempty"`   // files are in parts
	Issues   *exportIssues  `json:"issues,omitempty"`   // an export's error files were read
	Members  *exportMembers `json:"members,omitempty"`  // an export's patients were listed
	Deleted  *exportEnd     `json:"deleted,omitempty"`  // the server was told to delete an export before the run ends
	Retired  *retirement    `json:"retired,omitempty"`  // what the run lacks is found, and in parts
	GivenUp  string         `json:"given_up,omitempty"` // why; what is staged is to be thrown away
}

// export is which export an entry is about, not ok if it is about none that is known here.
func (e entry) export() (index int, ok bool) {
	switch {
	case e.Started != nil:
		return e.Started.Export, true
	case e.Refused != nil:
		return e.Refused.Export, true
	case e.Lost != nil:
		return e.Lost.Export, true
	case e.Listed != nil:
		return e.Listed.Export, true
	case e.Complete != nil:
		return e.Complete.Export, true
	case e.Staged != nil:
		return e.Staged.Export, true
	case e.Issues != nil:
		return e.Issues.Export, true
	case e.Members != nil:
		return e.Members.Export, true
	case e.Deleted != nil:
		return e.Deleted.Export, true
	}
	return 0, false
}

type begun struct {
	Started     time.Time   `json:"started"`
	Kind        ledger.Kind `json:"kind"`
	Filters     filterText  `json:"filters"`
	GroupSearch string      `json:"group_search,omitempty"` // a hash; "" of none

	// Groups, Types and Members are facts of the run, whatever the feed's are by the time
	// that it goes on.
	Groups  []string `json:"groups,omitempty"`
	Types   []string `json:"types,omitempty"`   // nil: all
	Members bool     `json:"members,omitempty"` // the groups' patients are listed
}

// planned is an export that a run is to make. What it does not say is the feed's.
type planned struct {
	Role     role      `json:"role"`
	Group    string    `json:"group,omitempty"`
	Types    []string  `json:"types,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Patients []string  `json:"patients,omitempty"` // references
}

// role is what an export is for.
type role string

const (
	roleData    role = "data"    // what has changed, or everything
	roleMembers role = "members" // the ids of a group's patients, which are not published
	roleHistory role = "history" // everything about patients that are new in a group
)

type started struct {
	Export         int         `json:"export"`
	At             time.Time   `json:"at,omitzero"`
	StatusURL      string      `json:"status_url,omitempty"`
	SeparateStatus bool        `json:"separate_status,omitempty"`
	Issues         lake.Issues `json:"issues,omitempty"` // of handling=lenient
}

type exportEnd struct {
	Export int `json:"export"`
}

type listed struct {
	Export int          `json:"export"`
	Files  []listedFile `json:"files"`
}

type listedFile struct {
	bulk.File
	Deleted bool `json:",omitempty"`
}

type complete struct {
	Export              int         `json:"export"`
	TransactionTime     time.Time   `json:"transaction_time,omitzero"`
	TransactionTimeText string      `json:"transaction_time_text"`
	Ahead               bool        `json:"ahead,omitempty"` // that was still to come; see completeUpTo
	RequiresAccessToken bool        `json:"requires_access_token"`
	Expires             time.Time   `json:"expires,omitzero"`
	Errors              []bulk.File `json:"errors,omitempty"`
}

// staged says what is in parts that were finished together, by one worker.
type staged struct {
	Export     int            `json:"export"`
	Parts      []stagedPart   `json:"parts,omitempty"`
	Quarantine []sink.Receipt `json:"quarantine,omitempty"`
	Files      []fileEnd      `json:"files,omitempty"` // whole
	Open       *place         `json:"open,omitempty"`  // a huge file, of which there is more
}

type stagedPart struct {
	Receipt     sink.Receipt `json:"receipt"`
	Type        string       `json:"type"`
	Of          fileKind     `json:"of"` // the files that it was made of
	Rows        int64        `json:"rows"`
	SHA256      string       `json:"sha256"`
	Attachments int64        `json:"attachments,omitempty"`
	FullFooter  bool         `json:"full_footer,omitempty"`
}

// fileEnd is a file that was converted to its end.
type fileEnd struct {
	File    int                `json:"file"` // its place among the export's files
	Read    columnar.ReadStats `json:"read"`
	Stats   bulk.StreamStats   `json:"stats"`
	Lines   int64              `json:"lines"` // blank ones too
	Started time.Time          `json:"started"`
	Ended   time.Time          `json:"ended"`
	Bad     string             `json:"bad,omitempty"` // reason and place of the first quarantined line

	again int64 // resources that had come before in the run; nothing for a run after to go by
}

// place is how far a file was converted, and what its begin was.
type place struct {
	File   int                `json:"file"`
	At     columnar.Position  `json:"at"`     // what is before it is in parts
	Read   columnar.ReadStats `json:"read"`   // up to there
	Bytes  int64              `json:"bytes"`  // read from the server, a little beyond At
	XXH128 string             `json:"xxh128"` // of those; see [bulk.XXH128]
	Bad    string             `json:"bad,omitempty"`
}

type exportIssues struct {
	Export int         `json:"export"`
	Issues lake.Issues `json:"issues"`
}

type exportMembers struct {
	Export int    `json:"export"`
	Key    string `json:"key"` // of the list
	Count  int    `json:"count"`
}
