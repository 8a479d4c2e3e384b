package sink

import "os"

// OnSync calls see with the name of each file and folder before it is synced.
func (d *Dir) OnSync(see func(name string)) {
	d.fsync = func(f *os.File) error {
		see(f.Name())
		return f.Sync()
	}
}
