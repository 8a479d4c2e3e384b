package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Feed is one thing that is kept in sync: a source, and what of it. In a checked [Config]
// the ids of GroupsFile stand in Groups.
type Feed struct {
	// Name is the feed's key in the file.
	Name string `yaml:"-"`

	// Name of the source to export from.
	Source string `yaml:"source" jsonschema:"required" want:"the name of a source"`
	// A label of yours, such as nightly: run --class brings the feeds of one class up to date.
	Class string `yaml:"class" jsonschema:"pattern=^[a-z][a-z0-9-]*$" want:"a lower-case letter, then lower-case letters, digits and -"`

	// What is exported: the whole system, all patients, or groups of patients. Left out: group if groups are given; otherwise it must be said, so that nobody exports everything by an omission.
	Level Level `yaml:"level" jsonschema:"enum=system,enum=patient,enum=group"`
	// Ids of the Groups to export, for level group. One export is made for each.
	Groups []string `yaml:"groups" jsonschema:"pattern=^[A-Za-z0-9_-][A-Za-z0-9._-]*$" want:"Group ids such as 1234, without Group/ before them"`
	// File with the ids instead, one a line; what follows a # is a comment.
	GroupsFile string `yaml:"groups_file"`
	// A search at the source, whose matches are the groups of each run. For payers whose groups get new ids.
	GroupSearch string `yaml:"group_search" jsonschema:"pattern=^Group[?].+$" want:"a search such as Group?identifier=1234567893"`
	// What becomes of members who are new in a group since the last run, about whom servers may send nothing older than _since: history asks for all that there is of them, ignore does not.
	NewMembers NewMembers `yaml:"new_members" jsonschema:"enum=history,enum=ignore,default=history"`
	// Only these patients, by id (patient). Only a POST can ask for it.
	Patients []string `yaml:"patients" jsonschema:"pattern=^[A-Za-z0-9_-][A-Za-z0-9._-]*$" want:"Patient ids such as 1234, without Patient/ before them" private:"true"`

	// What the data is for; it stands in the run's report and in the feed's object, and with $davinci-data-export it chooses the export_type. backfill, the default, claims nothing beyond a plain export.
	Purpose Purpose `yaml:"purpose" jsonschema:"enum=payer_to_payer,enum=provider_access,enum=backfill,default=backfill"`
	// What the data is for in the server's words (exportType), where the source's operation is $davinci-data-export. Left out: by purpose, hl7.fhir.us.davinci-pdex# and payertopayer, provider-download, or provider-delta for what has changed since the last run.
	ExportType string `yaml:"export_type" jsonschema:"pattern=^[A-Za-z][A-Za-z0-9.:/_-]*(#[A-Za-z0-9_-]+)?$" want:"an exportType such as hl7.fhir.us.davinci-pdex#provider-snapshot"`
	// Resource types to export (_type). Left out: all that the server gives.
	Types []string `yaml:"types" jsonschema:"pattern=^[A-Z][A-Za-z]+$" want:"resource types such as Patient"`
	// Only resources that have changed since this instant (_since). A date means its start in UTC.
	Since time.Time `yaml:"since"`
	// Only resources that have changed until this instant (_until, IG 3.0.0). A date means its start in UTC. For one-off exports: what changes later is never asked for.
	Until time.Time `yaml:"until"`
	// Only these elements (_elements), such as id or Patient.birthDate. Servers may ignore it.
	Elements []string `yaml:"elements" jsonschema:"pattern=^[A-Za-z][A-Za-z.]*$" want:"element names such as id or Patient.birthDate"`
	// Searches that resources of a type must match (_typeFilter), such as Observation?category=laboratory. Servers may ignore it.
	TypeFilters []string `yaml:"type_filters" jsonschema:"pattern=^[A-Z][A-Za-z]+[?].+$" want:"searches such as Observation?category=laboratory"`
	// Resources to add to those that were asked for (includeAssociatedData): LatestProvenanceResources, RelevantProvenanceResources, or a code of the server's own.
	AssociatedData []string `yaml:"associated_data" jsonschema:"pattern=^[A-Za-z_][A-Za-z0-9_.-]*$" want:"codes such as LatestProvenanceResources"`
	// Resource type by whose instances the server is to sort its files (organizeOutputBy, IG 3.0.0).
	OrganizeBy string `yaml:"organize_by" jsonschema:"pattern=^[A-Z][A-Za-z]+$" want:"a resource type such as Patient"`
	// Allows the server to tell of files while the export still runs (allowPartialManifests, IG 3.0.0), so that they are fetched meanwhile. Nothing is published before the last.
	PartialManifests bool `yaml:"partial_manifests" jsonschema:"default=false"`
	// Further parameters of this feed's kick-offs. They replace those of the source that have the same name.
	Parameters []Parameter `yaml:"parameters" want:"mappings with name and value"`

	// How far before the last run's transactionTime the next run begins (_since), for servers that record changes late. What comes twice counts once in the views of current data.
	Overlap time.Duration `yaml:"overlap" jsonschema:"default=0s" min:"0s" max:"30d"`
	// How often everything is exported again instead of what has changed. Left out: never.
	FullEvery time.Duration `yaml:"full_every" min:"1d" max:"366d"`
	// Whether what is missing from a full export counts as deleted: never, or full. Nothing does if the server reported errors, a line is in quarantine, transactionTime cannot be read or the feed has since or until; and if more than a tenth of one type would, nothing of any type does.
	Retire Retire `yaml:"retire" jsonschema:"enum=never,enum=full,default=never"`
	// How many published runs are kept. gc removes older ones, but none that current data needs: the last full run that ended with 0 and those after it stay; one that was partial (11) lets nothing go. Left out: all.
	KeepRuns int `yaml:"keep_runs" jsonschema:"minimum=1,maximum=100000"`
	// How many days published runs are kept, as keep_runs says. Where both are given, a run goes that neither keeps. Left out: for ever.
	KeepDays int `yaml:"keep_days" jsonschema:"minimum=1,maximum=36500"`

	// What errors that the server reports about its exports do: under strict the good rows are published, but the next run asks again from the same instant. Under budget it goes on from there if there are at most max_errors, and the hole is recorded.
	Errors ErrorPolicy `yaml:"errors" jsonschema:"enum=strict,enum=budget,default=strict"`
	// How many errors of a run are within the budget, with errors: budget.
	MaxErrors int `yaml:"max_errors" jsonschema:"minimum=1,maximum=1000000"`
	// Share of a resource type's lines that may be no FHIR resources. They go to quarantine, and the run is partial; with more of them it fails and publishes nothing.
	MaxQuarantined Percent `yaml:"max_quarantined" jsonschema:"pattern=^[0-9][0-9]?([.][0-9]+)?%$,default=0.1%" want:"a percentage such as 0.1%"`
	// Longest line, in MiB. Longer ones go to quarantine. It bounds memory.
	MaxLineMiB int `yaml:"max_line_mib" jsonschema:"minimum=1,maximum=1024,default=128"`
	// Size of Parquet, in MiB, at which a part is closed and the next one begun. Engines read parts of some hundred MiB best.
	PartMiB int `yaml:"part_mib" jsonschema:"minimum=1,maximum=10240,default=256"`
	// Where the ids of resources come from: the same type and id from two feeds of one id space are the same resource in the views of current data. Left out: the name of the source.
	IDSpace string `yaml:"id_space" jsonschema:"pattern=^[a-z][a-z0-9-]*$" want:"a lower-case letter, then lower-case letters, digits and -"`
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

// NewMembers says what becomes of members who are new in a group.
type NewMembers string

const (
	// NewMembersHistory exports all that there is of them.
	NewMembersHistory NewMembers = "history"
	// NewMembersIgnore leaves it at what the server sends of itself.
	NewMembersIgnore NewMembers = "ignore"
)

// Retire says what absence from a full export means.
type Retire string

const (
	// RetireNever takes nothing for deleted because it is absent.
	RetireNever Retire = "never"
	// RetireFull takes for deleted what a full export without a fault does not hold.
	RetireFull Retire = "full"
)

// ErrorPolicy says what the errors do that a server reports about its export.
type ErrorPolicy string

const (
	// ErrorsStrict keeps the watermark where it is when there is an error.
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
	d.checkOperation(path, f, sources[f.Source])
	d.checkHistory(path, f)
	if f.IDSpace == "" {
		f.IDSpace = f.Source
	}
}

// Percent is a percentage as it is written: "0.1%".
type Percent string

// Share is the percentage as a share, 0 to 1.
func (p Percent) Share() float64 {
	v, _ := strconv.ParseFloat(strings.TrimSuffix(string(p), "%"), 64) // checked when it was read
	return v / 100
}
