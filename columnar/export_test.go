package columnar

// SetBlock makes l's blocks small, so that a short file has many. It must be called
// before l is used.
func (l *Lines) SetBlock(size int) { l.size = size }

// SetLaneBlocks makes w's lanes begin early, so that a short file has several.
func (w *Writer) SetLaneBlocks(n int) { w.laneBlocks = n }
