package sink_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"fhirkiln/sink"
	"fhirkiln/sink/sinktest"
)

func TestS3Conformance(t *testing.T) {
	t.Parallel()
	for _, checksums := range []sink.Checksums{sink.ChecksumsAlways, sink.ChecksumsRequired} {
		t.Run(string(checksums), func(t *testing.T) {
			t.Parallel()
			sinktest.Test(t, func(t *testing.T) func() sinktest.Sink {
				f := newFakeS3(t)
				t.Cleanup(func() {
					f.mu.Lock()
					defer f.mu.Unlock()
					for id, u := range f.uploads {
						t.Errorf("the upload %s of %s is left", id, u.key)
					}
				})
				o := f.options()
				o.Checksums = checksums
				return func() sinktest.Sink { return openS3(t, o) }
			})
		})
	}
}

// stageEnv makes the test binary a process that stages parts at the store that the variable
// names, and says how much memory that took.
const stageEnv = "FHIRKILN_TEST_STAGE"

const stagedParts, stagedBytes = 8, 100 << 20

func stageAndMeasure(endpoint string) int {
	o := fakeOptions(endpoint)
	o.ChunkBytes = 0
	ctx := context.Background()
	s, err := sink.OpenS3(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var all sync.WaitGroup
	failed := make(chan error, stagedParts)
	for n := range stagedParts {
		all.Go(func() {
			staging, err := s.Stage(ctx, fmt.Sprintf("p%d.parquet", n))
			if err != nil {
				failed <- err
				return
			}
			page := make([]byte, 64<<10)
			for range stagedBytes / len(page) {
				if _, err := staging.Write(page); err != nil {
					failed <- err
					return
				}
			}
			r, err := staging.Finish(ctx)
			if err == nil && (r.Size != stagedBytes || len(r.Chunks) != 13) {
				err = fmt.Errorf("the receipt says %d bytes in %d chunks", r.Size, len(r.Chunks))
			}
			failed <- err
		})
	}
	all.Wait()
	for range stagedParts {
		if err := <-failed; err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Println(m.Sys, residentPeak())
	return 0
}

// residentPeak returns this process's peak resident memory in bytes, or 0 if the kernel does
// not report it.
func residentPeak() (bytes int64) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "VmHWM: %d kB", &bytes); err == nil {
			return bytes << 10
		}
	}
	return 0
}

// 8 parts of 100 MiB are written at once, as fast as possible. Each may hold one chunk of
// 8 MiB being filled, and all together 32 MiB being uploaded.
func TestStagingTakesBoundedMemory(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	f.mu.Lock()
	f.discard = true
	f.mu.Unlock()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), stageEnv+"="+f.URL)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var sys, resident int64
	if _, err := fmt.Sscan(string(out), &sys, &resident); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	t.Logf("memory of the Go runtime %d MiB, resident %d MiB", sys>>20, resident>>20)
	if most := int64(160 << 20); sys > most { // does not count the race detector's memory
		t.Errorf("staging took %d bytes, more than %d", sys, most)
	}
}

// The headers that are sent with every new object.
func TestS3Headers(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	o := f.options()
	o.Encryption, o.KMSKey, o.BucketKey = "aws:kms", "alias/lake", true
	o.UserAgent = "fhirkiln/1.2.3"
	s := openS3(t, o)
	staging, err := s.Stage(t.Context(), "a/p.parquet")
	if err != nil {
		t.Fatal(err)
	}
	r, err := staging.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "a/report.json", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, r := range f.seen() {
		if !strings.Contains(r.Header.Get("User-Agent"), "fhirkiln/1.2.3") {
			t.Errorf("the user agent is %q", r.Header.Get("User-Agent"))
		}
		if strings.Contains(r.Header.Get("Content-Encoding"), "aws-chunked") {
			t.Errorf("%s %s is framed", r.Method, r.URL.Path)
		}
		for name := range r.Header {
			if strings.HasPrefix(name, "X-Amz-Acl") || strings.HasPrefix(name, "X-Amz-Grant") {
				t.Errorf("%s %s has %s", r.Method, r.URL.Path, name)
			}
		}
		if r.URL.Query().Has("uploadId") || r.Method != http.MethodPut && r.Method != http.MethodPost {
			continue
		}
		made++
		for name, want := range map[string]string{
			"X-Amz-Server-Side-Encryption":                    "aws:kms",
			"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id":     "alias/lake",
			"X-Amz-Server-Side-Encryption-Bucket-Key-Enabled": "true",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s %s has %s: %q", r.Method, r.URL.Path, name, got)
			}
		}
		want := map[string]string{".parquet": "application/vnd.apache.parquet", ".json": "application/json"}[path.Ext(r.URL.Path)]
		if got := r.Header.Get("Content-Type"); want != "" && got != want {
			t.Errorf("%s has the type %q", r.URL.Path, got)
		}
	}
	if made < 6 {
		t.Errorf("only %d objects were made", made)
	}
}

// Confirm rejects an upload whose chunks differ from the receipt's.
func TestS3ConfirmComparesChunks(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	s := openS3(t, f.options())
	staging, err := s.Stage(t.Context(), "a/p.parquet")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := staging.Write(make([]byte, 24<<20)); err != nil { // five chunks, on three pages
		t.Fatal(err)
	}
	r, err := staging.Finish(t.Context())
	if err != nil || len(r.Chunks) != 5 {
		t.Fatal(r, err)
	}
	if err := s.Confirm(t.Context(), r); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(c *sink.Chunk){
		"ETag":   func(c *sink.Chunk) { c.ETag = `"x"` },
		"size":   func(c *sink.Chunk) { c.Size++ },
		"number": func(c *sink.Chunk) { c.Number = 6 },
	} {
		other := r
		other.Chunks = slices.Clone(r.Chunks)
		change(&other.Chunks[4])
		if err := s.Confirm(t.Context(), other); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a chunk of another %s: %v", name, err)
		}
	}
	if err := s.Abort(t.Context(), r); err != nil {
		t.Error(err)
	}
}

// A reader of a file that is replaced must not mix old and new bytes.
func TestS3ReaderOfAReplacedFile(t *testing.T) {
	t.Parallel()
	s := openS3(t, newFakeS3(t).options())
	if err := s.Put(t.Context(), "a/x", make([]byte, 3<<20)); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), "a/x")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.ReadAt(make([]byte, 10), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "a/x", []byte("another's")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadAt(make([]byte, 10), 2<<20); !errors.Is(err, sink.ErrChanged) {
		t.Errorf("reading on: %v", err)
	}
}

// A Parquet file is read at its end and then at many places in turn: few requests.
func TestS3ReaderFetchesEachByteOnce(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	s := openS3(t, f.options())
	const size = 20 << 20
	if err := s.Put(t.Context(), "a/x", make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), "a/x")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f.seen()
	read := func(n, off int64) {
		t.Helper()
		if _, err := r.ReadAt(make([]byte, n), off); err != nil {
			t.Fatal(err)
		}
	}
	read(8, size-8)
	const columns, page = 50, 4 << 10
	for at := int64(0); at < size/columns-page; at += page {
		for c := range int64(columns) {
			read(page, c*(size/columns)+at)
		}
	}
	if n := len(f.seen()); n > 2*size/(512<<10) {
		t.Errorf("%d requests", n)
	}
	f.seen()
	read(10<<20, 0)
	if n := len(f.seen()); n != 1 {
		t.Errorf("%d requests for one large read", n)
	}
}
