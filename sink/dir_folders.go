package sink

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"sync"
)

// inFolder runs do, creating the folder that do needs if it does not exist. Others may
// prune the new folder before do uses it, since it is still empty. Then inFolder tries
// again, up to a bound that is never reached by chance.
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
		// MkdirAll may return either of these if the folder is pruned while it looks.
		err = d.root.MkdirAll(folder, dirMode)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}

// syncUp syncs a folder and its parents, up to the first settled one: a new folder is only
// durable once its entry in its parent is.
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

// prune removes the folder if it is empty, then its parents likewise, up to the root or the
// staging folder. The staging folder stays until Close, since the next part needs it. A
// folder that cannot be removed, because it is in use or is a mount, is not an error.
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

// removeEmpty removes an empty folder and reports whether it is gone.
func (d *Dir) removeEmpty(folder string) bool {
	info, err := d.root.Lstat(folder)
	if err == nil && !info.IsDir() { // Remove would also remove a file or a link
		return false
	}
	if err == nil {
		err = d.root.Remove(folder)
	}
	return err == nil || errors.Is(err, fs.ErrNotExist)
}

// settled is the set of a Dir's folders that are known to be durable: their entries and
// those of all their parents are on disk.
//
// The folders are held open, since no other folder gets their inode number before they are
// closed. So a folder of the same path and inode is the same one and was never removed, and
// neither were its parents, since only empty folders are removed. This holds whatever other
// processes do.
//
// Safe for concurrent use.
type settled struct {
	mu   sync.Mutex
	open map[string]*os.File
}

// maxSettled bounds the number of open files. A run needs few at a time: the folders of its
// ledger, of staged parts, of the feed's state and of what it publishes in parallel.
const maxSettled = 32

// has reports whether the folder, opened as f, is settled.
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

// add marks the folder, opened as f, as settled. It takes ownership of f.
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
		if len(s.open) < maxSettled {
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
