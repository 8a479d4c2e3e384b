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

// inputsVersion is another number whenever this package makes other inputs of the same
// resources: inputs of before are then no longer found.
const inputsVersion = 3

// placeInputs says where in the cache inputs are, by what they are made of.
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
			return fmt.Errorf("-samples %s: there is no *.ndjson.gz", b.samples)
		}
		fmt.Fprintf(os.Stderr, "There is no sample data in %s: rows \"real …\" are left out.\n", b.samples)
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
		fmt.Fprintf(os.Stderr, "There is no %s in %s: rows \"real %s\" are left out.\n", t, b.samples, t)
	}
	b.realTypes = append(b.realTypes, "")
	return nil
}

// generatorVersion is of what the generator makes of a few people: a generator that was
// changed makes something else of them.
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

// samplesVersion is of the names and sizes of files.
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

// sampleFiles are the files of sample data in a folder, which need not be there.
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

// sampleType is the resource type of a file, TYPE.ndjson.gz or TYPE-2.ndjson.gz.
func sampleType(name string) string {
	t, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(name), ".ndjson.gz"), "-")
	return t
}

// make writes a file unless it is there. It is there when it is whole.
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
	defer func() { _ = os.Remove(f.Name()) }() // which is not there any more when all went well
	defer f.Close()
	w := bufio.NewWriterSize(writerUntil{ctx, f}, 1<<20)
	if err := errors.Join(write(w), w.Flush(), f.Close()); err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// writerUntil writes until a context is done.
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
