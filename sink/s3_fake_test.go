package sink_test

import (
	"bytes"
	"crypto/md5"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirkiln/sink"
)

// fakeS3 is an in-memory S3 server with what a sink needs. Its pages are short, so that
// every list has several. e2e tests against real servers.
type fakeS3 struct {
	*httptest.Server

	mu       sync.Mutex
	before   func(w http.ResponseWriter, r *http.Request) (answered bool)
	discard  bool // do not keep the chunks' bytes
	objects  map[string]*fakeObject
	uploads  map[string]*fakeUpload
	ids      int
	requests []*http.Request
}

type fakeObject struct {
	content []byte
	etag    string
	headers http.Header
}

type fakeUpload struct {
	id, key string
	headers http.Header
	chunks  map[int]*fakeChunk
}

type fakeChunk struct {
	content   []byte
	size      int64
	etag, crc string
}

func newFakeS3(t *testing.T) *fakeS3 {
	t.Helper()
	f := &fakeS3{objects: map[string]*fakeObject{}, uploads: map[string]*fakeUpload{}}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

// options returns the options for a sink in the fake's only bucket.
func (f *fakeS3) options() sink.S3Options { return fakeOptions(f.URL) }

func fakeOptions(endpoint string) sink.S3Options {
	return sink.S3Options{
		Bucket: "lake", Prefix: "some/folder", Region: "eu-central-1", Endpoint: endpoint, PathStyle: true,
		AccessKeyID: "ID", SecretAccessKey: "SECRET", Checksums: sink.ChecksumsAlways,
		ChunkBytes: 5 << 20, Attempts: 3, MaxBackoff: time.Millisecond,
	}
}

func openS3(t *testing.T, o sink.S3Options) *sink.S3 {
	t.Helper()
	s, err := sink.OpenS3(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// intercept passes every request to before first.
func (f *fakeS3) intercept(before func(w http.ResponseWriter, r *http.Request) (answered bool)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = before
}

// seen returns the requests since the last call.
func (f *fakeS3) seen() []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := f.requests
	f.requests = nil
	return seen
}

func fakeError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Amz-Request-Id", "REQUEST1")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
}

func (f *fakeS3) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r)
	before, discard := f.before, f.discard
	f.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	var body bytes.Buffer
	sum, crc := md5.New(), crc32.NewIEEE()
	kept := io.Writer(&body)
	if discard && r.URL.Query().Has("partNumber") {
		kept = io.Discard
	}
	size, err := io.Copy(io.MultiWriter(kept, sum, crc), r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	q := r.URL.Query()
	switch {
	case q.Has("list-type"):
		f.list(w, q.Get("prefix"), q.Get("continuation-token"))
	case r.Method == http.MethodGet && q.Has("uploads"):
		f.listUploads(w, q.Get("prefix"), q.Get("upload-id-marker"))
	case r.Method == http.MethodPost && q.Has("uploads"):
		f.ids++
		u := &fakeUpload{id: fmt.Sprintf("upload-%03d", f.ids), key: key, headers: r.Header, chunks: map[int]*fakeChunk{}}
		f.uploads[u.id] = u
		reply(w, "InitiateMultipartUploadResult", "<UploadId>"+u.id+"</UploadId>")
	case q.Has("uploadId"):
		u := f.uploads[q.Get("uploadId")]
		if u == nil || u.key != key {
			fakeError(w, http.StatusNotFound, "NoSuchUpload", "no such upload")
			return
		}
		c := &fakeChunk{content: body.Bytes(), size: size, etag: fmt.Sprintf(`"%x"`, sum.Sum(nil)), crc: r.Header.Get("X-Amz-Checksum-Crc32")}
		f.serveUpload(w, r, u, c)
	default:
		f.serveObject(w, r, key, &fakeObject{content: body.Bytes(), etag: fmt.Sprintf(`"%x"`, sum.Sum(nil)), headers: r.Header})
	}
}

func (f *fakeS3) serveUpload(w http.ResponseWriter, r *http.Request, u *fakeUpload, c *fakeChunk) {
	q := r.URL.Query()
	switch r.Method {
	case http.MethodPut:
		n, _ := strconv.Atoi(q.Get("partNumber"))
		u.chunks[n] = c
		w.Header().Set("ETag", c.etag)
	case http.MethodDelete:
		delete(f.uploads, u.id)
		w.WriteHeader(http.StatusNoContent)
	case http.MethodGet:
		after, _ := strconv.Atoi(q.Get("part-number-marker"))
		var text strings.Builder
		listed := 0
		for _, n := range slices.Sorted(maps.Keys(u.chunks)) {
			if n <= after {
				continue
			}
			if listed++; listed > 2 {
				text.WriteString("<IsTruncated>true</IsTruncated>")
				break
			}
			fmt.Fprintf(&text, "<Part><PartNumber>%d</PartNumber><Size>%d</Size><ETag>%s</ETag></Part><NextPartNumberMarker>%d</NextPartNumberMarker>", n, u.chunks[n].size, u.chunks[n].etag, n)
		}
		reply(w, "ListPartsResult", text.String())
	case http.MethodPost:
		f.complete(w, u, c.content)
	}
}

func (f *fakeS3) complete(w http.ResponseWriter, u *fakeUpload, body []byte) {
	var wanted struct {
		Part []struct {
			PartNumber    int
			ETag          string
			ChecksumCRC32 string
		}
	}
	if err := xml.Unmarshal(body, &wanted); err != nil {
		fakeError(w, http.StatusBadRequest, "MalformedXML", err.Error())
		return
	}
	o := &fakeObject{content: []byte{}, headers: u.headers}
	sums := md5.New()
	for _, p := range wanted.Part {
		c := u.chunks[p.PartNumber]
		if c == nil || c.etag != p.ETag || c.crc != p.ChecksumCRC32 {
			fakeError(w, http.StatusBadRequest, "InvalidPart", "another chunk")
			return
		}
		o.content = append(o.content, c.content...)
		fmt.Fprint(sums, c.etag)
	}
	o.etag = fmt.Sprintf(`"%x-%d"`, sums.Sum(nil), len(wanted.Part))
	f.objects[u.key] = o
	delete(f.uploads, u.id)
	reply(w, "CompleteMultipartUploadResult", "<ETag>"+o.etag+"</ETag>")
}

func (f *fakeS3) serveObject(w http.ResponseWriter, r *http.Request, key string, sent *fakeObject) {
	there := f.objects[key]
	match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
	switch {
	case there == nil && r.Method != http.MethodPut && r.Method != http.MethodDelete, there == nil && match != "":
		fakeError(w, http.StatusNotFound, "NoSuchKey", "no such key")
		return
	case match != "" && there.etag != match, none == "*" && there != nil:
		fakeError(w, http.StatusPreconditionFailed, "PreconditionFailed", "a condition did not hold")
		return
	}
	switch r.Method {
	case http.MethodPut:
		f.objects[key] = sent
		w.Header().Set("ETag", sent.etag)
	case http.MethodDelete:
		delete(f.objects, key)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("ETag", there.etag)
		for name, values := range there.headers {
			if strings.HasPrefix(name, "X-Amz-Meta-") {
				w.Header()[name] = values
			}
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(there.content))
	}
}

func (f *fakeS3) list(w http.ResponseWriter, prefix, after string) {
	var text strings.Builder
	listed := 0
	for _, key := range slices.Sorted(maps.Keys(f.objects)) {
		if !strings.HasPrefix(key, prefix) || key <= after {
			continue
		}
		if listed++; listed > 3 {
			text.WriteString("<IsTruncated>true</IsTruncated>")
			break
		}
		fmt.Fprintf(&text, "<Contents><Key>%s</Key><Size>%d</Size></Contents><NextContinuationToken>%[1]s</NextContinuationToken>", escape(key), len(f.objects[key].content))
	}
	reply(w, "ListBucketResult", text.String())
}

func (f *fakeS3) listUploads(w http.ResponseWriter, prefix, after string) {
	var text strings.Builder
	listed := 0
	for _, id := range slices.Sorted(maps.Keys(f.uploads)) {
		u := f.uploads[id]
		if !strings.HasPrefix(u.key, prefix) || id <= after {
			continue
		}
		if listed++; listed > 2 {
			text.WriteString("<IsTruncated>true</IsTruncated>")
			break
		}
		fmt.Fprintf(&text, "<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>%s</Initiated></Upload><NextUploadIdMarker>%[2]s</NextUploadIdMarker>",
			escape(u.key), id, time.Now().UTC().Format(time.RFC3339))
	}
	reply(w, "ListMultipartUploadsResult", text.String())
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

func reply(w http.ResponseWriter, root, inner string) {
	w.Header().Set("Content-Type", "application/xml")
	fmt.Fprintf(w, "<%s>%s</%[1]s>", root, inner)
}
