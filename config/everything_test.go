package config_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/config"
)

// feed returns a feed with all defaults, changed by set.
func feed(name, source string, set func(*config.Feed)) config.Feed {
	f := config.Feed{
		Name:           name,
		Source:         source,
		NewMembers:     config.NewMembersHistory,
		Purpose:        config.PurposeBackfill,
		Retire:         config.RetireNever,
		Errors:         config.ErrorsStrict,
		MaxQuarantined: "0.1%",
		MaxLineMiB:     128,
		PartMiB:        256,
		IDSpace:        source,
	}
	set(&f)
	return f
}

func TestParseFillsEverything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "token"), "from-a-file\n", 0o600)
	writeFile(t, filepath.Join(dir, "attributed"), "\ufeff# attributed members\r\n1234\r\n\n 00123 # a group\n", 0o644)
	got, err := parse(`
sources:
  bison:
    fhir: ${BASE}/r4/
    auth:
      type: client_credentials
      token_url: https://auth.example.org/token?p=1
      token_method: GET
      client_auth: basic
      require_scope: true
      client_id: ${ID:-nobody}
      client_secret: ${SECRET}
      scope: bulk-data|user/*.rs
    operation: $davinci-data-export
    method: POST
    lenient: true
    separate_status: true
    since_format: date
    list_format: repeat
    parameters:
      - {name: _mdm, value: "true", type: boolean}
      - {name: x, value: 1}
      - {name: x, value: "${ID:-nobody}"}
      - {name: _outputFormat}
    headers:
      - {name: X-Api-Key, value: "${SECRET}", requests: all}
      - {name: Prefer, value_file: token}
    exports: 2
    delete_export: never
    poll: {min: 500ms, max: 1d12h}
    downloads: 8
  local:
    fhir: http://[::1]:8765/fhir
    auth: {type: bearer, token_file: token}
    allow_http: true
feeds:
  zebra:
    source: bison
    groups: [1234, 00123, 0o17, 1_0, 1e3, 2024-01-01, "x.y"]
    purpose: payer_to_payer
    types: [Patient, Coverage]
    since: 2024-01-31
    elements: [id]
    type_filters: ["Observation?category=laboratory"]
    max_quarantined: 0.5%
    max_line_mib: 64
    class: nightly
    export_type: hl7.fhir.us.davinci-pdex#provider-snapshot
    patients: [p1, p.2]
    until: 2025-01-31
    associated_data: [LatestProvenanceResources, _custom]
    organize_by: Patient
    partial_manifests: true
    parameters: [{name: x, value: 7, type: integer}]
    new_members: ignore
    overlap: 1h
    full_every: 30d
    retire: full
    keep_runs: 60
    keep_days: 90
    errors: budget
    max_errors: 10
    part_mib: 128
    id_space: animals
  ape:
    source: local
    level: patient
    since: 2024-01-31T01:02:03.5+01:00
  bee: {source: bison, groups_file: attributed, purpose: provider_access}
  crow: {source: local, group_search: "Group?identifier=1"}
sink:
  url: out/../lake
  parquet:
    compression: gzip
    compression_level: 9
    row_group_mib: 32
    bloom_filter: true
    identifying_statistics: true
state:
  url: s3://state/a/
  s3:
    region: us-east-1
    endpoint: https://minio.example.org:9000/
    access_key_id: key
    secret_access_key: ${SECRET}
    session_token_file: token
    role_arn: arn:aws:iam::123456789012:role/fhirkiln
    external_id: other
    encryption: kms
    kms_key: alias/fhirkiln
    bucket_key: true
    checksums: always
    chunk_mib: 16
  lease_ttl: 30s
parallel: 8
log: {format: json, level: debug}
`, dir, "BASE", "https://fhir.example.org", "SECRET", "s3cret: #${BASE}")
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		Sources: map[string]config.Source{
			"bison": {
				Name: "bison",
				FHIR: "https://fhir.example.org/r4",
				Auth: config.Auth{
					Type:         config.AuthClientCredentials,
					TokenURL:     "https://auth.example.org/token?p=1",
					TokenMethod:  "GET",
					ClientAuth:   "basic",
					RequireScope: true,
					ClientID:     "nobody",
					ClientSecret: "s3cret: #${BASE}",
					Scope:        "bulk-data|user/*.rs",
				},
				Operation:      config.OperationDaVinci,
				Method:         "POST",
				Lenient:        true,
				SeparateStatus: true,
				SinceFormat:    "date",
				ListFormat:     "repeat",
				Parameters: []config.Parameter{
					{Name: "_mdm", Value: "true", Type: "boolean"}, {Name: "x", Value: "1", Type: "string"},
					{Name: "x", Value: "nobody", Type: "string"}, {Name: "_outputFormat", Type: "string"},
				},
				Headers: []config.Header{
					{Name: "X-Api-Key", Value: "s3cret: #${BASE}", Requests: config.HeaderAll},
					{Name: "Prefer", Value: "from-a-file", Requests: config.HeaderKickOff},
				},
				Exports:      2,
				DeleteExport: config.DeleteNever,
				Poll:         config.Poll{Min: 500 * time.Millisecond, Max: 36 * time.Hour, Deadline: 24 * time.Hour},
				Downloads:    8,
			},
			"local": {
				Name:         "local",
				FHIR:         "http://[::1]:8765/fhir",
				Auth:         config.Auth{Type: config.AuthBearer, TokenMethod: "POST", ClientAuth: "form", Token: "from-a-file", TokenFile: filepath.Join(dir, "token")},
				Operation:    config.OperationExport,
				Method:       "GET",
				SinceFormat:  "instant",
				ListFormat:   "comma",
				Exports:      1,
				DeleteExport: config.DeleteAuto,
				Poll:         config.Poll{Min: time.Second, Max: 5 * time.Minute, Deadline: 24 * time.Hour},
				Downloads:    4,
				AllowHTTP:    true,
			},
		},
		Feeds: []config.Feed{
			{
				Name:           "zebra",
				Source:         "bison",
				Level:          config.LevelGroup,
				Groups:         []string{"1234", "00123", "0o17", "1_0", "1e3", "2024-01-01", "x.y"},
				Purpose:        config.PurposePayerToPayer,
				Types:          []string{"Patient", "Coverage"},
				Since:          time.Date(2024, 1, 31, 0, 0, 0, 0, time.UTC),
				Elements:       []string{"id"},
				TypeFilters:    []string{"Observation?category=laboratory"},
				MaxQuarantined: "0.5%",
				MaxLineMiB:     64,

				Class:            "nightly",
				ExportType:       "hl7.fhir.us.davinci-pdex#provider-snapshot",
				Patients:         []string{"p1", "p.2"},
				Until:            time.Date(2025, 1, 31, 0, 0, 0, 0, time.UTC),
				AssociatedData:   []string{"LatestProvenanceResources", "_custom"},
				OrganizeBy:       "Patient",
				PartialManifests: true,
				Parameters:       []config.Parameter{{Name: "x", Value: "7", Type: "integer"}},
				NewMembers:       config.NewMembersIgnore,
				Overlap:          time.Hour,
				FullEvery:        30 * 24 * time.Hour,
				Retire:           config.RetireFull,
				KeepRuns:         60,
				KeepDays:         90,
				Errors:           config.ErrorsBudget,
				MaxErrors:        10,
				PartMiB:          128,
				IDSpace:          "animals",
			},
			feed("ape", "local", func(f *config.Feed) {
				f.Level, f.Since = config.LevelPatient, time.Date(2024, 1, 31, 0, 2, 3, 500_000_000, time.UTC)
			}),
			feed("bee", "bison", func(f *config.Feed) {
				f.Level, f.Groups, f.GroupsFile = config.LevelGroup, []string{"1234", "00123"}, filepath.Join(dir, "attributed")
				f.Purpose = config.PurposeProviderAccess
			}),
			feed("crow", "local", func(f *config.Feed) {
				f.Level, f.GroupSearch = config.LevelGroup, "Group?identifier=1"
			}),
		},
		Sink: config.Sink{URL: filepath.Join(dir, "lake"), S3: defaultS3(), Parquet: config.Parquet{
			Compression: config.CompressionGzip, CompressionLevel: 9, RowGroupMiB: 32, BloomFilter: true, IdentifyingStatistics: true,
		}},
		State: config.State{
			URL: "s3://state/a",
			S3: config.S3{
				Section: "state.s3",
				Region:  "us-east-1", Endpoint: "https://minio.example.org:9000", PathStyle: true,
				AccessKeyID: "key", SecretAccessKey: "s3cret: #${BASE}", SessionToken: "from-a-file",
				RoleARN: "arn:aws:iam::123456789012:role/fhirkiln", ExternalID: "other",
				Encryption: config.EncryptionKMS, KMSKey: "alias/fhirkiln", BucketKey: true,
				Checksums: config.ChecksumsAlways, ChunkMiB: 16,
			},
			LeaseTTL: 30 * time.Second,
		},
		Parallel: 8,
		Log:      config.Log{Format: "json", Level: "debug"},
	}
	// All secrets print the same, so cmp must compare what is inside.
	reveal := cmp.Transformer("reveal", func(s config.Secret) string { return s.Reveal() })
	if diff := cmp.Diff(want, got, reveal); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if f, ok := got.Feed("ape"); !ok || f.Source != "local" {
		t.Errorf("Feed(ape) = %+v, %v", f, ok)
	}
	if _, ok := got.Feed("nobody"); ok {
		t.Error("Feed(nobody) is there")
	}
}
