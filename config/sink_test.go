package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/config"
)

// defaultS3 is the S3 of a file that does not mention it.
func defaultS3() config.S3 {
	return config.S3{Section: "sink.s3", Encryption: config.EncryptionBucket, Checksums: config.ChecksumsAuto, ChunkMiB: 8}
}

// at returns s with its section.
func at(section string, s config.S3) config.S3 {
	s.Section = section
	return s
}

// TestStateTakesFromSink checks that what state leaves out comes from the sink.
func TestStateTakesFromSink(t *testing.T) {
	t.Parallel()
	ofSink, ofState := defaultS3(), defaultS3()
	ofSink.Region, ofSink.Endpoint, ofSink.PathStyle, ofSink.AllowHTTP = "a", "http://minio:9000", false, true
	ofState.Region = "b"
	const sink = "url: s3://lake\n  s3: {region: a, endpoint: 'http://minio:9000/', path_style: false, allow_http: true}\n"
	for name, test := range map[string]struct {
		places string
		want   config.State
	}{
		"all":                 {sink, config.State{URL: "s3://lake", S3: ofSink}},
		"how to reach it":     {sink + "state: {url: s3://other/p}\n", config.State{URL: "s3://other/p", S3: ofSink}},
		"neither has any":     {"url: s3://lake\nstate: {url: s3://other}\n", config.State{URL: "s3://other", S3: at("state.s3", defaultS3())}},
		"nothing":             {sink + "state: {url: s3://other, s3: {region: b}}\n", config.State{URL: "s3://other", S3: at("state.s3", ofState)}},
		"disk takes no s3":    {sink + "state: {url: /other}\n", config.State{URL: "/other", S3: at("state.s3", defaultS3())}},
		"s3 takes none of it": {"url: /data\nstate: {url: s3://other, s3: {region: b}}\n", config.State{URL: "s3://other", S3: at("state.s3", ofState)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := parse(strings.Replace(minimal, "url: /data\n", test.places, 1), "")
			if err != nil {
				t.Fatal(err)
			}
			test.want.LeaseTTL = time.Minute
			if diff := cmp.Diff(test.want, cfg.State); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSinkForms(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		"/data/lake/":         "/data/lake/",
		"./lake":              "/etc/kiln/lake",
		"../lake":             "/etc/lake",
		"lake":                "/etc/kiln/lake",
		"a/b:c":               "/etc/kiln/a/b:c",
		"file:///data/a%20b":  "/data/a b",
		"file://localhost/d":  "/d",
		"s3://lake":           "s3://lake",
		"s3://lake/":          "s3://lake",
		"s3://lake/claims/":   "s3://lake/claims",
		"s3://my.lake-1/a/b":  "s3://my.lake-1/a/b",
		"$$HOME/${DIR:-a b}":  "/etc/kiln/$HOME/a b",
		"/cost$/$a/${X:-$$b}": "/cost$/$a/$$b",
	} {
		t.Run(written, func(t *testing.T) {
			t.Parallel()
			got, err := parse(strings.Replace(minimal, "/data", "'"+written+"'", 1), "/etc/kiln")
			if err != nil {
				t.Fatal(err)
			}
			if got.Sink.URL != want {
				t.Errorf("got %s, want %s", got.Sink.URL, want)
			}
		})
	}
}
