package columnar

// SetBlock makes l's blocks small, so that a short file has many. It must be called
// before l is used.
func (l *Lines) SetBlock(size int) { l.size = size }

// SetLaneBlocks makes w's lanes begin early, so that a short file has several.
func (w *Writer) SetLaneBlocks(n int) { w.laneBlocks = n }

// EchoHits is how many objects w's lanes have not read, in row groups that are open.
func (w *Writer) EchoHits() (n int) {
	for _, l := range w.lanes {
		for _, s := range l.shares {
			for i := range s.shredder.echoes {
				n += s.shredder.echoes[i].hits
			}
		}
	}
	return n
}

// SetMaxPage makes w treat pages of more than n bytes as too large.
func (w *Writer) SetMaxPage(n int) { w.lanes[0].encoder.maxPage = n }
