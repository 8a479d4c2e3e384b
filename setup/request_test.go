package setup

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/bulk"
	"fhirkiln/config"
	"fhirkiln/pipeline"
)

// The settings of a feed and its source become a kick-off.
func TestRequests(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 1, 31, 1, 2, 3, 0, time.UTC)
	const pdex = "hl7.fhir.us.davinci-pdex#"
	daVinci := config.Source{Operation: config.OperationDaVinci}
	group := func(purpose config.Purpose) config.Feed {
		return config.Feed{Level: config.LevelGroup, Groups: []string{"a"}, Purpose: purpose}
	}
	chosen := group(config.PurposeProviderAccess)
	chosen.ExportType = pdex + "provider-snapshot"
	for name, test := range map[string]struct {
		feed   config.Feed
		source config.Source
		since  time.Time
		want   bulk.Request
	}{
		"everything": {
			feed: config.Feed{Level: config.LevelSystem},
			want: bulk.Request{Level: bulk.System},
		},
		"all patients since": {
			feed:  config.Feed{Level: config.LevelPatient, Types: []string{"Patient"}},
			since: since,
			want:  bulk.Request{Level: bulk.Patient, Types: []string{"Patient"}, Since: since},
		},
		"a plain $export tells no purpose": {
			feed:   group(config.PurposeProviderAccess),
			source: config.Source{Operation: config.OperationExport},
			since:  since,
			want:   bulk.Request{Level: bulk.Group, Since: since},
		},
		"payer to payer": {
			feed:   group(config.PurposePayerToPayer),
			source: daVinci,
			want:   bulk.Request{Level: bulk.Group, ExportType: pdex + "payertopayer"},
		},
		"payer to payer since": {
			feed:   group(config.PurposePayerToPayer),
			source: daVinci,
			since:  since,
			want:   bulk.Request{Level: bulk.Group, Since: since, ExportType: pdex + "payertopayer"},
		},
		"provider access": {
			feed:   group(config.PurposeProviderAccess),
			source: daVinci,
			want:   bulk.Request{Level: bulk.Group, ExportType: pdex + "provider-download"},
		},
		"provider access since": {
			feed:   group(config.PurposeProviderAccess),
			source: daVinci,
			since:  since,
			want:   bulk.Request{Level: bulk.Group, Since: since, ExportType: pdex + "provider-delta"},
		},
		"an exportType of the user's": {
			feed:   chosen,
			source: daVinci,
			since:  since,
			want:   bulk.Request{Level: bulk.Group, Since: since, ExportType: pdex + "provider-snapshot"},
		},
		"the dialect": {
			feed: config.Feed{
				Level:            config.LevelPatient,
				Until:            since,
				TypeFilters:      []string{"Observation?category=laboratory"},
				Patients:         []string{"1", "2"},
				AssociatedData:   []string{"LatestProvenanceResources"},
				OrganizeBy:       "Patient",
				PartialManifests: true,
				Parameters:       []config.Parameter{{Name: "x", Value: "3", Type: "integer"}, {Name: "x", Value: "4", Type: "integer"}},
			},
			source: config.Source{
				Method:         "POST",
				Lenient:        true,
				SeparateStatus: true,
				SinceFormat:    "date",
				ListFormat:     "repeat",
				Parameters: []config.Parameter{
					{Name: "x", Value: "1", Type: "string"}, {Name: "y", Value: "2026-01-31", Type: "dateTime"},
					{Name: "z", Value: "Group/1", Type: "Reference"}, {Name: "_outputFormat", Type: "string"},
				},
				Headers: []config.Header{{Name: "x-api-key", Value: "revealed", Requests: config.HeaderKickOff},
					{Name: "x-gateway-key", Value: "of all requests", Requests: config.HeaderAll}},
			},
			want: bulk.Request{
				Level:            bulk.Patient,
				Until:            since,
				TypeFilters:      []string{"Observation?category=laboratory"},
				Patients:         []string{"Patient/1", "Patient/2"},
				AssociatedData:   []string{"LatestProvenanceResources"},
				OrganizeBy:       "Patient",
				PartialManifests: true,
				Parameters: []bulk.Parameter{
					{Name: "y", Value: "2026-01-31", Kind: "DateTime"}, {Name: "z", Value: "Group/1", Kind: "Reference"},
					{Name: "_outputFormat", Kind: "String"}, {Name: "x", Value: "3", Kind: "Integer"}, {Name: "x", Value: "4", Kind: "Integer"},
				},
				Header:         map[string]string{"x-api-key": "revealed"},
				Lenient:        true,
				SeparateStatus: true,
				SinceAsDate:    true,
				RepeatLists:    true,
				Post:           true,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.feed.Since = test.since
			if diff := cmp.Diff(test.want, request(test.feed, test.source)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What the pipeline adds later: groups, and an exportType for changes.
func TestFeed(t *testing.T) {
	t.Parallel()
	all := []config.Feed{{Name: "members", Source: "bison", IDSpace: "bison"}, {Name: "clinical", Source: "elk", IDSpace: "bison"}, {Name: "dental", Source: "elk", IDSpace: "elk"}}
	cfg := &config.Config{Feeds: all, Sources: map[string]config.Source{"bison": {Operation: config.OperationDaVinci}}}
	f := Feed(cfg, config.Feed{Name: "members", Source: "bison", IDSpace: "bison", Level: config.LevelGroup, Groups: []string{"a", "b"}, Purpose: config.PurposeProviderAccess,
		Overlap: time.Hour, FullEvery: 24 * time.Hour, NewMembers: config.NewMembersIgnore, MaxErrors: 3})
	want := pipeline.Feed{Name: "members", Source: "bison", Purpose: "provider_access", Groups: []string{"a", "b"},
		Request:   bulk.Request{Level: bulk.Group, ExportType: "hl7.fhir.us.davinci-pdex#provider-download"},
		DeltaType: "hl7.fhir.us.davinci-pdex#provider-delta",
		Overlap:   time.Hour, FullEvery: 24 * time.Hour, IgnoreNewMembers: true, MaxErrors: 3, IDSpaces: map[string]string{"clinical": "bison"}}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
