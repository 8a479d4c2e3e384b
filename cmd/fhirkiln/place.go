package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"fhirkiln/config"
	"fhirkiln/pipeline"
	"fhirkiln/sink"
)

// place is a folder or a bucket.
type place interface {
	pipeline.State
	io.Closer
	String() string
}

// openPlaces opens the place for parts and the one for the state, which may be the same, and
// checks that a run can write to both.
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

// readPlace opens an existing place for reading. It writes nothing.
func readPlace(ctx context.Context, where string, options config.S3, log *slog.Logger) (place, error) {
	if !strings.HasPrefix(where, "s3://") {
		return opened(sink.ReadDir(where))
	}
	return opened(sink.ReadS3(ctx, s3Options(where, options, log)))
}

// opened returns p as a place, or a nil place on error instead of one with a nil pointer.
func opened[P place](p P, err error) (place, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}

func s3Options(where string, c config.S3, log *slog.Logger) sink.S3Options {
	u, _ := url.Parse(where) // checked by config or by locate
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
		ChunkBytes:      int64(c.ChunkMiB) << 20,
		UserAgent:       "fhirkiln/" + version(),
		Log:             log,
	}
	switch c.Encryption {
	case config.EncryptionS3:
		o.Encryption = sink.EncryptionS3
	case config.EncryptionKMS:
		o.Encryption = sink.EncryptionKMS
	}
	switch c.Checksums {
	case config.ChecksumsAlways:
		o.Checksums = sink.ChecksumsAlways
	case config.ChecksumsRequired:
		o.Checksums = sink.ChecksumsRequired
	}
	return o
}

// locate turns a place on the command line into an absolute path, or an s3:// URL as in the
// config.
func locate(text string) (string, error) {
	wrong := func(why string) (string, error) {
		return "", &usageError{fmt.Errorf("%q %s", text, why), "give a folder, or s3://BUCKET/PREFIX"}
	}
	scheme, _, isURL := strings.Cut(text, "://")
	if !isURL {
		if text == "" {
			return wrong("is no place")
		}
		return kong.ExpandPath(text), nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.User != nil || strings.ContainsAny(text, "?#"):
		return wrong("is no URL of a folder or bucket")
	case scheme == "file" && len(u.Path) > 1:
		return filepath.FromSlash(u.Path), nil
	case scheme != "s3":
		return wrong("has a scheme that is not known")
	case u.Host == "":
		return wrong("names no bucket")
	}
	return strings.TrimRight(text, "/"), nil
}

// openOut opens a place given on the command line for writing.
func openOut(ctx context.Context, text string, settings config.S3, log *slog.Logger) (place, error) {
	where, err := locate(text)
	if err != nil {
		return nil, err
	}
	return openPlace(ctx, where, settings, log)
}

// s3Settings returns the settings for a bucket on the command line: the sink's of a config
// file, if there is one, or the environment's, as for every AWS tool.
func s3Settings(cfg *config.Config, env func(string) (string, bool)) config.S3 {
	if cfg != nil {
		return cfg.Sink.S3
	}
	general, _ := env("AWS_ENDPOINT_URL")
	own, _ := env("AWS_ENDPOINT_URL_S3")
	endpoint := cmp.Or(own, general)
	return config.S3{Endpoint: endpoint, PathStyle: endpoint != ""}
}
