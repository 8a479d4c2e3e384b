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

// byPatient puts lines together that are about the same patient; they stay in their order.
// A line about no patient stands for itself.
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

// patientOf is the id of the patient that a resource is about, or its own id if it says of
// none: so a Patient goes with what is about them.
func patientOf(line []byte) []byte {
	for _, before := range []string{`"subject":{"reference":"`, `"patient":{"reference":"`, `"id":"`} {
		if _, rest, ok := bytes.Cut(line, []byte(before)); ok {
			id, _, _ := bytes.Cut(rest, []byte(`"`))
			return id[bytes.LastIndexAny(id, "/:")+1:]
		}
	}
	return line
}

// inOrderOf are people in the order that the nth copy has. It is the same in files of all types.
func inOrderOf(people []person, n uint64) []person {
	return slices.SortedStableFunc(slices.Values(people), func(a, b person) int {
		return cmp.Compare(mix(a.key^mix(n)), mix(b.key^mix(n)))
	})
}

// inAnyOrder is an input of one file with its lines shuffled, as those of an export are that
// comes in the order of ids.
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

// shuffle writes all lines of a text, in an order that follows from how many they are.
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
