package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Feed is one thing to keep in sync: a source, and which of its data. In a checked [Config],
// Groups holds the ids from GroupsFile.
type Feed struct {
	// Name is the feed's key in the file.
	Name string `yaml:"-"`

	// Name of the source to export from.
	Source string `yaml:"source" jsonschema:"required" want:"the name of a source"`
	// A label of your choice, such as nightly: run --class brings the feeds of one class up to date.
	Class string `yaml:"class" jsonschema:"pattern=^[a-z][a-z0-9-]*$" want:"lowercase letters, digits and -, starting with a letter"`

	// What to export: the whole system, all patients, or groups of patients. Default: group if groups are given. Otherwise it is required, so that nobody exports everything by an omission.
	Level Level `yaml:"level" jsonschema:"enum=system,enum=patient,enum=group"`
	// Ids of the Groups to export, for level group. Each group is one export.
	Groups []string `yaml:"groups" jsonschema:"pattern=^[A-Za-z0-9_-][A-Za-z0-9._-]*$" want:"Group ids such as 1234, without the Group/ prefix"`
	// File with the ids instead, one per line. Text after a # is a comment.
	GroupsFile string `yaml:"groups_file"`
	// A search at the source for the groups of each run. For payers whose groups get new ids.
	GroupSearch string `yaml:"group_search" jsonschema:"pattern=^Group[?].+$" want:"a search such as Group?identifier=1234567893"`
	// What to do about new members of a group since the last run, for whom servers may send nothing older than _since: history asks for everything about them, ignore does not.
	NewMembers NewMembers `yaml:"new_members" jsonschema:"enum=history,enum=ignore,default=history"`
	// Only these patients, by id (patient). Requires method: POST.
	Patients []string `yaml:"patients" jsonschema:"pattern=^[A-Za-z0-9_-][A-Za-z0-9._-]*$" want:"Patient ids such as 1234, without the Patient/ prefix" private:"true"`

	// What the data is for. It is recorded in the run's report and in the feed's object, and with $davinci-data-export it selects the export_type. backfill, the default, claims nothing beyond a plain export.
	Purpose Purpose `yaml:"purpose" jsonschema:"enum=payer_to_payer,enum=provider_access,enum=backfill,default=backfill"`
	// What the data is for in the server's terms (exportType), if the source's operation is $davinci-data-export. If left out, purpose decides: hl7.fhir.us.davinci-pdex# followed by payertopayer, provider-download, or provider-delta when only changes since the last run are asked for.
	ExportType string `yaml:"export_type" jsonschema:"pattern=^[A-Za-z][A-Za-z0-9.:/_-]*(#[A-Za-z0-9_-]+)?$" want:"an exportType such as hl7.fhir.us.davinci-pdex#provider-snapshot"`
	// Resource types to export (_type). If left out: all that the server offers.
	Types []string `yaml:"types" jsonschema:"pattern=^[A-Z][A-Za-z]+$" want:"resource types such as Patient"`
	// Only resources that changed since this instant (_since). A date means its start in UTC.
	Since time.Time `yaml:"since"`
	// Only resources that changed until this instant (_until, IG 3.0.0). A date means its start in UTC. For one-off exports: later changes are never asked for.
	Until time.Time `yaml:"until"`
	// Only these elements (_elements), such as id or Patient.birthDate. Servers may ignore it.
	Elements []string `yaml:"elements" jsonschema:"pattern=^[A-Za-z][A-Za-z.]*$" want:"element names such as id or Patient.birthDate"`
	// Searches that resources of a type must match (_typeFilter), such as Observation?category=laboratory. Servers may ignore it.
	TypeFilters []string `yaml:"type_filters" jsonschema:"pattern=^[A-Z][A-Za-z]+[?].+$" want:"searches such as Observation?category=laboratory"`
	// Resources to add to the exported ones (includeAssociatedData): LatestProvenanceResources, RelevantProvenanceResources, or a code of the server's own.
	AssociatedData []string `yaml:"associated_data" jsonschema:"pattern=^[A-Za-z_][A-Za-z0-9_.-]*$" want:"codes such as LatestProvenanceResources"`
	// Asks the server to organize its files by the instances of this resource type (organizeOutputBy, IG 3.0.0).
	OrganizeBy string `yaml:"organize_by" jsonschema:"pattern=^[A-Z][A-Za-z]+$" want:"a resource type such as Patient"`
	// Allows the server to list files while the export is still running (allowPartialManifests, IG 3.0.0), so that they can be fetched early. Nothing is published before the last file is there.
	PartialManifests bool `yaml:"partial_manifests" jsonschema:"default=false"`
	// Further parameters of this feed's kick-offs. They replace parameters of the source with the same name.
	Parameters []Parameter `yaml:"parameters" want:"mappings with name and value"`

	// How far before the last run's transactionTime the next run's _since is, for servers that record changes late. Resources that come twice count once in the views of current data.
	Overlap time.Duration `yaml:"overlap" jsonschema:"default=0s" min:"0s" max:"30d"`
	// How often to export everything again instead of only changes. If left out: never.
	FullEvery time.Duration `yaml:"full_every" min:"1d" max:"366d"`
	// Whether resources that are missing from a full export count as deleted: never, or full. Even with full, none do if the server reported errors, a line is in quarantine, transactionTime cannot be read, or the feed has since or until. If more than a tenth and more than two of any type would count as deleted, or all of one, nothing of any type does.
	Retire Retire `yaml:"retire" jsonschema:"enum=never,enum=full,default=never"`
	// How many published runs to keep. gc removes older ones, but none that current data needs: the last full run that ended with 0 and all later ones stay. A partial full run (11) lets nothing go. If left out, all runs are kept.
	KeepRuns int `yaml:"keep_runs" jsonschema:"minimum=1,maximum=100000"`
	// How many days to keep published runs, within the rules of keep_runs. If both are given, a run goes only when neither keeps it. If left out: forever.
	KeepDays int `yaml:"keep_days" jsonschema:"minimum=1,maximum=36500"`

	// What errors that the server reports about its export do. With strict, the good rows are published, but the next run asks again from the same instant. With budget, the next run moves on if there are at most max_errors, and the gap is recorded.
	Errors ErrorPolicy `yaml:"errors" jsonschema:"enum=strict,enum=budget,default=strict"`
	// How many errors of a run are within the budget. Required with errors: budget.
	MaxErrors int `yaml:"max_errors" jsonschema:"minimum=1,maximum=1000000"`
	// Maximum share of a resource type's lines that are not FHIR resources. Such lines go to quarantine, and the run is partial. If there are more, the run fails and publishes nothing.
	MaxQuarantined Percent `yaml:"max_quarantined" jsonschema:"pattern=^[0-9][0-9]?([.][0-9]+)?%$,default=0.1%" want:"a percentage such as 0.1%"`
	// Maximum length of a line, in MiB. Longer lines go to quarantine. This bounds memory.
	MaxLineMiB int `yaml:"max_line_mib" jsonschema:"minimum=1,maximum=1024,default=128"`
	// Size of a part, in MiB of Parquet, at which it is closed and the next one begins. Engines read parts of a few hundred MiB best.
	PartMiB int `yaml:"part_mib" jsonschema:"minimum=1,maximum=10240,default=256"`
	// Where the ids of resources come from: in the views of current data, the same type and id from two feeds with the same id space are the same resource. Default: the source's name.
	IDSpace string `yaml:"id_space" jsonschema:"pattern=^[a-z][a-z0-9-]*$" want:"lowercase letters, digits and -, starting with a letter"`
}

// Level is what a kick-off asks for (Bulk Data Access IG, Endpoint).
type Level string

const (
	// LevelSystem exports everything: [base]/$export.
	LevelSystem Level = "system"
	// LevelPatient exports all patients: [base]/Patient/$export.
	LevelPatient Level = "patient"
	// LevelGroup exports the patients of groups: [base]/Group/[id]/$export.
	LevelGroup Level = "group"
)

// Purpose is what the data of a feed is for.
type Purpose string

const (
	// PurposePayerToPayer is the exchange between payers (CMS-0057-F).
	PurposePayerToPayer Purpose = "payer_to_payer"
	// PurposeProviderAccess is a provider's access to its patients' data at a
	// payer (CMS-0057-F).
	PurposeProviderAccess Purpose = "provider_access"
	// PurposeBackfill is any other export.
	PurposeBackfill Purpose = "backfill"
)

// NewMembers says what to do about new members of a group.
type NewMembers string

const (
	// NewMembersHistory exports everything about them.
	NewMembersHistory NewMembers = "history"
	// NewMembersIgnore exports only what the server sends on its own.
	NewMembersIgnore NewMembers = "ignore"
)

// Retire says what absence from a full export means.
type Retire string

const (
	// RetireNever means that absence deletes nothing.
	RetireNever Retire = "never"
	// RetireFull means that what a flawless full export does not hold is deleted.
	RetireFull Retire = "full"
)

// ErrorPolicy says what errors do that a server reports about its export.
type ErrorPolicy string

const (
	// ErrorsStrict keeps the watermark where it is if there is an error.
	ErrorsStrict ErrorPolicy = "strict"
	// ErrorsBudget moves it if there are at most MaxErrors.
	ErrorsBudget ErrorPolicy = "budget"
)

func (d *decoder) checkFeed(path string, f *Feed, sources map[string]Source) {
	if d.failed[path] {
		return // not even a mapping
	}
	if _, ok := sources[f.Source]; !ok && f.Source != "" && len(sources) > 0 {
		d.problemAt(join(path, "source"), "no source has that name%s", didYouMean(f.Source, slices.Sorted(maps.Keys(sources))))
	}
	d.checkGroups(path, f)
	d.checkFilters(path, f)
	before := len(d.problems)
	d.checkOperation(path, f, sources[f.Source])
	for _, p := range d.problems[before:] {
		d.dueTo[p.Path] = f.Source
	}
	d.checkHistory(path, f)
	if f.IDSpace == "" {
		f.IDSpace = f.Source
	}
}

// Percent is a percentage as written: "0.1%".
type Percent string

// Share returns the percentage as a share from 0 to 1.
func (p Percent) Share() float64 {
	v, _ := strconv.ParseFloat(strings.TrimSuffix(string(p), "%"), 64) // checked when it was read
	return v / 100
}
