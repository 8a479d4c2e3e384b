package columnar

// SetBlock sets the size of l's blocks, so that a short file can have many. It must be called
// before l is used.
func (l *Lines) SetBlock(size int) { l.size = size }

// SetLaneBlocks makes w start lanes early, so that a short file has several. See laneBlocks.
func (w *Writer) SetLaneBlocks(n int) { w.laneBlocks = n }

// EchoHits returns how many objects w's lanes have replayed instead of read, in open row groups.
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
