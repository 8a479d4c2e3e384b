package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Feed is one thing that is kept in sync: a source, and what of it.
type Feed struct {
	// Name is the feed's key in the file.
	Name string `yaml:"-"`

	// Name of the source to export from.
	Source string `yaml:"source" jsonschema:"required" want:"the name of a source"`
	// What is exported: the whole system, all patients, or groups of patients. Left out: group if groups is given; otherwise it must be said, so that nobody exports everything by an omission.
	Level Level `yaml:"level" jsonschema:"enum=system,enum=patient,enum=group"`
	// Ids of the Groups to export, for level group. One export is made for each.
	Groups []string `yaml:"groups" jsonschema:"pattern=^[A-Za-z0-9_-][A-Za-z0-9._-]*$" want:"Group ids such as 1234, without Group/ before them"`
	// What the data is for, which audits record. backfill, the default, claims nothing beyond a plain export.
	Purpose Purpose `yaml:"purpose" jsonschema:"enum=payer_to_payer,enum=provider_access,enum=backfill,default=backfill"`
	// Resource types to export (_type). Left out: all that the server gives.
	Types []string `yaml:"types" jsonschema:"pattern=^[A-Z][A-Za-z]+$" want:"resource types such as Patient"`
	// Only resources that have changed since this instant (_since). A date means its start in UTC.
	Since time.Time `yaml:"since"`
	// Only these elements (_elements), such as id or Patient.birthDate. Servers may ignore it.
	Elements []string `yaml:"elements" jsonschema:"pattern=^[A-Za-z][A-Za-z.]*$" want:"element names such as id or Patient.birthDate"`
	// Searches that resources of a type must match (_typeFilter), such as Observation?category=laboratory. Servers may ignore it.
	TypeFilters []string `yaml:"type_filters" jsonschema:"pattern=^[A-Z][A-Za-z]+[?].+$" want:"searches such as Observation?category=laboratory"`
	// Share of a resource type's lines that may be no FHIR resources. They go to quarantine, and the run is partial; with more of them it fails and publishes nothing.
	MaxQuarantined Percent `yaml:"max_quarantined" jsonschema:"pattern=^[0-9][0-9]?([.][0-9]+)?%$,default=0.1%" want:"a percentage such as 0.1%"`
	// Longest line, in MiB. Longer ones go to quarantine. It bounds memory.
	MaxLineMiB int `yaml:"max_line_mib" jsonschema:"minimum=1,maximum=4095,default=128"`
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

func (d *decoder) checkFeed(path string, f *Feed, sources map[string]Source) {
	if d.failed[path] {
		return // not even a mapping
	}
	if _, ok := sources[f.Source]; !ok && f.Source != "" && len(sources) > 0 {
		d.problemAt(join(path, "source"), "no source has that name%s", didYouMean(f.Source, slices.Sorted(maps.Keys(sources))))
	}
	groupsPath, levelPath := join(path, "groups"), join(path, "level")
	if f.Level == "" && d.given(groupsPath) && !d.failed[levelPath] {
		f.Level = LevelGroup
	}
	switch {
	case d.failed[levelPath]:
	case f.Level == "":
		d.problemAt(levelPath, "missing; want system or patient, or groups with the ids of groups")
	case f.Level == LevelGroup && !d.given(groupsPath):
		d.problemAt(groupsPath, "missing; want at least one id with level group")
	case f.Level != LevelGroup && d.given(groupsPath):
		d.problemAt(groupsPath, "is not used with level %s; want level group, or no groups", f.Level)
	}
}

// Percent is a percentage as it is written: "0.1%".
type Percent string

// Share is the percentage as a share, 0 to 1.
func (p Percent) Share() float64 {
	v, _ := strconv.ParseFloat(strings.TrimSuffix(string(p), "%"), 64) // checked when it was read
	return v / 100
}
