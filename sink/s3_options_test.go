package sink_test

import (
	"errors"
	"strings"
	"testing"

	"fhirkiln/sink"
)

func TestS3OptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		says string
		set  func(*sink.S3Options)
	}{
		{"no bucket", func(o *sink.S3Options) { o.Bucket = "" }},
		{"empty, . or .. folders", func(o *sink.S3Options) { o.Prefix = "a/../b" }},
		{"5 MiB", func(o *sink.S3Options) { o.ChunkBytes = 5<<20 - 1 }},
		{"negative", func(o *sink.S3Options) { o.Concurrency = -1 }},
		{"negative", func(o *sink.S3Options) { o.UploadBytes = -1 }},
		{"negative", func(o *sink.S3Options) { o.Attempts = -1 }},
		{"negative", func(o *sink.S3Options) { o.MaxBackoff = -1 }},
		{"negative", func(o *sink.S3Options) { o.Silence = -1 }},
		{"always or required", func(o *sink.S3Options) { o.Checksums = "never" }},
		{"AES256 or aws:kms", func(o *sink.S3Options) { o.Encryption = "rot13" }},
		{"only with encryption aws:kms", func(o *sink.S3Options) { o.KMSKey = "key" }},
		{"only with encryption aws:kms", func(o *sink.S3Options) { o.Encryption, o.BucketKey = sink.EncryptionS3, true }},
		{"both its id and its secret", func(o *sink.S3Options) { o.SecretAccessKey = "" }},
		{"both its id and its secret", func(o *sink.S3Options) { o.AccessKeyID = "" }},
	} {
		o := fakeOptions("http://127.0.0.1:1")
		test.set(&o)
		_, err := sink.OpenS3(t.Context(), o)
		var e *sink.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), test.says) || e.Hint == "" {
			t.Errorf("%s: %v", test.says, err)
		}
	}
}
