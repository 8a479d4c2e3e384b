package setup

import (
	"testing"

	"fhirkiln/config"
)

// Hints about a bucket name the section of the config that says how to reach it.
func TestS3OptionsKnowTheirSection(t *testing.T) {
	t.Parallel()
	o, err := s3Options("s3://lake/claims/", config.S3{Section: "state.s3"}, Options{})
	if err != nil || o.Section != "state.s3" || o.Bucket != "lake" || o.Prefix != "claims" {
		t.Errorf("got %+v, %v", o, err)
	}
}
