package columnar_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"strings"

	"fhirkiln/columnar"
)

// A deleted file becomes one part, with a row for each deletion. What is no deletion goes to
// Quarantine.
func ExampleNewTombstoneWriter() {
	const deleted = `{"resourceType":"Bundle","type":"transaction","entry":[` +
		`{"request":{"method":"DELETE","url":"Patient/p1"}},` +
		`{"request":{"method":"PUT","url":"Patient/p2"}},` +
		`{"request":{"method":"DELETE","url":"Claim/c1"}}]}`
	var parquet bytes.Buffer
	w := columnar.NewTombstoneWriter(columnar.Options{
		Create: func(context.Context, string) (io.Writer, error) { return &parquet, nil },
		Quarantine: func(_ context.Context, q columnar.Quarantined) error {
			fmt.Println("quarantined:", q.Line, string(q.Bytes))
			return nil
		},
	})
	lines := columnar.NewLines(strings.NewReader(deleted), 0)
	if _, err := w.Append(context.Background(), lines, &columnar.Origin{File: "deleted.ndjson"}); err != nil {
		log.Fatal(err)
	}
	stats, err := w.Close() // if w.Full(), go on with another Writer, as in the package's example
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range stats {
		fmt.Println(s.ResourceType, s.Rows)
	}
	// Output:
	// quarantined: 1 {"request":{"method":"PUT","url":"Patient/p2"}}
	// deleted 2
}

// The schema of a layout's files, with field ids.
func ExampleLayout_Text() {
	fmt.Print(columnar.LayoutOf(columnar.Deleted).Text())
	// Output:
	// message deleted {
	//   required binary resourceType (STRING) = 1;
	//   optional binary id (STRING) = 2;
	//   optional binary url (STRING) = 3;
	//   optional binary __residual (STRING) = 4;
	//   optional group __origin = 5 {
	//     optional binary source (STRING) = 6;
	//     optional binary feed (STRING) = 7;
	//     optional binary run (STRING) = 8;
	//     optional binary file (STRING) = 9;
	//     optional int64 line = 10;
	//     optional binary transactionTime (STRING) = 11;
	//   }
	// }
}
