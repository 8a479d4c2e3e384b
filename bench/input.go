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

// inputFile holds resources of one type.
type inputFile struct{ resourceType, path string }

func (in *input) paths() []string {
	var all []string
	for _, f := range in.files {
		all = append(all, f.path)
	}
	return all
}

// megabytesPer returns the speed in MB/s, 10^6 bytes each, if the input takes so many seconds.
func (in *input) megabytesPer(seconds float64) float64 { return float64(in.bytes) / 1e6 / seconds }

// seed is the seed of the generator.
const seed = 1

// goalTypes are the resource types that have goals.
var goalTypes = []string{"Observation", "ExplanationOfBenefit", "Claim", "Encounter"}

// mixName begins the names of inputs of several types.
const mixName = "a day's mix"

// inputs returns one input for each goal type, and a day's mix; the same from real data, if
// present; and a mix with everything that real servers add to resources.
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

// generated returns an input of generated resources of one type.
func (b *bench) generated(ctx context.Context, resourceType string, mb int) (*input, error) {
	path := filepath.Join(b.madeIn, fmt.Sprintf("%s-%d.ndjson", resourceType, mb))
	err := b.make(ctx, path, func(w io.Writer) error { return generate(w, resourceType, int64(mb)*1e6) })
	return newInput(ctx, resourceType, []inputFile{{resourceType, path}}, err)
}

// generate writes the resources of whole patients until there are at least size bytes.
func generate(w io.Writer, resourceType string, size int64) error {
	const maxPatients, step = 1 << 30, 50
	world := population.New(population.Options{Seed: seed, Patients: maxPatients})
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

// bytesOfPatient is about how many bytes the generator makes for a patient, over all types.
const bytesOfPatient = 120_000

// mix returns an input of all types, one file each, as a server exports them.
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

// newInput returns an input of files. It reads them once, so that they are in the page cache.
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
		n, err := io.Copy(writerUntil{ctx, io.Discard}, struct{ io.Reader }{f}) // hides f.WriteTo: no copy within the kernel
		f.Close()
		if err != nil {
			return nil, err
		}
		in.bytes += n
	}
	return in, nil
}
