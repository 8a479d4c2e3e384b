package sink

import (
	"errors"
	"io/fs"
	"path"
)

// inFolder runs do in a folder that it creates first. Others may prune the folder in
// between, since it is still empty; then both are done again, up to a bound that chance
// does not reach.
func (d *Dir) inFolder(folder string, do func() error) error {
	for try := 1; ; try++ {
		// MkdirAll says either of the two of a folder that is pruned while it looks.
		err := d.root.MkdirAll(folder, dirMode)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err = do(); err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) || try == 100 {
			d.prune(folder)
			return err
		}
	}
}

// syncUp syncs a folder and those above it: new folders live in their parents' entries.
func (d *Dir) syncUp(folder string) error {
	for {
		if err := d.sync(folder); err != nil {
			return err
		}
		if folder == "." {
			return nil
		}
		folder = path.Dir(folder)
	}
}

func (d *Dir) sync(folder string) error {
	f, err := d.root.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// prune removes folders that have become empty, up to the root. One that cannot be
// removed, since it is in use or is a mount, is no reason to fail.
func (d *Dir) prune(folder string) {
	for ; folder != "."; folder = path.Dir(folder) {
		info, err := d.root.Lstat(folder)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil || !info.IsDir(): // Remove would take a file or a link as well
			return
		}
		if err := d.root.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return
		}
	}
}
