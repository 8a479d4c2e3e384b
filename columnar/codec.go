package columnar

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

// Codec is a compression codec for pages.
type Codec string

// The codecs. Every reader that matters supports all of them.
const (
	Zstd   Codec = "zstd"   // level 1 (fast) to 22 (small); default 1, or 3 for base64
	Snappy Codec = "snappy" // no levels
	Gzip   Codec = "gzip"   // level 1 to 9, default 6; slow, for old readers
	None   Codec = "none"   // no levels
)

// codecs maps each codec to Parquet's name for it and to its highest level, 0 if it has no levels.
var codecs = map[Codec]struct {
	parquet  format.CompressionCodec
	maxLevel int
}{
	Zstd:   {format.Zstd, 22},
	Snappy: {format.Snappy, 0},
	Gzip:   {format.Gzip, 9},
	None:   {format.Uncompressed, 0},
}

// Codecs returns all codecs, sorted.
func Codecs() []Codec { return slices.Sorted(maps.Keys(codecs)) }

// Check reports what is wrong with a codec and level. Level 0 is the codec's default.
func (c Codec) Check(level int) error {
	codec, known := codecs[c]
	switch limit := codec.maxLevel; {
	case !known:
		return fmt.Errorf("unknown codec %q; want %s, %s, %s or %s", string(c), Zstd, Snappy, Gzip, None)
	case limit == 0 && level != 0:
		return fmt.Errorf("%s has no levels", c)
	case level < 0 || level > limit:
		return fmt.Errorf("%s has levels 1 to %d, not %d", c, limit, level)
	}
	return nil
}

func (c Codec) parquet() format.CompressionCodec { return codecs[c].parquet }

// windowBytes is the window size of Zstandard frames, for which readers need memory.
const windowBytes = 1 << 20

// compressor returns page compressed. It uses the memory of to if that is large enough.
type compressor func(to, page []byte) []byte

// newCompressor returns a compressor for one goroutine. Check must accept the level.
func newCompressor(c Codec, level int) compressor {
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
			_, _ = w.Write(page) // a bytes.Buffer never fails
			_ = w.Close()
			return b.Bytes()
		}
	case None:
		return func(to, page []byte) []byte { return append(to[:0], page...) }
	case Zstd:
		return newZstd(level)
	}
	panic("no compressor for " + c)
}

func newZstd(level int) compressor {
	// The default is the fastest level. Level 3 takes about 10 % more time for a whole conversion,
	// and makes Parquet 2 to 4 % smaller.
	options := []zstd.EOption{zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(windowBytes), zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false), // pages have their own CRC
		zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(max(level, 1)))}
	// This must follow WithEncoderLevel, which sets it too. Ids and dictionary indices use few
	// different bytes but share no long sequences: entropy coding pays where matching does not.
	options = append(options, zstd.WithAllLitEntropyCompression(true))
	w, err := zstd.NewWriter(nil, options...)
	if err != nil {
		panic(err) // the options are constants
	}
	return func(to, page []byte) []byte { return w.EncodeAll(page, to[:0]) }
}
