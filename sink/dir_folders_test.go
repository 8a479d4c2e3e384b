package sink

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A recreated folder is not settled, even with the same path and inode number.
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

// However many folders there are, only a few are held open.
func TestSettledIsBounded(t *testing.T) {
	t.Parallel()
	d, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for i := range 3 * maxSettled {
		folder := fmt.Sprintf("a/%d/b", i)
		if err := d.root.MkdirAll(folder, dirMode); err != nil {
			t.Fatal(err)
		}
		if err := d.syncUp(folder); err != nil {
			t.Fatal(err)
		}
		if n := len(d.settled.open); n > maxSettled {
			t.Fatalf("%d folders are open", n)
		}
	}
}
