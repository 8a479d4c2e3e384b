package sink_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"fhirkiln/sink"
)

// refuse answers the matching requests with an error.
func refuse(operation func(r *http.Request) bool, status int, code, message string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !operation(r) {
			return false
		}
		io.Copy(io.Discard, r.Body)
		fakeError(w, status, code, message)
		return true
	}
}

func every(*http.Request) bool { return true }

func has(method, query string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == method && r.URL.Query().Has(query) }
}

func plain(method string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		q := r.URL.Query()
		return r.Method == method && !q.Has("uploadId") && !q.Has("uploads") && !q.Has("list-type")
	}
}

// OpenS3 says what is wrong before a run starts, with a hint.
func TestOpenS3SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	const bucket = "opening the bucket: s3://lake/some/folder: "
	for _, tt := range []struct {
		name   string
		before func(http.ResponseWriter, *http.Request) bool
		text   string // how the error begins
		hint   string
	}{
		{"no bucket", refuse(every, 404, "NoSuchBucket", "The specified bucket does not exist"),
			bucket + "NoSuchBucket: The specified bucket does not exist (status 404, request REQUEST1)", "create the bucket"},
		{"wrong key", refuse(every, 403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
			bucket + "InvalidAccessKeyId: ", "check the access key"},
		{"wrong secret", refuse(every, 403, "SignatureDoesNotMatch", "The request signature we calculated does not match"),
			bucket + "SignatureDoesNotMatch: ", "check the access key"},
		{"expired", refuse(every, 400, "ExpiredToken", "The provided token has expired."),
			bucket + "ExpiredToken: The provided token has expired (", "have expired"},
		{"clock", refuse(every, 403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
			bucket + "RequestTimeTooSkewed: ", "clock"},
		{"overloaded", refuse(every, 503, "SlowDown", "Please reduce your request rate."),
			bucket + "SlowDown: ", "run again later"},
		{"wrong endpoint", refuse(every, 301, "PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint."),
			bucket + "PermanentRedirect: ", "sink.s3.region"},
		{"may not list", refuse(has("GET", "list-type"), 403, "AccessDenied", "Access Denied"),
			bucket + "AccessDenied: Access Denied (", "these credentials s3:ListBucket on arn:aws:s3:::lake"},
		{"may not write", refuse(plain("PUT"), 403, "AccessDenied", "Access Denied"),
			"changing a file: s3://lake/some/folder/_fhirkiln/probe.json: AccessDenied", "these credentials s3:PutObject on arn:aws:s3:::lake/some/folder/*"},
		{"may not read", refuse(plain("GET"), 403, "AccessDenied", "Access Denied"),
			"reading a file: s3://lake/some/folder/_fhirkiln/probe.json: AccessDenied", "these credentials s3:GetObject"},
		{"may not remove", refuse(plain("DELETE"), 403, "AccessDenied", "Access Denied"),
			"removing a part: s3://lake/some/folder/_fhirkiln/probe.part: AccessDenied", "these credentials s3:DeleteObject"},
		{"may not begin uploads", refuse(has("POST", "uploads"), 403, "AccessDenied", "Access Denied"),
			"creating a part: s3://lake/some/folder/_fhirkiln/probe.part: AccessDenied", "these credentials s3:PutObject"},
		{"may not list chunks", refuse(has("GET", "uploadId"), 403, "AccessDenied", "Access Denied"),
			"confirming a part: s3://lake/some/folder/_fhirkiln/probe.part: AccessDenied", "these credentials s3:ListMultipartUploadParts"},
		{"may not list uploads", refuse(has("GET", "uploads"), 403, "AccessDenied", "Access Denied"),
			"removing a part: s3://lake/some/folder/_fhirkiln/probe.part: AccessDenied", "these credentials s3:ListBucketMultipartUploads on arn:aws:s3:::lake"},
		{"no KMS key", refuse(plain("PUT"), 400, "KMS.NotFoundException", "Key 'arn:aws:kms:eu-central-1:1:key/x' does not exist"),
			"changing a file: s3://lake/some/folder/_fhirkiln/probe.json: KMS.NotFoundException: Key 'arn", "KMS key"},
		{"no right on the KMS key", refuse(has("PUT", "uploadId"), 403, "AccessDenied", "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: kms:GenerateDataKey on this resource"),
			"writing a part: s3://lake/some/folder/_fhirkiln/probe.part: AccessDenied: User: arn", "kms:GenerateDataKey and kms:Decrypt"},
		{"no conditions at all", func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Del("If-Match")
			r.Header.Del("If-None-Match")
			return false
		}, "testing conditional writes: s3://lake/some/folder/_fhirkiln/probe.json: the store ignores If-None-Match: *", "conditional writes"},
		{"no If-Match", func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Del("If-Match")
			return false
		}, "testing conditional writes: s3://lake/some/folder/_fhirkiln/probe.json: the store ignores If-Match", "conditional writes"},
		{"not the SDK's checksums", refuse(plain("PUT"), 501, "NotImplemented", "A header you provided implies functionality that is not implemented."),
			"changing a file: s3://lake/some/folder/_fhirkiln/probe.json: NotImplemented: ", "sink.s3.checksums: required"},
		{"no answer", func(w http.ResponseWriter, _ *http.Request) bool { panic(http.ErrAbortHandler) },
			bucket + "EOF", "sink.s3.endpoint"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeS3(t)
			f.intercept(tt.before)
			_, err := sink.OpenS3(t.Context(), f.options())
			wantS3Error(t, err, tt.text, tt.hint)
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		f := newFakeS3(t)
		f.Close()
		_, err := sink.OpenS3(t.Context(), f.options())
		wantS3Error(t, err, bucket+"dial tcp 127.0.0.1:", "check the endpoint")
	})
	t.Run("no such host", func(t *testing.T) {
		t.Parallel()
		o := fakeOptions("http://store..invalid") // not a valid name, so no DNS server is asked
		_, err := sink.OpenS3(t.Context(), o)
		wantS3Error(t, err, bucket+"dial tcp: lookup store..invalid: no such host", "check the endpoint")
	})
}

// Hints name the section that the settings come from.
func TestHintsNameTheSection(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	f.intercept(refuse(every, 301, "PermanentRedirect", "elsewhere"))
	o := f.options()
	o.Section = "state.s3"
	_, err := sink.OpenS3(t.Context(), o)
	wantS3Error(t, err, "opening the bucket: ", "(state.s3.region) or endpoint (state.s3.endpoint)")
	o.ChunkBytes = 1
	_, err = sink.OpenS3(t.Context(), o)
	wantS3Error(t, err, "opening the bucket: ", "settings (state.s3)")
}

func wantS3Error(t *testing.T, err error, text, hint string) {
	t.Helper()
	var e *sink.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no sink.Error", err)
	}
	if !strings.HasPrefix(err.Error(), text) {
		t.Errorf("the error is %q, want %q", err, text)
	}
	if !strings.Contains(e.Hint, hint) {
		t.Errorf("the hint is %q, want %q in it", e.Hint, hint)
	}
	for _, noise := range []string{"operation error", "https response error", "http://", "?", "SECRET", "\n"} {
		if strings.Contains(err.Error(), noise) {
			t.Errorf("%q says %q", err, noise)
		}
	}
}

// Another process that opens the bucket at the same moment aborts the upload that this one
// tests with. Stores differ in what they answer then.
func TestOpenS3BesideAnother(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		code   string
	}{{404, "NoSuchUpload"}, {400, "InvalidPart"}} {
		f := newFakeS3(t)
		var times atomic.Int32
		f.before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost || !r.URL.Query().Has("uploadId") || times.Add(1) > 1 {
				return false
			}
			return refuse(every, tt.status, tt.code, "another process has just aborted it")(w, r)
		}
		if _, err := sink.OpenS3(t.Context(), f.options()); err != nil {
			t.Errorf("%s: %v", tt.code, err)
		}
		if n := times.Load(); n != 2 {
			t.Errorf("%s: completed %d times, want 2", tt.code, n)
		}
	}
}

// S3 finds the right region, whichever was configured.
func TestS3GoesToTheBucketsRegion(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]func(w http.ResponseWriter){
		"a header": func(w http.ResponseWriter) {
			w.Header().Set("X-Amz-Bucket-Region", "us-west-2")
			fakeError(w, 301, "PermanentRedirect", "another endpoint")
		},
		"a message": func(w http.ResponseWriter) {
			fakeError(w, 400, "AuthorizationHeaderMalformed", "The authorization header is malformed; the region 'eu-central-1' is wrong; expecting 'us-west-2'")
		},
	} {
		f := newFakeS3(t)
		f.intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.Header.Get("Authorization"), "/us-west-2/s3/") {
				return false
			}
			io.Copy(io.Discard, r.Body)
			wrong(w)
			return true
		})
		if _, err := sink.OpenS3(t.Context(), f.options()); err != nil {
			t.Errorf("by %s: %v", name, err)
		}
	}
	f := newFakeS3(t)
	f.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Amz-Bucket-Region", "us-west-2")
		fakeError(w, 301, "PermanentRedirect", "another endpoint")
		return true
	})
	_, err := sink.OpenS3(t.Context(), f.options())
	wantS3Error(t, err, "opening the bucket: s3://lake/some/folder: PermanentRedirect", "us-west-2")
}

// A conflict with another conditional write is not a failed condition.
func TestSwapTriesAgainAfterAConflict(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	s := openS3(t, f.options())
	var conflicts atomic.Int32
	f.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		return conflicts.Add(1) <= 2 && refuse(plain("PUT"), 409, "ConditionalRequestConflict", "another write is under way")(w, r)
	})
	if _, err := s.Swap(t.Context(), "a/state.json", []byte("1"), ""); err != nil {
		t.Error(err)
	}
	if conflicts.Load() != 3 {
		t.Errorf("%d requests", conflicts.Load())
	}
}

// ReadS3 needs no permission to write.
func TestReadS3WritesNothing(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	if err := openS3(t, f.options()).Put(t.Context(), "a/x.json", []byte("x")); err != nil {
		t.Fatal(err)
	}
	f.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return false
		}
		t.Errorf("%s %s", r.Method, r.URL)
		fakeError(w, 403, "AccessDenied", "Access Denied")
		return true
	})
	s, err := sink.ReadS3(t.Context(), f.options())
	if err != nil {
		t.Fatal(err)
	}
	if content, _, err := s.Load(t.Context(), "a/x.json"); err != nil || string(content) != "x" {
		t.Errorf("read %q, %v", content, err)
	}
	if s.String() != "s3://lake/some/folder" {
		t.Errorf("String is %s", s)
	}
}
