package columnar

import (
	"bytes"
	"fmt"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

// Codec is how pages are compressed.
type Codec string

// The codecs. Every reader that matters knows all of them.
const (
	Zstd   Codec = "zstd"   // level 1 (fast) to 22 (small), default 1, but 3 for base64
	Snappy Codec = "snappy" // has no levels
	Gzip   Codec = "gzip"   // level 1 to 9, default 6: slow; for readers that are old
	None   Codec = "none"   // has no levels
)

// codecs are what Parquet calls them, and their highest levels.
var codecs = map[Codec]struct {
	parquet format.CompressionCodec
	most    int
}{
	Zstd:   {format.Zstd, 22},
	Snappy: {format.Snappy, 0},
	Gzip:   {format.Gzip, 9},
	None:   {format.Uncompressed, 0},
}

// Check says what is wrong with a codec and level. Level 0 is the codec's default.
func (c Codec) Check(level int) error {
	codec, known := codecs[c]
	switch most := codec.most; {
	case !known:
		return fmt.Errorf("%q is no codec; there are %s, %s, %s and %s", string(c), Zstd, Snappy, Gzip, None)
	case most == 0 && level != 0:
		return fmt.Errorf("%s has no levels", c)
	case level < 0 || level > most:
		return fmt.Errorf("%s has the levels 1 to %d, not %d", c, most, level)
	}
	return nil
}

func (c Codec) parquet() format.CompressionCodec { return codecs[c].parquet }

// windowBytes is how far back a frame of Zstandard looks, which its readers have memory for.
const windowBytes = 1 << 20

// compressor compresses a page into the memory of to, as far as that is enough.
type compressor func(to, page []byte) []byte

// newCompressor returns a compressor for one goroutine. The level must be one that Check
// has passed.
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
			_, _ = w.Write(page) // a buffer takes all
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
	// The default is the fastest: level 3 takes some 10 % more time for all of a conversion,
	// for Parquet that is 2 to 4 % smaller.
	options := []zstd.EOption{zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(windowBytes), zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false), // pages have one of their own
		zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(max(level, 1)))}
	// After the level, whose own choice this is. Ids and dictionaries' indices have few
	// letters, but no two values have many in a row.
	options = append(options, zstd.WithAllLitEntropyCompression(true))
	w, err := zstd.NewWriter(nil, options...)
	if err != nil {
		panic(err) // the options are constants
	}
	return func(to, page []byte) []byte { return w.EncodeAll(page, to[:0]) }
}
