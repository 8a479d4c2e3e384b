package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"fhirkiln/config"
	"fhirkiln/setup"
)

// locate turns a place on the command line into an absolute path, or an s3:// URL as in the
// config.
func locate(text string) (string, error) {
	wrong := func(why string) (string, error) {
		return "", &usageError{fmt.Errorf("%q %s", text, why), "use a folder or s3://BUCKET/PREFIX"}
	}
	scheme, _, isURL := strings.Cut(text, "://")
	if !isURL {
		if text == "" {
			return wrong("is not a place")
		}
		return kong.ExpandPath(text), nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.User != nil || strings.ContainsAny(text, "?#"):
		return wrong("is not the URL of a folder or bucket")
	case scheme == "file" && len(u.Path) > 1:
		return filepath.FromSlash(u.Path), nil
	case scheme != "s3":
		return wrong("has an unknown scheme")
	case u.Host == "":
		return wrong("names no bucket")
	}
	return strings.TrimRight(text, "/"), nil
}

// openOut opens a place given on the command line for writing.
func openOut(ctx context.Context, text string, settings config.S3, o setup.Options) (setup.Place, error) {
	where, err := locate(text)
	if err != nil {
		return nil, err
	}
	return setup.OpenPlace(ctx, where, settings, o)
}

// notPublished returns the error of opening a place for reading. For a folder that does not exist
// it adds that nothing has been published there yet.
func notPublished(err error, check string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &usageError{fmt.Errorf("%w: nothing has been published there yet", err), check + ", or publish something with fhirkiln run"}
	}
	return err
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
