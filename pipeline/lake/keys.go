package lake

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"fhirkiln/columnar"
	"fhirkiln/pipeline/ledger"
)

// NewRunID names a run after its start, to the millisecond, so that names sort in the order in
// which runs began. A random suffix tells apart two runs of the same moment.
func NewRunID(t time.Time) string {
	return "r" + strings.Replace(t.UTC().Format("20060102t150405.000z"), ".", "", 1) + "-" + randomHex(3)
}

// runTime returns when a run began, according to its name; ok is false for a name that
// [NewRunID] does not give.
func runTime(run string) (t time.Time, ok bool) {
	const stamp = "r20060102t150405"
	if len(run) < len(stamp) {
		return time.Time{}, false
	}
	fraction, _, _ := strings.Cut(run[len(stamp):], "-")
	t, err := time.Parse(stamp+".000z", run[:len(stamp)]+"."+fraction)
	return t, err == nil
}

// FileName names a file of a run: a letter that says what it is, its number n, and the
// generation in which the process holds the feed's lease. No two processes ever use the same
// name: whatever an old holder of the lease still does, it does to its own files.
func FileName(letter string, n, generation int64) string {
	return fmt.Sprintf("%s%05d-%d-%s", letter, n, generation, randomHex(4))
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// PartKey is where a part is published. Query engines see the folders as columns.
type PartKey struct {
	Type   string // of its resources; [columnar.Deleted] for tombstones
	Source string
	Feed   string
	Run    string
	Name   string // see [FileName]
}

func (k PartKey) String() string {
	return fmt.Sprintf("%s/%s/kiln_source=%s/kiln_feed=%s/kiln_run=%s/%s.parquet", columnar.LayoutPath, k.Type, k.Source, k.Feed, k.Run, k.Name)
}

// parsePartKey takes a part's key apart; ok is false for a key that no run gives to a part.
func parsePartKey(key string) (k PartKey, ok bool) {
	at := strings.Split(key, "/")
	if len(at) != 6 {
		return PartKey{}, false
	}
	var ofSource, ofFeed, ofRun, isParquet bool
	k.Type = at[1]
	k.Source, ofSource = strings.CutPrefix(at[2], "kiln_source=")
	k.Feed, ofFeed = strings.CutPrefix(at[3], "kiln_feed=")
	k.Run, ofRun = strings.CutPrefix(at[4], "kiln_run=")
	k.Name, isParquet = strings.CutSuffix(at[5], ".parquet")
	return k, ofSource && ofFeed && ofRun && isParquet
}

// runOf returns the run that is named in the key of a part, or in a key that looks like one; ""
// if there is none.
func runOf(key string) string {
	_, after, _ := strings.Cut(key, "/kiln_run=")
	run, _, _ := strings.Cut(after, "/")
	return run
}

// PartsKey returns the key of the list of a published run's parts.
func PartsKey(run string) string { return ledger.Folder(run) + "parts.json" }

// ReportKey returns the key of a run's report.
func ReportKey(run string) string { return ledger.Folder(run) + reportName }

// QuarantineKey returns the key of a file of lines that could not become rows. The file holds
// patient data, so it is not kept with the parts.
func QuarantineKey(run, name string) string {
	return ledger.Folder(run) + quarantineFolder + name + ".ndjson"
}

// ServerErrorsKey returns the key of a file of entries from the server's error files. It may name
// patients, so it lies beside the quarantined lines, and is kept for as long.
func ServerErrorsKey(run, name string) string {
	return ledger.Folder(run) + quarantineFolder + serverErrors + name + ".ndjson"
}

// IsServerErrors reports whether a key is one that [ServerErrorsKey] gives.
func IsServerErrors(key string) bool {
	_, rest := folderOf(key)
	return strings.HasPrefix(rest, quarantineFolder+serverErrors)
}

// Names in a run's folder.
const (
	reportName       = "report.json"
	quarantineFolder = "quarantine/"
	serverErrors     = "server-errors-"
	ledgerFolder     = "ledger/"
)

// folderOf returns the run whose folder a key is in, and the rest of the key.
func folderOf(key string) (run, rest string) {
	run, rest, _ = strings.Cut(strings.TrimPrefix(key, ledger.RunsFolder), "/")
	return run, rest
}
