package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fhirkiln/bulk/bulktest/population"
)

// inputsVersion must change whenever this package makes different inputs from the same
// resources, so that old inputs are no longer found.
const inputsVersion = 3

// placeInputs sets where in the cache inputs are, keyed by what they are made of.
func (b *bench) placeInputs() error {
	made, err := generatorVersion()
	if err != nil {
		return err
	}
	b.madeIn = filepath.Join(b.cache, "generated-"+made)
	asked := b.samples != ""
	if !asked {
		b.samples = filepath.Join(b.root, "..", "shared", "data", "synthea")
	}
	names, err := sampleFiles(b.samples)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		if asked {
			return fmt.Errorf("-samples %s: no *.ndjson.gz files", b.samples)
		}
		fmt.Fprintf(os.Stderr, "No sample data in %s: leaving out the rows \"real …\".\n", b.samples)
		return nil
	}
	real, err := samplesVersion(names)
	if err != nil {
		return err
	}
	b.realIn = filepath.Join(b.cache, "real-"+real)
	for _, t := range goalTypes {
		if slices.ContainsFunc(names, func(name string) bool { return sampleType(name) == t }) {
			b.realTypes = append(b.realTypes, t)
			continue
		}
		fmt.Fprintf(os.Stderr, "No %s in %s: leaving out the rows \"real %s\".\n", t, b.samples, t)
	}
	b.realTypes = append(b.realTypes, "")
	return nil
}

// generatorVersion hashes what the generator makes for a few people, which differs after a
// change to the generator.
func generatorVersion() (string, error) {
	const few = 20
	h := newVersion()
	world := population.New(population.Options{Seed: seed, Patients: few, PatientsPerFile: few})
	for _, f := range world.Files() {
		r, err := world.Open(f.Type, 0, few)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, r)
		r.Close()
		if err != nil {
			return "", err
		}
	}
	return versionOf(h), nil
}

// samplesVersion hashes the names and sizes of files.
func samplesVersion(names []string) (string, error) {
	h := newVersion()
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, filepath.Base(name), info.Size())
	}
	return versionOf(h), nil
}

func newVersion() hash.Hash {
	h := sha256.New()
	fmt.Fprintln(h, inputsVersion)
	return h
}

func versionOf(h hash.Hash) string { return fmt.Sprintf("%x", h.Sum(nil)[:6]) }

// sampleFiles returns the files of sample data in a folder, which may be missing.
func sampleFiles(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".ndjson.gz") {
			names = append(names, filepath.Join(folder, e.Name()))
		}
	}
	return names, nil
}

// sampleType returns the resource type of a file, TYPE.ndjson.gz or TYPE-2.ndjson.gz.
func sampleType(name string) string {
	t, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(name), ".ndjson.gz"), "-")
	return t
}

// make writes a file unless it exists. The file appears only when it is complete.
func (b *bench) make(ctx context.Context, path string, write func(io.Writer) error) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(b.scratch, "input")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // already renamed on success
	defer f.Close()
	w := bufio.NewWriterSize(writerUntil{ctx, f}, 1<<20)
	if err := errors.Join(write(w), w.Flush(), f.Close()); err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// writerUntil is a writer that fails once its context is done.
type writerUntil struct {
	ctx context.Context
	w   io.Writer
}

func (u writerUntil) Write(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.w.Write(p)
}
