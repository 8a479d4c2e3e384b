package columnar

import (
	"bytes"
	"hash/maphash"
)

// dictionary holds the distinct values of a column chunk in the order of their first use. Echoes
// keep objects in one, too, for its guesses.
type dictionary struct {
	fixed  int               // bytes of a value; 0 is a BYTE_ARRAY
	growth int               // see roomFor
	plain  []byte            // the dictionary page: the values, PLAIN-encoded
	values []dictionaryValue // by index
	table  []uint32          // hash table, probed linearly: index + 1, 0 is free
	last   uint32            // index that add or addGuessed returned last; truncate may reset it

	// adds is how many values were added since reset, repeats included. findOrAdd judges by it,
	// so undo takes back those of a refused line.
	adds int
}

// dictionaryValue is what is known about a value besides its bytes.
type dictionaryValue struct {
	end  uint32 // of its encoding in plain
	next uint32 // index of the value that followed it the last time
	asIs bool   // it is text that stands in JSON without escapes
}

const (
	// dictionaryBytes is the maximum size of a dictionary; a larger one does not help.
	dictionaryBytes = 1 << 20
	// dictionaryCost is about what a dictionary page costs beyond its values.
	dictionaryCost = 32
	// dictionaryTrial is the number of values after which a dictionary must have shown its worth.
	dictionaryTrial = 4096
	// longValue is the average PLAIN size from which a dictionary pays even if values come in
	// runs: most are ids with a lot of randomness, which a dictionary page stores in the least
	// space. Without a dictionary, patients' UUIDs that come 7 times in a row take 7 % more space,
	// and Observations' UUIDs that come 28 times in a row 3 % more.
	longValue = 34
	// longRun is the average length of runs from which a dictionary pays, up to constant columns.
	// Short values that come 8 times in a row are a quarter smaller without one.
	longRun = 32
	// valuesPerReturn: for a dictionary to pay, at least one in this many new values must come back
	// after its run. Encounter.subject.display is a third larger without one: of its names, 1 in 59
	// has come back by the 4096th value, and many more do later. The periods of claims, none of
	// which comes back, are a quarter to two fifths smaller without one.
	valuesPerReturn = 64
)

// hashSeed decides where in a dictionary's table a value goes. The output does not depend on it:
// indices follow the order of first use.
var hashSeed = maphash.MakeSeed()

const firstTable = 64

func newDictionary(fixed, growth int) *dictionary {
	return &dictionary{fixed: fixed, growth: growth, table: make([]uint32, firstTable)}
}

// renew makes an empty dictionary of one that is no longer needed, reusing its memory.
func (d *dictionary) renew(fixed, growth int) {
	d.fixed, d.growth, d.table = fixed, growth, d.table[:firstTable]
	d.reset()
}

func (d *dictionary) reset() {
	clear(d.table)
	d.plain, d.values, d.last, d.adds = d.plain[:0], d.values[:0], 0, 0
}

// value returns the bytes of a value, without its length.
func (d *dictionary) value(i uint32) []byte {
	e := d.encoded(i)
	if d.fixed == 0 {
		e = e[4:]
	}
	return e
}

// encoded returns the PLAIN encoding of a value.
func (d *dictionary) encoded(i uint32) []byte {
	start := uint32(0)
	if i > 0 {
		start = d.values[i-1].end
	}
	return d.plain[start:d.values[i].end]
}

// likely returns the index of the value that came after the one at d.last the last time. The
// dictionary must not be empty.
func (d *dictionary) likely() uint32 { return d.values[d.last].next }

// guess returns the text that is likely to come next, as it stands in JSON, or nil for none.
// Resources of a type look much alike: what came after a value tends to come after it again.
func (d *dictionary) guess() []byte {
	if d.fixed > 0 {
		return nil // not text
	}
	if next := d.likely(); d.values[next].asIs {
		return d.value(next)
	}
	return nil
}

// addGuessed adds the value that guess returns, without comparing it. another reports whether
// guess returns a different value now.
func (d *dictionary) addGuessed() (i uint32, another bool) {
	d.adds++
	i = d.likely()
	d.last = i
	return i, d.likely() != i
}

// add returns v's index, and adds v if it is new. ok is false if the dictionary is not worth
// keeping: it is full, or after dictionaryTrial values more than half of all values were new.
// asIs says that v stands in the JSON without escapes. missed says that the JSON is not what
// guess returned, so that add need not compare it again.
func (d *dictionary) add(v []byte, asIs, missed bool) (i uint32, ok bool) {
	d.adds++
	if !missed && len(d.values) > 0 && bytes.Equal(d.value(d.likely()), v) {
		i = d.likely()
	} else {
		if i, ok = d.findOrAdd(v); !ok {
			return 0, false
		}
		d.values[d.last].next = i
	}
	if asIs {
		d.values[i].asIs = true
	}
	d.last = i
	return i, true
}

// findOrAdd returns v's index, and adds v if it is new. ok is as for add.
func (d *dictionary) findOrAdd(v []byte) (i uint32, ok bool) {
	mask := uint64(len(d.table) - 1)
	h := maphash.Bytes(hashSeed, v) & mask
	for ; d.table[h] != 0; h = (h + 1) & mask {
		if i := d.table[h] - 1; bytes.Equal(d.value(i), v) {
			return i, true
		}
	}
	if len(d.plain)+len(v) > dictionaryBytes || d.adds >= dictionaryTrial && len(d.values) > d.adds/2 {
		return 0, false
	}
	i = uint32(len(d.values))
	pushPlain(&d.plain, v, d.fixed, d.growth)
	push(&d.values, dictionaryValue{end: uint32(len(d.plain)), next: i}, d.growth)
	d.table[h] = i + 1
	if len(d.values)*2 > len(d.table) {
		d.grow()
	}
	return i, true
}

// inRuns reports whether the values of a page, given by their indices, come in runs and then
// hardly come back. zstd makes a run of values as small as a run of indices, and with a dictionary
// the index of each new value costs extra. known is how many values the pages before have.
func (d *dictionary) inRuns(index []int32, known int) bool {
	values := len(d.values) - known
	if values*longRun <= len(index) || len(d.plain) >= longValue*len(d.values) {
		return false
	}
	runs := 1
	for i, v := range index[1:] {
		if v != index[i] {
			runs++
		}
	}
	return (runs-values)*valuesPerReturn < values
}

// truncate takes back the values from the n-th on, and subtracts adds from d.adds.
func (d *dictionary) truncate(n, adds int) {
	d.adds -= adds
	if len(d.values) == n {
		return
	}
	mask := uint64(len(d.table) - 1)
	// Backwards, so that no probe sequence breaks: each crosses only the slots of earlier values.
	for i := len(d.values) - 1; i >= n; i-- {
		h := maphash.Bytes(hashSeed, d.value(uint32(i))) & mask
		for d.table[h] != uint32(i)+1 {
			h = (h + 1) & mask
		}
		d.table[h] = 0
	}
	end := uint32(0)
	if n > 0 {
		end = d.values[n-1].end
	}
	d.plain, d.values, d.last = d.plain[:end], d.values[:n], 0
	for i := range d.values {
		if v := &d.values[i]; int(v.next) >= n {
			v.next = uint32(i)
		}
	}
}

func (d *dictionary) grow() {
	if n := 4 * len(d.table); n <= cap(d.table) {
		d.table = d.table[:n]
	} else {
		d.table = make([]uint32, n)
	}
	// Clear new memory, too: if it is read before it is written, the system maps each page twice,
	// which makes all cores wait.
	clear(d.table)
	mask := uint64(len(d.table) - 1)
	for i := range d.values {
		h := maphash.Bytes(hashSeed, d.value(uint32(i))) & mask
		for d.table[h] != 0 {
			h = (h + 1) & mask
		}
		d.table[h] = uint32(i) + 1
	}
}
