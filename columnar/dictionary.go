package columnar

import (
	"bytes"
	"hash/maphash"
)

// dictionary is the distinct values of a column chunk, in the order of their coming. Echoes
// keep objects in one, too, for its guesses.
type dictionary struct {
	fixed  int               // bytes of a value; 0 is a BYTE_ARRAY
	growth int               // see roomFor
	plain  []byte            // the dictionary page: the values, PLAIN-encoded
	values []dictionaryValue // by index
	table  []uint32          // hash table: index + 1, 0 is free
	last   uint32            // index that add or addGuessed returned last; truncate may reset it
	adds   int               // values that were added since reset, known ones too: findOrAdd judges by it, so that undo takes a refused line's back
}

// dictionaryValue is what is known of a value, beside its bytes.
type dictionaryValue struct {
	end  uint32 // in plain
	next uint32 // index of the value that came after it the last time
	asIs bool   // a text that stands in JSON as it is, without escapes
}

const (
	// dictionaryBytes bounds a dictionary; one that would be larger is no help.
	dictionaryBytes = 1 << 20
	// dictionaryCost is about what the page of a dictionary costs beside its values.
	dictionaryCost = 32
	// dictionaryTrial is after how many values it must have shown its worth.
	dictionaryTrial = 4096
	// longValue is from how many bytes on values have on average, as PLAIN has them, for a
	// dictionary to pay although they come in runs: most are ids with much chance in them, of
	// which a dictionary's page makes the least. Without one, UUIDs of patients, each 7 times in
	// a row, are 7 % larger, and those of Observations, 28 times, 3 %.
	longValue = 34
	// longRun is how many times a value comes in a row, on average, for a dictionary to pay: up
	// to constants. Short values that come 8 times are a quarter smaller without one.
	longRun = 32
	// oneReturns is of how many new values at least one comes back after its run where a
	// dictionary pays. Encounter.subject.display, names of which 1 in 59 has come back by the
	// 4096th and many more do later, is a third larger without one; periods of claims, of which
	// none comes back, are a quarter to two fifths smaller.
	oneReturns = 64
)

// hashSeed decides where in a dictionary's table a value is. What is written does not
// depend on it: indices go by the order of the values' coming.
var hashSeed = maphash.MakeSeed()

const firstTable = 64

func newDictionary(fixed, growth int) *dictionary {
	return &dictionary{fixed: fixed, growth: growth, table: make([]uint32, firstTable)}
}

// renew makes a dictionary of one that is done with, in its memory.
func (d *dictionary) renew(fixed, growth int) {
	d.fixed, d.growth, d.table = fixed, growth, d.table[:firstTable]
	d.reset()
}

func (d *dictionary) reset() {
	clear(d.table)
	d.plain, d.values, d.last, d.adds = d.plain[:0], d.values[:0], 0, 0
}

// value is the bytes of a value, without its length.
func (d *dictionary) value(i uint32) []byte {
	e := d.encoded(i)
	if d.fixed == 0 {
		e = e[4:]
	}
	return e
}

// encoded is the PLAIN encoding of a value.
func (d *dictionary) encoded(i uint32) []byte {
	start := uint32(0)
	if i > 0 {
		start = d.values[i-1].end
	}
	return d.plain[start:d.values[i].end]
}

// likely is the index of the value that came after the last one the last time.
func (d *dictionary) likely() uint32 { return d.values[d.last].next }

// guess is the text that is likely the next value, as it stands in JSON; nil for none.
// Resources of a type are much alike: what came after a value comes after it again.
func (d *dictionary) guess() []byte {
	if d.fixed > 0 {
		return nil // they are no texts
	}
	if next := d.likely(); d.values[next].asIs {
		return d.value(next)
	}
	return nil
}

// addGuessed adds the value that guess returns; another says that it guesses another one
// now.
func (d *dictionary) addGuessed() (i uint32, another bool) {
	d.adds++
	i = d.likely()
	d.last = i
	return i, d.likely() != i
}

// add returns v's index, and adds v if it is new. ok is false if the dictionary is not worth
// keeping: it is full, or nearly all values are new. asIs says that v stands in the JSON
// without escapes. missed says that the JSON is not what guess returned, so that the guess
// need not be compared again.
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

// findOrAdd finds a value, or puts it into the dictionary; not ok is as add has it.
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

// inRuns says whether the values of a page, whose places these are, come in runs of their own
// and then hardly come back: zstd makes as little of a run of values as of one of places, and
// the places of new values, each another one, are to be paid on top. known is how many values the
// pages before have.
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
	return (runs-values)*oneReturns < values
}

// truncate takes back the values from the n-th on, and the last adds.
func (d *dictionary) truncate(n, adds int) {
	d.adds -= adds
	if len(d.values) == n {
		return
	}
	mask := uint64(len(d.table) - 1)
	for i := len(d.values) - 1; i >= n; i-- { // no value's way to its slot leads over those of later ones
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
	// New ones too: written before they are read, or the system maps each page twice, and all
	// cores wait.
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
