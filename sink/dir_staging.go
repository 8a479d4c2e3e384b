package sink

import (
	"context"
	"errors"
	"io"
	"os"
)

// dirStaging is a part on its way into a Dir.
type dirStaging struct {
	dir  *Dir
	key  string
	file *os.File // nil once finished or aborted
	size int64
	back int64 // how many bytes are being written back to disk
}

// writeBackTo returns how many bytes of a part of the given size should be on their way to
// disk, so that Finish waits less. It stays a step behind the end, where the last page is
// still being written to.
func writeBackTo(size int64) int64 {
	const step = 1 << 20
	return max(0, size-size%step-step)
}

var _ Staging = (*dirStaging)(nil)

// Write implements [io.Writer].
func (s *dirStaging) Write(p []byte) (int, error) {
	if s.file == nil {
		return 0, io.ErrClosedPipe
	}
	n, err := s.file.Write(p)
	s.size += int64(n)
	if to := writeBackTo(s.size); to > s.back {
		writeBack(s.file, s.back, to-s.back)
		s.back = to
	}
	return n, s.dir.failed("writing a part", s.key, err)
}

// Finish implements [Staging].
func (s *dirStaging) Finish(ctx context.Context) (Receipt, error) {
	if s.file == nil {
		return Receipt{}, io.ErrClosedPipe
	}
	if err := context.Cause(ctx); err != nil {
		return Receipt{}, err
	}
	err := errors.Join(s.dir.fsync(s.file), s.file.Close())
	if err == nil {
		err = s.dir.syncUp(stagingDir) // a file is durable once its name is
	}
	if err != nil {
		return Receipt{}, s.dir.failed("writing a part", s.key, err)
	}
	s.file = nil
	return Receipt{Key: s.key, Size: s.size}, nil
}

// Abort implements [Staging].
func (s *dirStaging) Abort(context.Context) error {
	if s.file == nil {
		return nil
	}
	s.file.Close() // at worst a second time, after a failed Finish
	s.file = nil
	return s.dir.remove(s.dir.stagedName(s.key))
}
