package columnar

import (
	"errors"
	"io"

	"github.com/parquet-go/parquet-go"
)

// chunkReader reads the entries of a column chunk one by one: values, and nulls where there is
// none. It keeps one page in memory, however long a row is, and earlier pages until release. A
// chunk that nobody peeks at is not read at all.
type chunkReader struct {
	chunk   parquet.ColumnChunk
	pages   parquet.Pages // nil before the first peek
	page    parquet.Page
	values  parquet.ValueReader // of page
	buffer  []parquet.Value
	left    []parquet.Value // the rest of buffer
	skipped int             // entries that were skipped but not yet decoded; 0 unless left is empty
	read    int64           // entries decoded so far
	past    []parquet.Page  // pages read to the end, whose memory peeked values may still use
}

// entriesAtOnce is how many entries are decoded at once (6 KiB).
const entriesAtOnce = 256

// open starts on another chunk. The previous one must be closed.
func (c *chunkReader) open(chunk parquet.ColumnChunk) {
	c.chunk, c.left, c.skipped, c.read = chunk, nil, 0, 0
}

// peek returns the next entry, or [io.EOF]. What the entry points to is valid until release.
func (c *chunkReader) peek() (parquet.Value, error) {
	if len(c.left) == 0 {
		if err := c.fill(); err != nil {
			return parquet.Value{}, err
		}
	}
	return c.left[0], nil
}

// skip passes over the next entry.
func (c *chunkReader) skip() {
	if len(c.left) > 0 {
		c.left = c.left[1:]
		return
	}
	c.skipped++
}

// fill decodes entries up to the next one that was not skipped.
func (c *chunkReader) fill() error {
	if c.pages == nil {
		c.pages = c.chunk.Pages()
	}
	if c.buffer == nil {
		c.buffer = make([]parquet.Value, entriesAtOnce)
	}
	for {
		n := min(c.skipped, len(c.left))
		if c.left, c.skipped = c.left[n:], c.skipped-n; len(c.left) > 0 {
			return nil
		}
		if c.values == nil {
			page, err := c.pages.ReadPage()
			if err != nil {
				return err
			}
			c.page, c.values = page, page.Values()
		}
		n, err := c.values.ReadValues(c.buffer)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		c.read += int64(n)
		if c.left = c.buffer[:n]; n == 0 {
			c.past = append(c.past, c.page)
			c.page, c.values = nil, nil
		}
	}
}

// atEnd fails unless all entries that the chunk declares, and no more, were read and skipped.
func (c *chunkReader) atEnd() error {
	_, err := c.peek()
	switch {
	case err == nil:
		return errors.New("it continues after the last row")
	case errors.Is(err, io.EOF) && c.skipped == 0 && c.read == c.chunk.NumValues():
		return nil
	}
	return err
}

// release frees the memory behind everything peeked at, except that of the current page.
func (c *chunkReader) release() {
	for _, p := range c.past {
		parquet.Release(p)
	}
	c.past = c.past[:0]
}

// close frees everything. After it, another chunk can be opened.
func (c *chunkReader) close() error {
	c.release()
	if c.page != nil {
		parquet.Release(c.page)
	}
	c.page, c.values, c.left, c.skipped = nil, nil, nil, 0
	if c.pages == nil {
		return nil
	}
	err := c.pages.Close()
	c.pages = nil
	return err
}
