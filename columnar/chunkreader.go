package columnar

import (
	"errors"
	"io"

	"github.com/parquet-go/parquet-go"
)

// chunkReader reads the entries of a column chunk one by one: values, and nulls for what is not
// there. A page of them is in memory, so that it does not matter how long a row is, and those
// before it until release. A chunk that nobody looks into is not read at all.
type chunkReader struct {
	chunk  parquet.ColumnChunk
	pages  parquet.Pages // nil before the first look
	page   parquet.Page
	values parquet.ValueReader // of page
	buffer []parquet.Value
	left   []parquet.Value // of buffer
	behind int             // entries that were passed over, and are still to be read; only while left is empty
	read   int64           // entries that were decoded
	past   []parquet.Page  // read to their ends, while values that were peeked at may be in their memory
}

// entriesAtOnce is how many entries are decoded at once, 6 KiB of them.
const entriesAtOnce = 256

// open begins with another chunk.
func (c *chunkReader) open(chunk parquet.ColumnChunk) {
	c.chunk, c.left, c.behind, c.read = chunk, nil, 0, 0
}

// peek is the next entry, or [io.EOF]. What it points to is good until release.
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
	c.behind++
}

// fill reads on up to the next entry that was not passed over.
func (c *chunkReader) fill() error {
	if c.pages == nil {
		c.pages = c.chunk.Pages()
	}
	if c.buffer == nil {
		c.buffer = make([]parquet.Value, entriesAtOnce)
	}
	for {
		n := min(c.behind, len(c.left))
		if c.left, c.behind = c.left[n:], c.behind-n; len(c.left) > 0 {
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

// atEnd fails unless all entries that the chunk says it has were passed over, and no more.
func (c *chunkReader) atEnd() error {
	_, err := c.peek()
	switch {
	case err == nil:
		return errors.New("it goes on behind the last row")
	case errors.Is(err, io.EOF) && c.behind == 0 && c.read == c.chunk.NumValues():
		return nil
	}
	return err
}

// release lets go of the memory of all that was peeked at, but for that of the page that is
// being read.
func (c *chunkReader) release() {
	for _, p := range c.past {
		parquet.Release(p)
	}
	c.past = c.past[:0]
}

// close lets go of all. Another chunk can be opened then.
func (c *chunkReader) close() error {
	c.release()
	if c.page != nil {
		parquet.Release(c.page)
	}
	c.page, c.values, c.left, c.behind = nil, nil, nil, 0
	if c.pages == nil {
		return nil
	}
	err := c.pages.Close()
	c.pages = nil
	return err
}
