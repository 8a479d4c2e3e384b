package columnar_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"fhirkiln/columnar"
)

const claims = `{"resourceType":"Patient","id":"p1","birthDate":"1970-01-31"}
{"resourceType":"Claim","id":"c1","patient":{"reference":"Patient/p1"}}
{"resourceType":"Patient","id":"p2","active":true}
`

// NDJSON in memory becomes Parquet in memory, and NDJSON again.
func Example() {
	parts, err := toParquet(context.Background(), strings.NewReader(claims), "claims.ndjson")
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range parts {
		fmt.Println(p.stats.ResourceType, p.stats.Rows)
		if err := toNDJSON(os.Stdout, p.parquet); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// Claim 1
	// {"resourceType":"Claim","id":"c1","patient":{"reference":"Patient/p1"}}
	// Patient 2
	// {"resourceType":"Patient","id":"p1","birthDate":"1970-01-31"}
	// {"resourceType":"Patient","id":"p2","active":true}
}

type parquetPart struct {
	stats   columnar.PartStats
	parquet []byte
}

// toParquet converts a file to parts: one for each resource type, or several if they get large.
func toParquet(ctx context.Context, ndjson io.Reader, name string) ([]parquetPart, error) {
	var parts []parquetPart
	lines := columnar.NewLines(ndjson, 0)
	for {
		buffers := map[string]*bytes.Buffer{}
		w := columnar.NewWriter(columnar.Options{Create: func(_ context.Context, resourceType string) (io.Writer, error) {
			buffers[resourceType] = new(bytes.Buffer)
			return buffers[resourceType], nil
		}})
		if _, err := w.Append(ctx, lines, &columnar.Origin{File: name}); err != nil {
			return nil, err
		}
		stats, err := w.Close()
		if err != nil {
			return nil, err
		}
		for _, s := range stats {
			parts = append(parts, parquetPart{s, buffers[s.ResourceType].Bytes()})
		}
		if !w.Full() { // lines has no more
			return parts, nil
		}
	}
}

// toNDJSON writes the resources of a part.
func toNDJSON(to io.Writer, parquet []byte) error {
	r, err := columnar.NewReader(bytes.NewReader(parquet), int64(len(parquet)))
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		resource, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(to, "%s\n", resource); err != nil {
			return err
		}
	}
}
