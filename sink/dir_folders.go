package sink

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"sync"
)

// inFolder runs do, in a folder that it creates if need be. Others may prune the folder in
// between, since it is still empty; then both are done again, up to a bound that chance
// does not reach.
func (d *Dir) inFolder(folder string, do func() error) error {
	for try := 0; ; try++ {
		err := do()
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) || try == 100 {
			d.prune(folder)
			return err
		}
		// MkdirAll says either of the two of a folder that is pruned while it looks.
		err = d.root.MkdirAll(folder, dirMode)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}

// syncUp syncs a folder, and those above it as far as they are not settled: new folders
// live in their parents' entries.
func (d *Dir) syncUp(folder string) error {
	var fresh []*os.File
	defer func() {
		for _, f := range fresh {
			f.Close()
		}
	}()
	for at := folder; ; at = path.Dir(at) {
		f, err := d.root.Open(at)
		if err != nil {
			return err
		}
		fresh = append(fresh, f)
		if err := d.fsync(f); err != nil {
			return err
		}
		if at == "." || d.settled.has(at, f) {
			break
		}
	}
	for at := folder; len(fresh) > 1; at = path.Dir(at) {
		d.settled.add(at, fresh[0])
		fresh = fresh[1:]
	}
	return nil
}

func (d *Dir) sync(folder string) error {
	f, err := d.root.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.fsync(f), f.Close())
}

// prune removes folders that have become empty, up to the root or to the staging folder,
// which stays until Close: the next part needs it. One that cannot be removed, since it is
// in use or is a mount, is no reason to fail.
func (d *Dir) prune(folder string) {
	for ; folder != "." && folder != stagingDir; folder = path.Dir(folder) {
		if !d.removeEmpty(folder) {
			return
		}
	}
}

// pruneStaging removes the staging folder, unless another process needs it.
func (d *Dir) pruneStaging() {
	if d.removeEmpty(stagingDir) {
		d.prune(path.Dir(stagingDir))
	}
}

// removeEmpty says whether the folder is gone.
func (d *Dir) removeEmpty(folder string) bool {
	info, err := d.root.Lstat(folder)
	if err == nil && !info.IsDir() { // Remove would take a file or a link as well
		return false
	}
	if err == nil {
		err = d.root.Remove(folder)
	}
	return err == nil || errors.Is(err, fs.ErrNotExist)
}

// settled are folders of a Dir that are on disk by name, as are all above them.
//
// They are held open: until they are closed, no other folder gets their number (inode).
// So one of the same path and number is the same, was there all the time, and those above
// it too, since only empty ones are removed. That holds whatever other processes do.
//
// Safe for concurrent use.
type settled struct {
	mu   sync.Mutex
	open map[string]*os.File
}

// mostSettled bounds the open files. A run needs few at a time: those of its ledger, of
// staged parts, of the feed's state and of what it publishes side by side.
const mostSettled = 32

// has says whether f, which is open as the folder, is settled.
func (s *settled) has(folder string, f *os.File) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.open[folder]
	if known == nil {
		return false
	}
	was, err := known.Stat()
	if err != nil {
		return false
	}
	is, err := f.Stat()
	return err == nil && os.SameFile(was, is)
}

// add takes f, which is open as the folder.
func (s *settled) add(folder string, f *os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]*os.File{}
	}
	if was := s.open[folder]; was != nil {
		was.Close()
	}
	for other, was := range s.open {
		if len(s.open) < mostSettled {
			break
		}
		was.Close()
		delete(s.open, other)
	}
	s.open[folder] = f
}

func (s *settled) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.open {
		f.Close()
	}
	s.open = nil
}
