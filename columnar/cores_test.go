package columnar

import (
	"context"
	"io"
	"strings"
	"testing"
)

func TestCores(t *testing.T) {
	t.Parallel()
	c := NewCores(2)
	done := c.Use()
	if !c.tryTake() || c.tryTake() || c.crowded() {
		t.Error("of two cores, not one is to spare while one is used")
	}
	again := c.Use()
	if !c.crowded() || c.tryTake() {
		t.Error("three use two cores, and it is not crowded")
	}
	again()
	again()
	done()
	if !c.tryTake() || c.tryTake() {
		t.Error("of two cores, not one is to spare when others are done")
	}
	var none *Cores
	defer none.Use()()
	if none.tryTake() {
		t.Error("no cores have one to spare")
	}
}

// A helper gives way when others need its core. Append's own lane goes on.
func TestLanesGiveWay(t *testing.T) {
	t.Parallel()
	const ndjson = `{"resourceType":"Patient"}` + "\n" + `{"resourceType":"Patient"}`
	cores := NewCores(1)
	defer cores.Use()()
	defer cores.Use()()
	w := NewWriter(Options{Cores: cores, Create: func(context.Context, string) (io.Writer, error) { return io.Discard, nil }})
	lines := NewLines(strings.NewReader(ndjson), 0)
	in := &intake{w: w, lines: lines}
	in.run(t.Context(), newLane(w), true)
	if at := lines.Position(); at != (Position{}) || in.read.Resources != 0 || len(in.idle) != 1 {
		t.Errorf("the helper has done %+v, and %d lanes are idle", in.read, len(in.idle))
	}
	in.run(t.Context(), w.lanes[0], false)
	if in.read.Resources != 2 || in.err != nil {
		t.Errorf("Append's own lane has done %+v, %v", in.read, in.err)
	}
}

// A helper that has begun a row group gives way as soon as that row group is worth its cost.
// Otherwise a part would have row groups of one row.
func TestHelpersEndWhatTheyBegin(t *testing.T) {
	t.Parallel()
	const line, block, blocks = `{"resourceType":"Patient"}` + "\n", 100, 5
	cores := NewCores(1)
	defer cores.Use()()
	w := NewWriter(Options{Cores: cores, Create: func(context.Context, string) (io.Writer, error) { return io.Discard, nil },
		Each: func() func(string, []byte, []byte) {
			return func(string, []byte, []byte) { cores.Use() } // a worker comes with the first row
		}})
	w.laneBlocks = blocks
	lines := NewLines(strings.NewReader(strings.Repeat(line, 100)), 0)
	lines.SetBlock(block)
	in := &intake{w: w, lines: lines}
	helper := newLane(w)
	in.run(t.Context(), helper, true)
	if n := helper.pending; n < block*blocks || n >= block*(blocks+1) {
		t.Errorf("the helper has made a row group of %d bytes", n)
	}
	before := in.read.Resources
	if in.run(t.Context(), helper, true); in.read.Resources != before {
		t.Errorf("the helper, whose row group is large enough, has made %d rows more", in.read.Resources-before)
	}
}
