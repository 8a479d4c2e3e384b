package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"fhirkiln/bulk/bulktest/population"
)

// input is NDJSON on disk.
type input struct {
	name  string
	files []inputFile
	bytes int64
}

// inputFile is resources of one type.
type inputFile struct{ resourceType, path string }

func (in *input) paths() []string {
	var all []string
	for _, f := range in.files {
		all = append(all, f.path)
	}
	return all
}

// megabytesPer is how fast an input goes, in units of 10^6 bytes.
func (in *input) megabytesPer(seconds float64) float64 { return float64(in.bytes) / 1e6 / seconds }

// seed is that of the generator's world.
const seed = 1

// goalTypes are the resource types that goals are about.
var goalTypes = []string{"Observation", "ExplanationOfBenefit", "Claim", "Encounter"}

// mixName begins the names of inputs of several types.
const mixName = "a day's mix"

// inputs are one for each of the goals' types and a day's mix; the same of real data, if
// that is there; and a mix with all that real servers add to resources.
func (b *bench) inputs(ctx context.Context) ([]*input, error) {
	var all []*input
	add := func(in *input, err error) error {
		if err == nil {
			all = append(all, in)
		}
		return err
	}
	for _, t := range goalTypes {
		if err := add(b.generated(ctx, t, b.mb)); err != nil {
			return nil, err
		}
	}
	if err := add(b.mix(ctx, b.mb)); err != nil {
		return nil, err
	}
	for _, t := range b.realTypes {
		if err := add(b.real(ctx, t)); err != nil {
			return nil, err
		}
	}
	err := add(b.wider(ctx))
	return all, err
}

// generated is a file of one type.
func (b *bench) generated(ctx context.Context, resourceType string, mb int) (*input, error) {
	path := filepath.Join(b.madeIn, fmt.Sprintf("%s-%d.ndjson", resourceType, mb))
	err := b.make(ctx, path, func(w io.Writer) error { return generate(w, resourceType, int64(mb)*1e6) })
	return newInput(ctx, resourceType, []inputFile{{resourceType, path}}, err)
}

// generate writes whole patients' resources until there are so many bytes.
func generate(w io.Writer, resourceType string, size int64) error {
	const most, step = 1 << 30, 50 // patients
	world := population.New(population.Options{Seed: seed, Patients: most})
	for from := 0; size > 0; from += step {
		r, err := world.Open(resourceType, from, from+step)
		if err != nil {
			return err
		}
		n, err := io.Copy(w, r)
		r.Close()
		if err != nil {
			return err
		}
		size -= n
	}
	return nil
}

// bytesOfPatient is how much the generator has of a patient, of all types.
const bytesOfPatient = 120_000

// mix is a folder as a server exports it, of all types.
func (b *bench) mix(ctx context.Context, mb int) (*input, error) {
	patients := mb*1e6/bytesOfPatient + 1
	world := population.New(population.Options{Seed: seed, Patients: patients, PatientsPerFile: patients})
	folder := filepath.Join(b.madeIn, fmt.Sprintf("mix-%d", mb))
	var files []inputFile
	for _, f := range world.Files() {
		file := inputFile{f.Type, filepath.Join(folder, f.Type+".ndjson")}
		err := b.make(ctx, file.path, func(w io.Writer) error {
			r, err := world.Open(f.Type, 0, patients)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.Copy(w, r)
			return err
		})
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return newInput(ctx, mixName, files, nil)
}

// newInput reads files once, so that they are in the page cache.
func newInput(ctx context.Context, name string, files []inputFile, err error) (*input, error) {
	if err != nil {
		return nil, err
	}
	in := &input{name: name, files: slices.Clone(files)}
	for _, file := range files {
		f, err := os.Open(file.path)
		if err != nil {
			return nil, err
		}
		n, err := io.Copy(writerUntil{ctx, io.Discard}, struct{ io.Reader }{f}) // not by a copy within the kernel
		f.Close()
		if err != nil {
			return nil, err
		}
		in.bytes += n
	}
	return in, nil
}
