package columnar_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirkiln/columnar"
)

// copied copies the rows of parts into new parts, as many as it takes.
func copied(t failer, o columnar.Options, parts ...finishedPart) []finishedPart {
	t.Helper()
	var all []finishedPart
	m := memory{}
	o.Create = m.create
	w := columnar.NewWriter(o)
	for _, p := range parts {
		r, err := columnar.NewReader(bytes.NewReader(p.parquet), int64(len(p.parquet)))
		if err != nil {
			t.Fatalf("opening a part: %v", err)
		}
		for rows := int64(0); ; {
			n, err := w.Copy(t.Context(), r)
			if err != nil {
				t.Fatalf("copying: %v", err)
			}
			rows += n
			if !w.Full() {
				if rows != p.Rows {
					t.Errorf("Copy says %d rows, the part has %d", rows, p.Rows)
				}
				break
			}
			all = append(all, m.finish(t, w)...)
			m = memory{}
			o.Create = m.create
			w = columnar.NewWriter(o)
		}
		if err := r.Close(); err != nil {
			t.Errorf("closing a part: %v", err)
		}
	}
	return append(all, m.finish(t, w)...)
}

// TestCopy checks that copying gives the same file again, with every value, every null and the
// origin, for every type and for all kinds of odd JSON.
func TestCopy(t *testing.T) {
	t.Parallel()
	for _, name := range everyType() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lines []string
			for seed := range uint64(3) {
				lines = append(lines, newGenerator(seed, 0.3).resource(name), newGenerator(seed, 1).nasty(name, 4))
			}
			parts, _ := convert(t, columnar.Options{Quarantine: new(quarantine).take}, strings.NewReader(strings.Join(lines, "\n")))
			for _, p := range parts {
				again := copied(t, columnar.Options{}, p)
				if len(again) != 1 || !bytes.Equal(again[0].parquet, p.parquet) {
					t.Errorf("a copy of %s differs: %s", p.ResourceType, cmp.Diff(texts(rows(t, p)), texts(rows(t, again[0]))))
				}
			}
		})
	}
}

func TestCopyOfTombstones(t *testing.T) {
	t.Parallel()
	parts, _, _ := bury(t, columnar.Options{}, bundle(deletion("Patient/1"), deletion("http://h/Claim/2/_history/3"))+"\n"+resourceLine)
	if again := copied(t, columnar.Options{}, parts...); len(again) != 1 || !bytes.Equal(again[0].parquet, parts[0].parquet) {
		t.Error("a copy of tombstones differs")
	}
}

// A tombstone Writer makes one part, of tombstones: it copies those, and nothing else.
func TestCopyToTombstoneWriter(t *testing.T) {
	t.Parallel()
	dead, _, _ := bury(t, columnar.Options{}, bundle(deletion("Patient/1")))
	live, _ := convert(t, columnar.Options{}, strings.NewReader(resourceLine))
	m := memory{}
	w := columnar.NewTombstoneWriter(columnar.Options{Create: m.create})
	copyOf := func(p finishedPart) (int64, error) {
		r, err := columnar.NewReader(bytes.NewReader(p.parquet), p.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		return w.Copy(t.Context(), r)
	}
	if n, err := copyOf(dead[0]); n != 1 || err != nil {
		t.Errorf("of tombstones, %d are copied, error %v", n, err)
	}
	if again := m.finish(t, w); len(again) != 1 || !bytes.Equal(again[0].parquet, dead[0].parquet) {
		t.Error("a copy of tombstones differs")
	}
	m = memory{}
	w = columnar.NewTombstoneWriter(columnar.Options{Create: m.create})
	if n, err := copyOf(live[0]); n != 0 || err == nil || !strings.Contains(err.Error(), "Patient") || len(m) > 0 {
		t.Errorf("of Patients, %d are copied into %d parts, error %v", n, len(m), err)
	}
	if stats, err := w.Close(); stats != nil || err == nil {
		t.Errorf("Close returns %+v, %v", stats, err)
	}
}

const resourceLine = `{"resourceType":"Patient","id":"x","active":true}`

// TestCopyMerges checks that the rows of several parts come in order, each with its own origin, in
// parts and row groups of the requested size.
func TestCopyMerges(t *testing.T) {
	t.Parallel()
	var parts []finishedPart
	var want []string
	for n := range 5 {
		m := memory{}
		w := columnar.NewWriter(columnar.Options{Create: m.create})
		from := origin
		from.Run, from.TransactionTime = fmt.Sprintf("r%d", n), ""
		if _, err := w.Append(t.Context(), columnar.NewLines(strings.NewReader(strings.Join(patients(100), "\n")), 0), &from); err != nil {
			t.Fatal(err)
		}
		p := m.finish(t, w)[0]
		parts = append(parts, p)
		want = append(want, texts(rows(t, p))...)
	}
	for _, tt := range []struct {
		o                  columnar.Options
		minParts, maxParts int
	}{
		{columnar.Options{}, 1, 1},
		{columnar.Options{RowGroupBytes: 2000}, 1, 1},
		{columnar.Options{RowGroupBytes: 2000, TargetBytes: 20_000}, 2, 500},
	} {
		again := copied(t, tt.o, parts...)
		if len(again) < tt.minParts || len(again) > tt.maxParts {
			t.Errorf("%+v: %d parts", tt.o, len(again))
		}
		var got []string
		for _, p := range again {
			got = append(got, texts(rows(t, p))...)
			check(t, p)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v: rows (-want +got):\n%.2000s", tt.o, diff)
		}
	}
}

func TestCopyIsCanceled(t *testing.T) {
	t.Parallel()
	parts, _ := convert(t, columnar.Options{}, strings.NewReader(resourceLine))
	r, err := columnar.NewReader(bytes.NewReader(parts[0].parquet), int64(len(parts[0].parquet)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := columnar.NewWriter(columnar.Options{Create: memory{}.create}).Copy(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// texts returns rows as text.
func texts(rows []row) []string {
	var all []string
	for _, r := range rows {
		one := map[string]string{}
		for path := range r {
			one[path] = r.text(path)
		}
		all = append(all, fmt.Sprint(one))
	}
	return all
}
