package setup

import (
	"path/filepath"
	"testing"
	"time"

	"fhirkiln/config"
)

// Feeds of one source share its client and take turns; all feeds share the cores.
func TestSession(t *testing.T) {
	t.Parallel()
	lake := filepath.Join(t.TempDir(), "lake")
	source := func(name string) config.Source {
		return config.Source{Name: name, FHIR: "https://h/r4", Auth: config.Auth{Type: config.AuthNone}, Poll: config.Poll{Deadline: time.Hour}, Exports: 1}
	}
	cfg := &config.Config{
		Sources: map[string]config.Source{"bison": source("bison"), "elk": source("elk")},
		Sink:    config.Sink{URL: lake},
		State:   config.State{URL: lake, LeaseTTL: time.Minute},
	}
	s, err := Open(t.Context(), cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.State != s.Parts {
		t.Error("one URL has two places")
	}
	members, err := s.RunOptions(config.Feed{Name: "members", Source: "bison"})
	if err != nil {
		t.Fatal(err)
	}
	clinical, _ := s.RunOptions(config.Feed{Name: "clinical", Source: "bison"})
	other, _ := s.RunOptions(config.Feed{Name: "other", Source: "elk"})
	if members.Server != clinical.Server || members.Server == other.Server {
		t.Error("clients are not one for each source")
	}
	if members.Cores != other.Cores || members.ExportDeadline != 7*time.Hour || members.MaxQuarantined != -1 {
		t.Errorf("got %+v", members)
	}
	done, err := members.Turn(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if free, err := other.Turn(t.Context(), false); err != nil {
		t.Error(err)
	} else {
		free()
	}
	if s.sources["bison"].turns.taken != 1 || s.sources["elk"].turns.taken != 0 {
		t.Error("sources do not have turns of their own")
	}
	done()
	if _, err := s.RunOptions(config.Feed{Name: "lost", Source: "moose"}); err == nil {
		t.Error("a feed of no source has options")
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := &config.Config{Sink: config.Sink{URL: filepath.Join(dir, "lake")}, State: config.State{URL: filepath.Join(dir, "state")}}
	if p, err := ReadPlaces(t.Context(), cfg, Options{}); err == nil {
		p.Close()
		t.Error("folders that are not there can be read")
	}
	p, err := OpenPlaces(t.Context(), cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Parts.String() != cfg.Sink.URL || p.State.String() != cfg.State.URL {
		t.Errorf("parts in %s, state in %s", p.Parts, p.State)
	}
	if _, err := OpenPlace(t.Context(), "s3://%zz", config.S3{}, Options{}); err == nil {
		t.Error("a URL that is none can be opened")
	}
}
