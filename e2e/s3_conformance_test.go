package e2e

import (
	"testing"

	"fhirkiln/sink"
	"fhirkiln/sink/sinktest"
)

func TestS3Conformance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		posix []string
		set   func(*sink.S3Options)
	}{
		{"checksums always", nil, func(o *sink.S3Options) { o.Checksums = "always" }},
		{"checksums required", nil, func(o *sink.S3Options) { o.Checksums = "required" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, nil, nil, tt.posix)
			sinktest.Test(t, func(t *testing.T) func() sinktest.Sink {
				o := g.options(g.bucket(t))
				tt.set(&o)
				return func() sinktest.Sink { return openS3(t, o) }
			})
		})
	}
}
