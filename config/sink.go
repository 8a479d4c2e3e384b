package config

import (
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// Sink says where the Parquet goes. In a checked [Config], relative paths and file:// URLs are
// resolved: URL is a local path, or begins with s3:// and does not end with a slash.
type Sink struct {
	// A folder, as a path or file:///path, or s3://bucket/prefix. A relative path starts at the folder of the config file.
	URL string `yaml:"url" jsonschema:"required" want:"a path, file:///path or s3://bucket/prefix"`
	// How to reach and use the store, if url is s3://.
	S3 S3 `yaml:"s3"`
	// How to write the Parquet.
	Parquet Parquet `yaml:"parquet"`
}

// State says where fhirkiln keeps what it must remember, some of it secret: ledgers, leases,
// manifests, quarantined lines. In a checked [Config] it is complete, as [Sink] is.
type State struct {
	// A folder, as a path or file:///path, or s3://bucket/prefix, in which fhirkiln creates a folder _fhirkiln for what it must remember: watermarks, links to files, quarantined lines. Default: the sink.
	URL string `yaml:"url" want:"a path, file:///path or s3://bucket/prefix"`
	// How to reach and use the store, if url is s3://. Default: the sink's settings, if the sink is on S3.
	S3 S3 `yaml:"s3"`
	// How long another process waits, after the last sign of life from one that is working on a feed, before it takes over. Used only on S3; on disk, the operating system knows at once who is alive.
	LeaseTTL time.Duration `yaml:"lease_ttl" jsonschema:"default=1m" min:"1s" max:"1h"`
}

// checkState checks the state and fills in what it takes from the sink. Problems with the sink
// are not reported again.
func (d *decoder) checkState(path string, s *State, sink Sink) {
	own := d.given(join(path, "s3"))
	if s.URL == "" && !d.failed[path] && !d.failed[join(path, "url")] {
		if own {
			d.problemAt(join(path, "s3"), "is not used without url, because the state is then in the sink; set s3 in the sink, or add url")
		}
		s.URL, s.S3 = sink.URL, sink.S3
		return
	}
	s.URL = d.checkPlace(path, s.URL, &s.S3)
	if !own && d.given(sink.S3.Section) && onS3(s.URL) && onS3(sink.URL) {
		s.S3 = sink.S3
	}
}

// onS3 reports whether a place is on S3 rather than on this machine.
func onS3(place string) bool { return strings.HasPrefix(place, "s3://") }

// checkPlace checks the url and s3 of a sink or a state, and returns the url in the form that
// callers get.
func (d *decoder) checkPlace(path, text string, s3 *S3) string {
	place := d.checkPlaceURL(join(path, "url"), text)
	s3Path := join(path, "s3")
	if d.given(s3Path) && text != "" && !d.failed[s3Path] && !d.failed[join(path, "url")] && !onS3(place) {
		d.problemAt(s3Path, "is not used with a folder; use a url of s3://bucket/prefix, or remove s3")
	}
	d.checkS3(s3Path, s3)
	return place
}

// checkPlaceURL resolves a relative path against the folder of the config file, and returns a
// URL without a slash at its end.
func (d *decoder) checkPlaceURL(path, text string) string {
	const want = "; expected a path, file:///path or s3://bucket/prefix"
	if text == "" || d.failed[path] {
		return text
	}
	first, _, _ := strings.Cut(text, "/")
	if !strings.HasSuffix(first, ":") {
		switch {
		case first == "~":
			d.problemAt(path, "begins with ~, which only a shell expands; use ${HOME}/path")
		case strings.Contains(first, ":"):
			d.problemAt(path, "has a : before the first slash, like a URL"+want+" (for a path, write ./name:with-colon)")
		case !filepath.IsAbs(text):
			return filepath.Join(d.dir, text)
		}
		return text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "":
		d.problemAt(path, "not a URL"+want)
	case u.Scheme != "file" && u.Scheme != "s3":
		d.problemAt(path, "has an unknown scheme"+want)
	case u.User != nil || strings.ContainsAny(text, "?#"):
		d.problemAt(path, "contains a user name, ? or #"+want)
	case u.Scheme == "file" && (u.Host != "" && u.Host != "localhost" || len(u.Path) < 2):
		d.problemAt(path, "names no folder on this machine; write three slashes: file:///path")
	case u.Scheme == "file":
		return filepath.FromSlash(u.Path)
	case !isBucket(u.Host):
		d.problemAt(path, "names no valid bucket; expected s3://bucket/prefix, with a bucket of 3 to 63 of a-z, 0-9, - and .")
	case strings.Contains(strings.TrimPrefix(u.Path, "/"), "//") || strings.HasPrefix(u.Path, "//"):
		d.problemAt(path, "has an empty name between two slashes; expected s3://bucket/prefix")
	default:
		return strings.TrimRight(text, "/")
	}
	return text
}

// isBucket reports whether s follows S3's rules for bucket names, as far as they catch typos.
func isBucket(s string) bool {
	alien := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' }
	return len(s) >= 3 && len(s) <= 63 && !strings.ContainsFunc(s, alien) && strings.Trim(s, "-.") == s
}
