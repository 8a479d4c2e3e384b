package sink

import (
	"encoding/base64"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"io"
	"sync"
)

// blockBytes is the size of the blocks that hold a chunk: a small part takes little memory,
// and all chunks share one pool.
const blockBytes = 256 << 10

// blockPool keeps blocks for the next chunks. Unlike a sync.Pool it is bounded and is not
// emptied by the garbage collector, so a run's memory stays level.
type blockPool struct {
	mu      sync.Mutex
	free    [][]byte
	maxFree int
}

func newBlockPool(bytes int64) *blockPool { return &blockPool{maxFree: int(bytes / blockBytes)} }

func (p *blockPool) get() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		b := p.free[n-1]
		p.free = p.free[:n-1]
		return b
	}
	return make([]byte, blockBytes)
}

func (p *blockPool) put(blocks [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, blocks[:min(len(blocks), max(0, p.maxFree-len(p.free)))]...)
}

// chunkBuffer holds a chunk of a part. It is filled once, then read for every try to send it.
type chunkBuffer struct {
	pool   *blockPool
	blocks [][]byte
	size   int64
	crc    hash.Hash32
}

func newChunkBuffer(pool *blockPool) *chunkBuffer {
	return &chunkBuffer{pool: pool, crc: crc32.NewIEEE()}
}

// fill appends bytes of p until the chunk has limit bytes, and returns how many it took.
func (c *chunkBuffer) fill(p []byte, limit int64) (n int) {
	for len(p) > 0 && c.size < limit {
		at := int(c.size % blockBytes)
		if at == 0 {
			c.blocks = append(c.blocks, c.pool.get())
		}
		room := min(int64(blockBytes-at), limit-c.size)
		m := copy(c.blocks[len(c.blocks)-1][at:], p[:min(int64(len(p)), room)])
		c.crc.Write(p[:m])
		c.size += int64(m)
		n += m
		p = p[m:]
	}
	return n
}

// free returns the chunk's blocks to the pool. Nobody may be reading the chunk.
func (c *chunkBuffer) free() {
	c.pool.put(c.blocks)
	c.blocks = nil
}

// ReadAt implements [io.ReaderAt].
func (c *chunkBuffer) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && off < c.size {
		block, from := off/blockBytes, off%blockBytes
		to := min(blockBytes, c.size-block*blockBytes)
		m := copy(p[n:], c.blocks[block][from:to])
		n, off = n+m, off+int64(m)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// crcText returns a CRC32 as S3's headers have it.
func crcText(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}
