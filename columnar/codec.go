package columnar

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"

	"fhirkiln/columnar/internal/strided"
)

// Codec is how pages are compressed.
type Codec string

// The codecs. Every reader that matters knows all of them.
const (
	Zstd   Codec = "zstd"   // level 1 (fast) to 22 (small), default 3
	Snappy Codec = "snappy" // has no levels
	Gzip   Codec = "gzip"   // level 1 to 9, default 6: slow; for readers that are old
	None   Codec = "none"   // has no levels
)

// Check says what is wrong with a codec and level. Level 0 is the codec's default.
func (c Codec) Check(level int) error {
	most, known := map[Codec]int{Zstd: 22, Snappy: 0, Gzip: 9, None: 0}[c]
	switch {
	case !known:
		return fmt.Errorf("%q is no codec; there are %s, %s, %s and %s", string(c), Zstd, Snappy, Gzip, None)
	case most == 0 && level != 0:
		return fmt.Errorf("%s has no levels", c)
	case level < 0 || level > most:
		return fmt.Errorf("%s has the levels 1 to %d, not %d", c, most, level)
	}
	return nil
}

func (c Codec) parquet() format.CompressionCodec {
	return map[Codec]format.CompressionCodec{Zstd: format.Zstd, Snappy: format.Snappy, Gzip: format.Gzip, None: format.Uncompressed}[c]
}

// compressor compresses pages. It belongs to one goroutine.
type compressor struct {
	general func(to, page []byte) []byte // into the memory of to, as far as that is enough
	strided *strided.Encoder             // nil but for Zstd
	scratch []byte
}

// values says where in a page they are, PLAIN-encoded: from where on, and how many bytes
// each has, 0 if it has a length in front. The zero values are none.
type values struct{ from, width int }

// way is how a page is compressed.
type way int

const (
	shorter way = iota // that which is, by a sample
	generally
	byStrides
)

// sampleBytes is how much of a page is compressed both ways to choose one. Chance
// resemblance has shown by then.
const sampleBytes = 64 << 10

// stridedBytes is the largest page that is compressed by strides: its frame has a window
// as large as itself, and decoders need not have a larger one than this.
const stridedBytes = 8 << 20

// compress compresses a page into the memory of to, and says in which way.
func (c *compressor) compress(to, page []byte, v *values, how way) ([]byte, way) {
	if c.strided == nil || v == nil || len(page)-v.from < 1<<10 || len(page) > stridedBytes {
		return c.general(to, page), generally
	}
	if how == shorter {
		end := v.end(page, sampleBytes)
		byGeneral := c.general(to, page[:end])
		other, ok := c.strided.Append(c.scratch[:0], page[:end], v.from, v.width)
		c.scratch = other
		switch {
		case ok && len(other) < len(byGeneral) && end == len(page):
			return append(byGeneral[:0], other...), byStrides
		case ok && len(other) < len(byGeneral):
			how = byStrides
		case end == len(page):
			return byGeneral, generally
		}
	}
	if how == byStrides {
		if b, ok := c.strided.Append(to, page, v.from, v.width); ok {
			return b, byStrides
		}
	}
	return c.general(to, page), generally
}

// end is where the value ends that has the byte after the first n, or the last value.
func (v *values) end(page []byte, n int) int {
	end := v.from
	for end < len(page) && end < n {
		if v.width > 0 {
			end += v.width
		} else {
			end += 4 + int(binary.LittleEndian.Uint32(page[end:]))
		}
	}
	return end
}

// newCompressor returns a compressor. The level must be one that Check has passed.
func newCompressor(c Codec, level int) *compressor {
	if c == Zstd {
		return &compressor{general: newGeneral(c, level), strided: new(strided.Encoder)}
	}
	return &compressor{general: newGeneral(c, level)}
}

func newGeneral(c Codec, level int) func(to, page []byte) []byte {
	switch c {
	case Snappy:
		return func(to, page []byte) []byte { return snappy.Encode(to[:cap(to)], page) }
	case Gzip:
		if level == 0 {
			level = gzip.DefaultCompression
		}
		w, err := gzip.NewWriterLevel(nil, level)
		if err != nil {
			panic(err) // the level was checked
		}
		return func(to, page []byte) []byte {
			b := bytes.NewBuffer(to[:0])
			w.Reset(b)
			_, _ = w.Write(page) // a buffer takes all
			_ = w.Close()
			return b.Bytes()
		}
	case None:
		return func(to, page []byte) []byte { return append(to[:0], page...) }
	}
	options := []zstd.EOption{zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1 << 20), zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false)} // pages have one of their own
	if level > 0 {
		options = append(options, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)))
	}
	// After the level, whose own choice this is. Ids and dictionaries' indices have few
	// letters, but no two values have many in a row.
	options = append(options, zstd.WithAllLitEntropyCompression(true))
	w, err := zstd.NewWriter(nil, options...)
	if err != nil {
		panic(err) // the options are constants
	}
	return func(to, page []byte) []byte { return w.EncodeAll(page, to[:0]) }
}
