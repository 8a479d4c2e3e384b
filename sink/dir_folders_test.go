package sink

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Of a folder that was made anew, at the same path and even with the same number, it is
// not known whether it has reached the disk.
func TestSettled(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d, err := OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	settled := func(folder string) bool {
		t.Helper()
		f, err := d.root.Open(folder)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return d.settled.has(folder, f)
	}
	for i := range 50 {
		if err := d.root.MkdirAll("a/b/c", dirMode); err != nil {
			t.Fatal(err)
		}
		for _, folder := range []string{"a", "a/b", "a/b/c"} {
			if settled(folder) {
				t.Fatalf("%s is settled, the %dth time that it is made", folder, i+1)
			}
		}
		if err := d.syncUp("a/b/c"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "a", "file"), nil, fileMode); err != nil {
			t.Fatal(err)
		}
		for _, folder := range []string{"a", "a/b", "a/b/c"} {
			if !settled(folder) {
				t.Fatalf("%s is not settled", folder)
			}
		}
		if err := os.RemoveAll(filepath.Join(root, "a")); err != nil { // another process
			t.Fatal(err)
		}
	}
}

// However many folders there are, few are held open.
func TestSettledIsBounded(t *testing.T) {
	t.Parallel()
	d, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for i := range 3 * mostSettled {
		folder := fmt.Sprintf("a/%d/b", i)
		if err := d.root.MkdirAll(folder, dirMode); err != nil {
			t.Fatal(err)
		}
		if err := d.syncUp(folder); err != nil {
			t.Fatal(err)
		}
		if n := len(d.settled.open); n > mostSettled {
			t.Fatalf("%d folders are open", n)
		}
	}
}
