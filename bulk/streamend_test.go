package bulk_test

import (
	"bytes"
	"io"
	"testing"

	"fhirkiln/bulk"
)

func TestStreamErrorsStay(t *testing.T) {
	t.Parallel()
	server, requests := script(t, cutFile(20, []byte(content), nil))
	s, err := clientAt(t, server.URL, attempts(1)).Open(t.Context(), &bulk.Manifest{}, bulk.File{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, first := io.ReadAll(s)
	_, again := s.Read(make([]byte, 1))
	if first == nil || again != first || string(got) != content[:20] || requests.Load() != 1 {
		t.Errorf("got %q, %v, then %v after %d requests", got, first, again, requests.Load())
	}
}

func TestStreamReadAfterTheEnd(t *testing.T) {
	t.Parallel()
	server, requests := script(t, file([]byte(content), nil))
	s, err := clientAt(t, server.URL).Open(t.Context(), &bulk.Manifest{}, bulk.File{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Read(nil); n != 0 || err != nil {
		t.Errorf("reading nothing gave %d, %v", n, err)
	}
	if got, err := io.ReadAll(s); string(got) != content || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for range 2 {
		if n, err := s.Read(make([]byte, 10)); n != 0 || err != io.EOF {
			t.Errorf("after the end: %d, %v", n, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if requests.Load() != 1 || s.Stats().XXH128 != xxh128(content) {
		t.Errorf("%d requests, %+v", requests.Load(), s.Stats())
	}
}

func TestStreamClosedEarly(t *testing.T) {
	t.Parallel()
	big := bytes.Repeat([]byte(content), 50_000)
	server, requests := script(t, file(big, nil))
	s, err := clientAt(t, server.URL).Open(t.Context(), &bulk.Manifest{}, bulk.File{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(s, make([]byte, 100)); err != nil {
		t.Error(err)
	}
	s.Close()
	if n, err := s.Read(make([]byte, 10)); n != 0 || err == nil || err == io.EOF || requests.Load() != 1 {
		t.Errorf("after Close: %d, %v, %d requests", n, err, requests.Load())
	}
}
