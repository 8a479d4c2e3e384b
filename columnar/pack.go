package columnar

// pageValues tells of the values that a page has PLAIN-encoded.
type pageValues struct {
	start   int      // where they begin
	fixed   int      // bytes of each; 0 are BYTE_ARRAYs
	packing *packing // of the column's pages; nil if there are no such values
	base64  bool
}

// packing is what makes a column's pages the smallest.
type packing struct {
	pages   int // since the first trial; while strides is set, those that are alike
	strides bool
}

const (
	// leastStrided is the size of a page from which it is worth to look what makes it smaller.
	leastStrided = 4 << 10
	// packingTrial is for how many pages a trial's result holds, its own page included.
	packingTrial = 16

	// base64Level is the level for base64 where none is asked for. Texts in it, as clinical
	// notes are, have words again in groups of four letters, far apart: they are a quarter
	// smaller then, for half as much time again. Pictures and PDFs stay as large, and take up
	// to a fifth more.
	base64Level = 3
)

// pack compresses e.raw into e.packed.
func (e *pageEncoder) pack(of pageValues) {
	p := of.packing
	compress := e.compress
	if of.base64 {
		compress = e.closely
	}
	compressWhole := func() { e.packed = compress(e.packed[:0], e.raw) }
	if e.strides == nil || p == nil || len(e.raw) < leastStrided {
		compressWhole()
		return
	}
	trial := p.pages%packingTrial == 0
	if !trial && !p.strides {
		p.pages++
		compressWhole()
		return
	}
	how, alike := e.strides.of(e.raw, of.start, plainSize(e.raw[of.start:], of.fixed))
	if !alike { // which tells nothing of the next page
		compressWhole()
		return
	}
	p.pages++
	if !trial {
		e.packed = e.strides.frame(e.packed[:0], e.raw, how)
		return
	}
	compressWhole()
	p.strides = false
	if 5*len(e.packed) < 2*how.letters(len(e.raw)-of.start) {
		return // letter by letter, hardly anything is as small
	}
	if e.other = e.strides.frame(e.other[:0], e.raw, how); len(e.other) < len(e.packed) {
		p.strides = true
		e.packed, e.other = e.other, e.packed
	}
}
