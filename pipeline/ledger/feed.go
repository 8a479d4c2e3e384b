package ledger

import (
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Feed is the object of a feed: everything about it that outlives a run, in one JSON object that
// is changed by compare-and-swap.
//
// Fields that this version of fhirkiln does not know are kept in Unknown, here and in everything
// inside, and written back, so that an older version does no harm.
type Feed struct {
	Version int    `json:"version"` // of the object's format: 1
	Name    string `json:"feed"`
	Source  string `json:"source"`
	Purpose string `json:"purpose"` // "payer_to_payer"; may be ""

	// Generation is raised by whoever takes the lease, and never goes back. Sequence is raised
	// by every write, so that no two contents are equal. The fields from Version to Lease are
	// written by the lease; [Lease.Update] ignores changes to them.
	Generation int64 `json:"generation"`
	Sequence   int64 `json:"sequence"`
	Lease      *Held `json:"lease,omitzero"` // nil: nobody is working on the feed

	// Unfinished is the run that is under way, or was when its process died; the next run
	// resumes it. Nil: none.
	Unfinished *Unfinished `json:"unfinished,omitzero"`

	// Ended are runs that are no longer unfinished, but whose ledger, staged parts or temporary
	// files may not all be gone. A run is taken out once they are.
	Ended []string `json:"ended,omitempty"`

	// LastFailure is the latest failed run since the last one that was published or found
	// nothing new. Nil: none has failed since.
	LastFailure *Failure `json:"last_failure,omitzero"`

	// LastSuccess is the latest run that published or found nothing new, also if the watermark
	// stayed. Compactions do not count. Nil: there was none since versions that record it.
	LastSuccess *Success `json:"last_success,omitzero"`

	// Filters are the export parameters that define what belongs to the feed, by name ("level",
	// "type_filters"), as texts to compare. The watermarks hold for these alone. Nil: nothing
	// was exported yet.
	Filters map[string]string `json:"filters,omitempty"`

	// Server is the server that the watermarks are from, and hold for alone: its host and a hash
	// of its base URL, "fhir.example.org 5d41402abc4b". "": not known.
	Server string `json:"server,omitempty"`

	// Watermarks are the _since of the next exports, by resource type; "*" is for all types,
	// from exports that named none. See [Feed.Since] and [Feed.Move].
	Watermarks map[string]Watermark `json:"watermarks,omitempty"`

	// Full is when the last full export of all of the feed began, by the local clock.
	// Zero: there was none.
	Full time.Time `json:"full,omitzero"`

	// Members is the key of the newest list of members, "" if there is none.
	Members string `json:"members,omitempty"`

	// Runs are the published runs whose rows are live, oldest first. A run that found nothing new
	// is not among them.
	Runs []PublishedRun `json:"runs,omitempty"`

	// Dropped are runs that are no longer live, but whose parts may still be there. Users see
	// them called retired.
	Dropped []DroppedRun `json:"retired,omitempty"`

	// History is how the watermarks moved, oldest first. It keeps the newest 1,000 moves.
	History []Moved `json:"history,omitempty"`

	Unknown jsontext.Value `json:",embed"`
}

// Held is a lease that a process holds.
type Held struct {
	Holder string    `json:"holder"` // "host 1234 a1b2c3": host name, process id, random characters
	Since  time.Time `json:"since"`  // by the holder's clock
	TTL    Duration  `json:"ttl"`    // the holder gives up if it cannot renew the lease for this long

	// Unlocked says that the holder took the lease without a [Locker], so that a free lock does
	// not mean that it is dead.
	Unlocked bool `json:"unlocked,omitempty"`

	Unknown jsontext.Value `json:",embed"`
}

// Duration is a [time.Duration] that is written as "1m0s" in JSON.
type Duration time.Duration

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// Unfinished is a run that was begun and is neither published nor given up.
type Unfinished struct {
	Run       string    `json:"run"`
	Started   time.Time `json:"started"`
	Processes int       `json:"attempts"` // how many processes have worked on it

	Unknown jsontext.Value `json:",embed"`
}

// Success is a run that published, in whole or in part, or found nothing new.
type Success struct {
	At  time.Time `json:"at"` // when the run ended, by the local clock
	Run string    `json:"run"`

	Unknown jsontext.Value `json:",embed"`
}

// Watermark says that everything the server had until Time is published.
type Watermark struct {
	Time string `json:"time"` // the transactionTime as the server wrote it, RFC 3339; "": export in full, whatever "*" says
	Run  string `json:"run"`  // the run that published up to it; "" if it was set by hand

	Unknown jsontext.Value `json:",embed"`
}

// Kind says where a run's rows come from.
type Kind string

// The kinds of runs.
const (
	KindFull        Kind = "full"        // everything, from the beginning
	KindIncremental Kind = "incremental" // what has changed since the watermarks; types without one in full
	KindFiles       Kind = "files"       // NDJSON that was there already
	KindCompaction  Kind = "compaction"  // the parts of other runs
)

// Status is how well a published run went.
type Status string

// The statuses of published runs.
const (
	StatusPublished Status = "published" // all of it
	StatusPartial   Status = "partial"   // the server reported errors, or lines are in quarantine
)

// PublishedRun is a run whose rows readers see. Its parts are listed in parts.json in
// its [Folder].
type PublishedRun struct {
	Run             string    `json:"run"`
	Published       time.Time `json:"published"`                  // by the local clock
	TransactionTime string    `json:"transaction_time,omitempty"` // the lowest of its exports', as the server wrote it
	Kind            Kind      `json:"kind"`
	Status          Status    `json:"status"`
	Resources       int64     `json:"resources"`           // rows, without tombstones
	Parts           int64     `json:"parts"`               // including those of tombstones
	Bytes           int64     `json:"bytes"`               // of all parts
	Replaces        []string  `json:"replaces,omitempty"`  // the runs whose rows it holds in their place, and those that they had replaced
	Full            bool      `json:"full,omitzero"`       // compaction: a full run is among the replaced; incremental: everything was exported
	Supersedes      bool      `json:"supersedes,omitzero"` // a full run, or compaction of one: it was compared with what was live, so older runs may go
	Holds           int       `json:"holds,omitzero"`      // compaction: how many of the replaced runs were not compactions themselves; see [PublishedRun.RunsHeld]
	Newest          time.Time `json:"newest,omitzero"`     // compaction: when the newest of the replaced runs was published; zero: at Published

	Unknown jsontext.Value `json:",embed"`
}

// RunsHeld returns how many runs r stands for, not counting compactions.
func (r PublishedRun) RunsHeld() int { return max(1, r.Holds) }

// NewestHeld returns when the newest of the runs that r stands for was published.
func (r PublishedRun) NewestHeld() time.Time {
	if r.Newest.IsZero() {
		return r.Published
	}
	return r.Newest
}

// DroppedRun is a run that was live until At.
type DroppedRun struct {
	Run       string    `json:"run"`
	Published time.Time `json:"published,omitzero"` // as it was in Runs
	At        time.Time `json:"at"`

	Unknown jsontext.Value `json:",embed"`
}

// By is what moved a watermark.
type By string

// What moves watermarks.
const (
	ByRun By = "run" // a run that was published
	BySet By = "set" // the user
)

// Moved is one move of one watermark.
type Moved struct {
	Type string    `json:"type"`           // "*": all types
	From string    `json:"from,omitempty"` // "": there was none
	To   string    `json:"to,omitempty"`   // "": it was taken away
	Run  string    `json:"run,omitempty"`
	At   time.Time `json:"at"` // by the local clock
	By   By        `json:"by"`

	Unknown jsontext.Value `json:",embed"`
}

// End makes the unfinished run an ended one, whose files may still be there.
func (f *Feed) End(run string) {
	f.Unfinished = nil
	f.Ended = append(f.Ended, run)
}

// Drop takes runs out of the live ones. From then on, readers see nothing of them.
func (f *Feed) Drop(runs []string, at time.Time) {
	f.Runs = slices.DeleteFunc(f.Runs, func(r PublishedRun) bool {
		if !slices.Contains(runs, r.Run) {
			return false
		}
		f.Dropped = append(f.Dropped, DroppedRun{Run: r.Run, Published: r.Published, At: at})
		return true
	})
}
