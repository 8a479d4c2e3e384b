package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirkiln/columnar"
	"fhirkiln/sink"
)

// place is a folder or a bucket that a program writes to until it is killed.
type place struct {
	config string // sink and state of config.yaml
	open   func(t *testing.T) files
	staged func(t *testing.T) []string // what is not yet published, or never will be
	proxy  *proxy                      // in front of the bucket; nil for a folder
	folder string                      // "" for a bucket
}

// files reads the files of a place.
type files interface {
	Open(ctx context.Context, key string) (sink.Reader, error)
	List(ctx context.Context, prefix string, each func(key string, size int64) error) error
	Load(ctx context.Context, key string) ([]byte, sink.Version, error)
	Close() error
}

// How long a lease lasts without a sign of life in a bucket. In a folder it lasts as long as its
// process.
const (
	// shortLease is for killed processes, whose leases are waited out. Other processes may lose
	// it, too, if the machine is busy for that long.
	shortLease = "1s"
	longLease  = "5s"
)

// places returns the kinds of places by name. What they share, such as an S3 server, ends with
// the test.
func places(t *testing.T) map[string]func(t *testing.T, lease string) *place {
	t.Helper()
	g := newGateway(t, nil, nil, nil)
	return map[string]func(t *testing.T, lease string) *place{
		"disk": func(t *testing.T, _ string) *place { return newFolder(t) },
		"s3":   func(t *testing.T, lease string) *place { return newBucket(t, g, lease) },
	}
}

func newFolder(t *testing.T) *place {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "lake")
	return &place{
		folder: folder,
		config: fmt.Sprintf("sink: {url: %q}\n", folder),
		open: func(t *testing.T) files {
			t.Helper()
			d, err := sink.ReadDir(folder)
			if errors.Is(err, fs.ErrNotExist) {
				return noFiles{}
			}
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		staged: func(*testing.T) []string { return stagedNames(folder) },
	}
}

// stagedNames returns the files of a folder that are not yet in place.
func stagedNames(folder string) []string {
	var names []string
	there, _ := os.ReadDir(filepath.Join(folder, "_fhirkiln", "staging")) // comes and goes
	for _, f := range there {
		names = append(names, f.Name())
	}
	return names
}

func newBucket(t *testing.T, g *gateway, lease string) *place {
	t.Helper()
	p := newProxy(t, g)
	bucket := g.bucket(t)
	o := g.options(bucket)
	return &place{
		config: fmt.Sprintf(`
sink:
  url: s3://%s/%s
  s3: {region: %s, endpoint: "%s", allow_http: true, access_key_id: %s, secret_access_key: %s, chunk_mib: 5}
state: {lease_ttl: %s}
`, bucket, o.Prefix, o.Region, p.URL, o.AccessKeyID, o.SecretAccessKey, lease),
		open: func(t *testing.T) files {
			t.Helper()
			s, err := sink.ReadS3(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		staged: func(t *testing.T) []string { return g.uploads(t, bucket) },
		proxy:  p,
	}
}

// noFiles stands for a place that nothing was written to yet.
type noFiles struct{}

func (noFiles) Open(context.Context, string) (sink.Reader, error)             { return nil, fs.ErrNotExist }
func (noFiles) List(context.Context, string, func(string, int64) error) error { return nil }
func (noFiles) Load(context.Context, string) ([]byte, sink.Version, error) {
	return nil, "", fs.ErrNotExist
}
func (noFiles) Close() error { return nil }

// watch calls step for each write to a folder that it sees, until ended is closed. Writes are
// visible since every file first has another name. It returns when watching has ended.
func watch(folder string, ended <-chan struct{}, step func()) {
	before := ""
	for {
		if now := strings.Join(stagedNames(folder), " "); now != before {
			before = now
			step()
		}
		select {
		case <-ended:
			return
		case <-time.After(200 * time.Microsecond):
		}
	}
}

// keys returns a place's keys that begin with prefix.
func keys(t *testing.T, f files, prefix string) []string {
	t.Helper()
	var all []string
	err := f.List(context.Background(), prefix, func(key string, _ int64) error {
		all = append(all, key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// parquet returns the keys of all parts that a glob finds.
func parquet(t *testing.T, f files) []string {
	t.Helper()
	return slices.DeleteFunc(keys(t, f, ""), func(key string) bool { return !strings.HasSuffix(key, ".parquet") })
}

// rowsOf turns a part back into resources.
func rowsOf(t *testing.T, f files, key string) []string {
	t.Helper()
	part, err := f.Open(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	r, err := columnar.NewReader(part, part.Size())
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	defer r.Close()
	var resources []string
	for {
		resource, err := r.Next()
		if errors.Is(err, io.EOF) {
			return resources
		}
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		resources = append(resources, string(resource))
	}
}
