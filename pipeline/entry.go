package pipeline

import (
	"time"

	"fhirkiln/bulk"
	"fhirkiln/columnar"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/sink"
)

// entry records something that has durably happened, or that is about to happen and must be
// cleaned up after. Exactly one field is set. Entries that are added together are an array in
// one entry of the ledger (see [ledger.Run.Append]), which is there as a whole or not at all.
//
// Entries hold signed URLs and patient ids, so they live only under the state, and end with
// the run.
type entry struct {
	Begun    *begun         `json:"begun,omitempty"`    // always the first
	Groups   []string       `json:"groups,omitempty"`   // found by the feed's group search
	Planned  []planned      `json:"planned,omitempty"`  // exports that the run is to make, after those planned before
	Started  *started       `json:"started,omitempty"`  // the server has accepted a kick-off
	Refused  *exportEnd     `json:"refused,omitempty"`  // the server has refused a kick-off that the run can do without
	Lost     *exportEnd     `json:"lost,omitempty"`     // the server's job has failed or is gone, and is to be kicked off again
	Listed   *listed        `json:"listed,omitempty"`   // files of an export
	Complete *complete      `json:"complete,omitempty"` // all files of an export are listed
	Keys     []string       `json:"keys,omitempty"`     // from now on, something may be staged under these keys
	Staged   *staged        `json:"staged,omitempty"`   // files are in parts
	Issues   *exportIssues  `json:"issues,omitempty"`   // an export's error files were read
	Members  *exportMembers `json:"members,omitempty"`  // an export's patients were listed
	Deleted  *exportEnd     `json:"deleted,omitempty"`  // an export was deleted at the server before the end of the run
	Retired  *retirement    `json:"retired,omitempty"`  // what the run lacks was found, and its tombstones are in parts
	GivenUp  string         `json:"given_up,omitempty"` // why; everything staged is to be thrown away
}

// export returns the index of the export that the entry is about. ok is false if it is about
// none, or about something that this version does not know.
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
	Full        bool        `json:"full,omitempty"` // Options.Full was set; see checkShort
	Filters     filterText  `json:"filters"`
	Server      string      `json:"server,omitempty"`       // see [ledger.Feed]
	GroupSearch string      `json:"group_search,omitempty"` // a hash; "" if there is none

	// Groups, Types and Members are facts of the run. They hold when it is resumed, whatever
	// the feed says by then.
	Groups  []string `json:"groups,omitempty"`
	Types   []string `json:"types,omitempty"`   // nil: all
	Members bool     `json:"members,omitempty"` // whether to list the groups' patients
}

// planned is an export that a run is to make. What it leaves out comes from the feed.
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
	roleHistory role = "history" // everything about patients who are new in a group
)

type started struct {
	Export         int         `json:"export"`
	At             time.Time   `json:"at,omitzero"`
	StatusURL      string      `json:"status_url,omitempty"`
	SeparateStatus bool        `json:"separate_status,omitempty"`
	Issues         lake.Issues `json:"issues,omitempty"` // reported under handling=lenient
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
	Ahead               bool        `json:"ahead,omitempty"` // TransactionTime was still to come; see completeUpTo
	RequiresAccessToken bool        `json:"requires_access_token"`
	Expires             time.Time   `json:"expires,omitzero"`
	Errors              []bulk.File `json:"errors,omitempty"`
}

// staged says what is in parts that one worker finished together.
type staged struct {
	Export     int            `json:"export"`
	Parts      []stagedPart   `json:"parts,omitempty"`
	Quarantine []sink.Receipt `json:"quarantine,omitempty"`
	Files      []fileEnd      `json:"files,omitempty"` // converted to their ends
	Open       *place         `json:"open,omitempty"`  // a huge file that continues in the next parts
}

type stagedPart struct {
	Receipt     sink.Receipt `json:"receipt"`
	Type        string       `json:"type"`
	Of          fileKind     `json:"of"` // the files it was made from
	Rows        int64        `json:"rows"`
	SHA256      string       `json:"sha256"`
	Attachments int64        `json:"attachments,omitempty"`
	FullFooter  bool         `json:"full_footer,omitempty"`
}

// fileEnd is a file that was converted to its end.
type fileEnd struct {
	File    int                `json:"file"` // index in the export's files
	Read    columnar.ReadStats `json:"read"`
	Stats   bulk.StreamStats   `json:"stats"`
	Lines   int64              `json:"lines"` // including blank ones
	Started time.Time          `json:"started"`
	Ended   time.Time          `json:"ended"`
	Bad     string             `json:"bad,omitempty"` // reason and place of the first quarantined line

	repeats int64 // resources that had come before in the run; not recorded, since a resumed run cannot count them
}

// place is how far a file was converted, and what identifies its beginning.
type place struct {
	File   int                `json:"file"`
	At     columnar.Position  `json:"at"`     // everything before it is in parts
	Read   columnar.ReadStats `json:"read"`   // up to At
	Bytes  int64              `json:"bytes"`  // read from the server, a little beyond At
	XXH128 string             `json:"xxh128"` // of those bytes; see [bulk.XXH128]
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
