package setup

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

	"fhirkiln/config"
	"fhirkiln/pipeline"
	"fhirkiln/sink"
)

// Place is a folder or a bucket: a [*sink.Dir] or a [*sink.S3].
type Place interface {
	pipeline.Sink
	io.Closer
}

// Places are where a config's parts and state are. If both have the same URL, they are the
// same Place.
type Places struct {
	Parts, State Place
}

// Close closes both places.
func (p Places) Close() {
	if p.State != p.Parts {
		p.State.Close()
	}
	p.Parts.Close()
}

// OpenPlaces opens the sink and the state of a checked config for writing, as [OpenPlace]
// does. The caller closes them.
func OpenPlaces(ctx context.Context, cfg *config.Config, o Options) (Places, error) {
	return both(ctx, cfg, o, OpenPlace)
}

// ReadPlaces opens them for reading, as [ReadPlace] does. The caller closes them.
func ReadPlaces(ctx context.Context, cfg *config.Config, o Options) (Places, error) {
	return both(ctx, cfg, o, ReadPlace)
}

func both(ctx context.Context, cfg *config.Config, o Options, open func(context.Context, string, config.S3, Options) (Place, error)) (Places, error) {
	parts, err := open(ctx, cfg.Sink.URL, cfg.Sink.S3, o)
	if err != nil {
		return Places{}, err
	}
	if cfg.State.URL == cfg.Sink.URL {
		return Places{parts, parts}, nil
	}
	state, err := open(ctx, cfg.State.URL, cfg.State.S3, o)
	if err != nil {
		parts.Close()
		return Places{}, err
	}
	return Places{parts, state}, nil
}

// OpenPlace opens the place with the given URL, which is a path or s3://bucket/prefix, for
// writing. It creates a folder that does not exist, and checks that a run can write there:
// see [sink.OpenDir] and [sink.OpenS3]. The settings are for buckets only. The caller closes
// the place.
func OpenPlace(ctx context.Context, where string, settings config.S3, o Options) (Place, error) {
	if !strings.HasPrefix(where, "s3://") {
		return opened(sink.OpenDir(where))
	}
	s3, err := s3Options(where, settings, o)
	if err != nil {
		return nil, err
	}
	return opened(sink.OpenS3(ctx, s3))
}

// ReadPlace opens an existing place for reading. It writes nothing. For a folder that does
// not exist, the error wraps [fs.ErrNotExist].
func ReadPlace(ctx context.Context, where string, settings config.S3, o Options) (Place, error) {
	if !strings.HasPrefix(where, "s3://") {
		return opened(sink.ReadDir(where))
	}
	s3, err := s3Options(where, settings, o)
	if err != nil {
		return nil, err
	}
	return opened(sink.ReadS3(ctx, s3))
}

// opened returns p as a Place, or a nil Place on error instead of one with a nil pointer.
func opened[P Place](p P, err error) (Place, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}

func s3Options(where string, c config.S3, o Options) (sink.S3Options, error) {
	o = o.withDefaults()
	u, err := url.Parse(where)
	if err != nil {
		return sink.S3Options{}, fmt.Errorf("reading the URL of a bucket: %w", err)
	}
	s3 := sink.S3Options{
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
		Section:         c.Section,
		UserAgent:       o.UserAgent,
		Log:             o.Log,
	}
	switch c.Encryption {
	case config.EncryptionS3:
		s3.Encryption = sink.EncryptionS3
	case config.EncryptionKMS:
		s3.Encryption = sink.EncryptionKMS
	}
	switch c.Checksums {
	case config.ChecksumsAlways:
		s3.Checksums = sink.ChecksumsAlways
	case config.ChecksumsRequired:
		s3.Checksums = sink.ChecksumsRequired
	}
	return s3, nil
}
