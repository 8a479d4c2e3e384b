package columnar

import (
	"github.com/klauspost/compress/zstd"
	pzstd "github.com/parquet-go/parquet-go/compress/zstd"
)

// codec compresses pages with zstd. parquet-go's own keeps an encoder with an 8 MiB
// window, about 20 MB of memory, for each page that is compressed at once; pages are
// smaller than this one's window.
type codec struct {
	pzstd.Codec // reading, and the codec's name
	encoder     *zstd.Encoder
}

// newCodec returns a codec for the pages of one goroutine.
func newCodec() *codec {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return &codec{encoder: encoder}
}

// Encode implements parquet-go's compress.Codec.
func (c *codec) Encode(dst, src []byte) ([]byte, error) {
	return c.encoder.EncodeAll(src, dst[:0]), nil
}
