package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"fhirkiln/sink"
)

// operations are the operations that work needs. Each may fail.
var operations = []string{
	"CreateMultipartUpload", "UploadPart", "ListParts", "CompleteMultipartUpload", "HeadObject",
	"PutObject", "GetObject", "ListObjectsV2",
}

// TestStoreFaultsThatPass checks that temporary faults have no effect.
func TestStoreFaultsThatPass(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil, nil, nil)
	for _, tt := range []struct {
		name       string
		do         func(http.ResponseWriter, *http.Request, http.Handler)
		operations []string
	}{
		{"500", ill, operations},
		{"SlowDown", slowDown, operations},
		{"reset midway", resetMidway, operations},
		{"answer lost", loseAnswer, operations},
		{"answer cut", cutAnswer, []string{"GetObject"}},
	} {
		for _, operation := range tt.operations {
			t.Run(operation+": "+tt.name, func(t *testing.T) {
				t.Parallel()
				p := newProxy(t, g)
				o := g.options(g.bucket(t))
				o.Endpoint = p.URL
				s := openS3(t, o)
				// The first two requests fail, then every second one for a while.
				p.set(
					&fault{operation: operation, times: 2, do: tt.do},
					&fault{operation: operation, skip: 1, times: 1, do: tt.do},
					&fault{operation: operation, skip: 2, times: 1, do: tt.do},
				)
				w := newWork(1)
				if err := w.do(t.Context(), s); err != nil {
					t.Error(err)
				}
				if seen := p.set(); seen[operation] < 3 {
					t.Errorf("of %s there were %d requests alone", operation, seen[operation])
				}
				if err := w.check(t.Context(), s); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestStoreFaultsThatStay checks that permanent faults give a clear error, that nothing is
// half-published, and that a rerun repairs everything.
func TestStoreFaultsThatStay(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil, nil, nil)
	for _, tt := range []struct {
		name string
		do   func(http.ResponseWriter, *http.Request, http.Handler)
		text string
		hint string
	}{
		{"500", ill, "InternalError: We encountered an internal error. Please try again (status 500, request REQUEST1)", "later"},
		{"SlowDown", slowDown, "SlowDown: Please reduce your request rate (status 503, request REQUEST1)", "overloaded"},
		{"403", forbidden, "AccessDenied: Access Denied (status 403, request REQUEST1)", "s3:"},
		{"reset midway", resetMidway, "", "endpoint"},
	} {
		for _, operation := range operations {
			for skip := range 2 {
				if skip > 0 && tt.name != "403" { // a permission lost midway
					continue
				}
				t.Run(fmt.Sprintf("%s: %s after %d", operation, tt.name, skip), func(t *testing.T) {
					t.Parallel()
					p := newProxy(t, g)
					o := g.options(g.bucket(t))
					o.Endpoint, o.Attempts = p.URL, 3
					s := openS3(t, o)
					p.set(&fault{operation: operation, skip: skip, do: tt.do})
					first := newWork(1)
					err := first.do(t.Context(), s)
					p.set()
					switch {
					case err == nil && operation == "ListObjectsV2" && skip > 0: // work only has one
						return
					case err == nil:
						t.Error("there is no error")
					case operation == "HeadObject": // whose answers have no body
						wantStoreError(t, err, o, "", "")
					default:
						wantStoreError(t, err, o, tt.text, tt.hint)
					}
					onlyWholeParts(t, s, first)

					// Do what the next run does.
					for _, key := range first.keys() {
						if err := s.Discard(t.Context(), key); err != nil {
							t.Error(err)
						}
					}
					if err := newWork(2).do(t.Context(), s); err != nil {
						t.Errorf("the rerun: %v", err)
					}
				})
			}
		}
	}
}

func wantStoreError(t *testing.T, err error, o sink.S3Options, text, hint string) {
	t.Helper()
	var e *sink.Error
	if !errors.As(err, &e) {
		t.Errorf("%v is no sink.Error", err)
		return
	}
	if !strings.Contains(err.Error(), text) {
		t.Errorf("the error is %q, want %q in it", err, text)
	}
	if !strings.HasPrefix(e.Where, "s3://"+o.Bucket+"/"+o.Prefix) {
		t.Errorf("it was in %q", e.Where)
	}
	if e.Hint == "" || !strings.Contains(e.Hint, hint) {
		t.Errorf("the hint is %q, want %q in it", e.Hint, hint)
	}
	for _, secret := range []string{"?", "uploadId", gatewaySecret, o.Endpoint} {
		if strings.Contains(err.Error(), secret) || strings.Contains(e.Hint, secret) {
			t.Errorf("%q (%q) says %q", err, e.Hint, secret)
		}
	}
}

// onlyWholeParts checks that everything a reader finds is one of the attempt's parts, whole.
func onlyWholeParts(t *testing.T, s *sink.S3, w *work) {
	t.Helper()
	err := s.List(t.Context(), "r4-core-1/", func(key string, _ int64) error {
		content, ok := w.parts[key]
		if !ok {
			return fmt.Errorf("%s is there", key)
		}
		return whole(t.Context(), s, key, content)
	})
	if err != nil {
		t.Error(err)
	}
}

// TestStoreAnswersThatAreAllLost checks a store that does everything, but whose answers are lost.
func TestStoreAnswersThatAreAllLost(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil, nil, nil)
	p := newProxy(t, g)
	o := g.options(g.bucket(t))
	o.Endpoint, o.Attempts = p.URL, 3
	s := openS3(t, o)
	ctx := t.Context()

	staging, err := s.Stage(ctx, "a/p.parquet")
	if err != nil {
		t.Fatal(err)
	}
	staging.Write([]byte("content"))
	r, err := staging.Finish(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p.set(&fault{operation: "CompleteMultipartUpload", do: loseAnswer})
	if err := s.Publish(ctx, r); err != nil {
		t.Errorf("Publish: %v", err)
	}
	p.set()
	if err := whole(ctx, s, r.Key, []byte("content")); err != nil {
		t.Error(err)
	}

	// The upload is gone, since another process is completing it.
	p.set(
		&fault{operation: "CompleteMultipartUpload", do: answer(http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist.")},
		&fault{operation: "HeadObject", times: 2, do: answer(http.StatusNotFound, "", "")},
	)
	if err := s.Publish(ctx, r); err != nil {
		t.Errorf("Publish beside another: %v", err)
	}
	p.set()

	var v sink.Version
	for i := range 3 {
		p.set(&fault{operation: "PutObject", do: loseAnswer})
		content := fmt.Sprint("state ", i)
		if v, err = s.Swap(ctx, workState, []byte(content), v); err != nil {
			t.Fatalf("Swap: %v", err)
		}
		p.set()
		got, now, err := s.Load(ctx, workState)
		if err != nil || string(got) != content || now != v {
			t.Errorf("the state is %q at %q, not at %q: %v", got, now, v, err)
		}
	}

	// If the answer is lost and another process has changed the file, Swap says so.
	p.set(&fault{operation: "PutObject", times: 1, do: func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		io.Copy(io.Discard, r.Body)
		if _, err := openS3(t, g.options(o.Bucket)).Swap(ctx, workState, []byte("another's"), v); err != nil {
			t.Error(err)
		}
		drop(w)
	}})
	if _, err := s.Swap(ctx, workState, []byte("mine"), v); !errors.Is(err, sink.ErrChanged) {
		t.Errorf("Swap after another's: %v", err)
	}
	if got, _, err := s.Load(ctx, workState); err != nil || string(got) != "another's" {
		t.Errorf("the state is %q, %v", got, err)
	}

	// An upload whose id was lost is not left behind; bucket checks this.
	p.set(&fault{operation: "CreateMultipartUpload", times: 2, do: loseAnswer})
	staging, err = s.Stage(ctx, "a/q.parquet")
	if err != nil {
		t.Fatal(err)
	}
	if found := g.uploads(t, o.Bucket); len(found) != 1 {
		t.Errorf("uploads: %q", found)
	}
	if err := staging.Abort(ctx); err != nil {
		t.Error(err)
	}

	// A run without any permissions says so at each step.
	p.set(&fault{do: forbidden})
	for name, err := range map[string]error{
		"Put":     s.Put(ctx, "a/x.json", []byte("x")),
		"Remove":  s.Remove(ctx, r.Key),
		"Discard": s.Discard(ctx, r.Key),
		"Abort":   s.Abort(ctx, r),
		"Confirm": s.Confirm(ctx, r),
		"List":    s.List(ctx, "", func(string, int64) error { return nil }),
	} {
		if err == nil {
			t.Errorf("%s does not fail", name)
			continue
		}
		wantStoreError(t, err, o, "AccessDenied", "allow these credentials s3:")
	}
}
