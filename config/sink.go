package config

import (
	"net/url"
	"path/filepath"
	"strings"
)

// Sink is where the Parquet goes. In a checked [Config] the URL is a local path,
// or begins with s3:// and has no slash at its end: relative paths and file://
// URLs are resolved.
type Sink struct {
	// A folder, as a path or file:///path, or s3://bucket/prefix. A relative path starts at the folder of the config file.
	URL string `yaml:"url" jsonschema:"required" want:"a path, file:///path or s3://bucket/prefix"`
}

func (d *decoder) checkSink(path string, s *Sink) {
	const want = "; want a path, file:///path or s3://bucket/prefix"
	path = join(path, "url")
	if s.URL == "" || d.failed[path] {
		return
	}
	first, _, _ := strings.Cut(s.URL, "/")
	if !strings.HasSuffix(first, ":") {
		switch {
		case first == "~":
			d.problemAt(path, "begins with ~, which only a shell knows; want ${HOME}/path")
		case strings.Contains(first, ":"):
			d.problemAt(path, "has a : before the first slash, as a URL has"+want+" (./name:with-colon for a path)")
		case !filepath.IsAbs(s.URL):
			s.URL = filepath.Join(d.dir, s.URL)
		}
		return
	}
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Opaque != "":
		d.problemAt(path, "not a URL"+want)
	case u.Scheme != "file" && u.Scheme != "s3":
		d.problemAt(path, "the scheme is not known"+want)
	case u.User != nil || strings.ContainsAny(s.URL, "?#"):
		d.problemAt(path, "has a user name, ? or # in it"+want)
	case u.Scheme == "file" && (u.Host != "" && u.Host != "localhost" || len(u.Path) < 2):
		d.problemAt(path, "names no folder of this machine; want three slashes: file:///path")
	case u.Scheme == "file":
		s.URL = filepath.FromSlash(u.Path)
	case !isBucket(u.Host):
		d.problemAt(path, "names no bucket; want s3://bucket/prefix, a bucket having 3 to 63 of a-z, 0-9, - and .")
	case strings.Contains(strings.TrimPrefix(u.Path, "/"), "//") || strings.HasPrefix(u.Path, "//"):
		d.problemAt(path, "has an empty name between two slashes; want s3://bucket/prefix")
	default:
		s.URL = strings.TrimRight(s.URL, "/")
	}
}

// isBucket holds a bucket name to S3's rules, as far as they catch slips.
func isBucket(s string) bool {
	alien := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' }
	return len(s) >= 3 && len(s) <= 63 && !strings.ContainsFunc(s, alien) && strings.Trim(s, "-.") == s
}
