package main

import (
	"context"
	"io"
	"log/slog"
	"net/url"
	"strings"

	"fhirkiln/config"
	"fhirkiln/pipeline"
	"fhirkiln/sink"
)

// place is a folder or a bucket, as the commands need it.
type place interface {
	pipeline.State
	io.Closer
	String() string
}

// openPlaces opens where parts go and where the state is kept, which may be the same,
// and proves that a run may write to both.
func openPlaces(ctx context.Context, cfg *config.Config, log *slog.Logger) (parts, state place, err error) {
	if parts, err = openPlace(ctx, cfg.Sink.URL, cfg.Sink.S3, log); err != nil {
		return nil, nil, err
	}
	if cfg.State.URL == cfg.Sink.URL {
		return parts, parts, nil
	}
	if state, err = openPlace(ctx, cfg.State.URL, cfg.State.S3, log); err != nil {
		parts.Close()
		return nil, nil, err
	}
	return parts, state, nil
}

func openPlace(ctx context.Context, where string, options config.S3, log *slog.Logger) (place, error) {
	if !strings.HasPrefix(where, "s3://") {
		return opened(sink.OpenDir(where))
	}
	return opened(sink.OpenS3(ctx, s3Options(where, options, log)))
}

// readPlace opens what is there already; nothing is written.
func readPlace(ctx context.Context, where string, options config.S3, log *slog.Logger) (place, error) {
	if !strings.HasPrefix(where, "s3://") {
		return opened(sink.ReadDir(where))
	}
	return opened(sink.ReadS3(ctx, s3Options(where, options, log)))
}

// opened is p as a place, and no place that holds a nil pointer.
func opened[P place](p P, err error) (place, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}

func s3Options(where string, c config.S3, log *slog.Logger) sink.S3Options {
	u, _ := url.Parse(where) // checked by config
	o := sink.S3Options{
		Bucket:          u.Host,
		Prefix:          strings.Trim(u.Path, "/"),
		Region:          c.Region,
		Endpoint:        c.Endpoint,
		PathStyle:       c.PathStyle,
		Profile:         c.Profile,
		AccessKeyID:     c.AccessKeyID,
		SecretAccessKey: c.SecretAccessKey.Reveal(),
		SessionToken:    c.SessionToken.Reveal(),
		RoleARN:         c.RoleARN,
		ExternalID:      c.ExternalID,
		KMSKey:          c.KMSKey,
		BucketKey:       c.BucketKey,
		Checksums:       string(c.Checksums),
		ChunkBytes:      int64(c.ChunkMiB) << 20,
		UserAgent:       "fhirkiln/" + version(),
		Log:             log,
	}
	switch c.Encryption {
	case config.EncryptionS3:
		o.Encryption = "AES256"
	case config.EncryptionKMS:
		o.Encryption = "aws:kms"
	}
	return o
}
