package main

import (
	"bytes"
	"cmp"
	"context"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
)

// person is the lines of NDJSON about one patient.
type person struct {
	key   uint64
	lines []byte
}

// byPatient groups lines that are about the same patient and keeps their order. A line about no
// patient is a group of its own.
func byPatient(text []byte) []person {
	var people []person
	places := map[uint64]int{}
	for line := range bytes.Lines(text) {
		h := fnv.New64a()
		_, _ = h.Write(patientOf(line))
		key := h.Sum64()
		at, ok := places[key]
		if !ok {
			at = len(people)
			places[key] = at
			people = append(people, person{key: key})
		}
		people[at].lines = append(people[at].lines, line...)
	}
	return people
}

// patientOf returns the id of the patient that a resource is about, or the resource's own id if
// it names none. So a Patient is grouped with the resources about them.
func patientOf(line []byte) []byte {
	for _, before := range []string{`"subject":{"reference":"`, `"patient":{"reference":"`, `"id":"`} {
		if _, rest, ok := bytes.Cut(line, []byte(before)); ok {
			id, _, _ := bytes.Cut(rest, []byte(`"`))
			return id[bytes.LastIndexAny(id, "/:")+1:]
		}
	}
	return line
}

// inOrderOf returns people in the order of the nth copy, which is the same in files of all types.
func inOrderOf(people []person, n uint64) []person {
	return slices.SortedStableFunc(slices.Values(people), func(a, b person) int {
		return cmp.Compare(mix(a.key^mix(n)), mix(b.key^mix(n)))
	})
}

// inAnyOrder returns a single-file input with its lines shuffled, like an export that is
// sorted by id.
func (b *bench) inAnyOrder(ctx context.Context, in *input) (*input, error) {
	file := in.files[0]
	path := strings.TrimSuffix(file.path, ".ndjson") + "-shuffled.ndjson"
	err := b.make(ctx, path, func(w io.Writer) error {
		text, err := os.ReadFile(file.path)
		if err != nil {
			return err
		}
		return shuffle(w, text)
	})
	return newInput(ctx, in.name+", lines in any order", []inputFile{{file.resourceType, path}}, err)
}

// shuffle writes all lines of text in an order that depends only on their number.
func shuffle(w io.Writer, text []byte) error {
	lines := slices.Collect(bytes.Lines(text))
	rand.New(rand.NewPCG(seed, uint64(len(lines)))).Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	for _, line := range lines {
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}
