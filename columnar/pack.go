package columnar

// pageValues describes the PLAIN-encoded values of a page.
type pageValues struct {
	start   int      // offset of the first one in the page
	fixed   int      // bytes of each; 0 for BYTE_ARRAY
	packing *packing // of the column's pages; nil if the page has no such values
	base64  bool
}

// packing is what is known about making a column's pages small.
type packing struct {
	// pages counts from the first trial. At a trial, and while strides is set, only pages whose
	// values are alike count.
	pages   int
	strides bool // the last trial chose them
}

const (
	// minStrided is the size from which it is worth looking for a smaller form of a page.
	minStrided = 4 << 10
	// packingTrial is how many pages a trial's result holds for, including its own page.
	packingTrial = 16

	// base64Level is the level for base64 if no level is asked for. In base64, the repeated words
	// of texts such as clinical notes are groups of four letters, far apart: at this level such
	// texts are a quarter smaller, for half as much time again. Pictures and PDFs stay as large,
	// and take up to a fifth more time.
	base64Level = 3
)

// pack compresses e.raw into e.packed. v describes the PLAIN-encoded values in e.raw.
func (e *pageEncoder) pack(v pageValues) {
	p := v.packing
	compress := e.compress
	if v.base64 {
		compress = e.compressBase64
	}
	compressWhole := func() { e.packed = compress(e.packed[:0], e.raw) }
	if e.strides == nil || p == nil || len(e.raw) < minStrided {
		compressWhole()
		return
	}
	trial := p.pages%packingTrial == 0
	if !trial && !p.strides {
		p.pages++
		compressWhole()
		return
	}
	how, alike := e.strides.find(e.raw, v.start, plainSize(e.raw[v.start:], v.fixed))
	if !alike { // says nothing about the next page
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
	if 5*len(e.packed) < 2*how.literals(len(e.raw)-v.start) {
		return // coding byte by byte hardly ever gets this small
	}
	if e.other = e.strides.frame(e.other[:0], e.raw, how); len(e.other) < len(e.packed) {
		p.strides = true
		e.packed, e.other = e.other, e.packed
	}
}
