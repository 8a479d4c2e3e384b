package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fhirkiln/sink"
)

// restored is where restored resources go: stdout, or a file for each type, which gets its
// name once it is whole.
type restored struct {
	folder  string
	replace bool // replace existing files
	stdout  io.Writer
	files   map[string]*restoredFile
}

type restoredFile struct {
	*bufio.Writer
	file      *os.File // nil for stdout
	name      string   // its final name
	resources int64
}

func (r *restored) where() string {
	if r.folder == "" {
		return "stdout"
	}
	return r.folder
}

func (r *restored) writer(resourceType string) (*restoredFile, error) {
	name := resourceType
	if r.folder == "" {
		name = ""
	}
	if f := r.files[name]; f != nil {
		return f, nil
	}
	f := &restoredFile{Writer: bufio.NewWriterSize(r.stdout, 256<<10)}
	if r.folder != "" {
		f.name = filepath.Join(r.folder, name+".ndjson")
		if err := r.mayName(f.name); err != nil {
			return nil, err
		}
		file, err := os.CreateTemp(r.folder, "."+name+"-*.partial") // 0600; nobody takes it for NDJSON
		if err != nil {
			return nil, &sink.Error{Doing: "creating a file", Where: r.folder, Err: err, Hint: "choose a folder that this user can write to (--out)"}
		}
		f.file = file
		f.Reset(file)
	}
	r.files[name] = f
	return f, nil
}

// mayName checks whether a file may get a name.
func (r *restored) mayName(name string) error {
	there, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return &sink.Error{Doing: "creating a file", Where: name, Err: err}
	case !there.Mode().IsRegular():
		return &usageError{fmt.Errorf("%s exists and is not a regular file", name), "choose another folder"}
	case !r.replace:
		return &usageError{fmt.Errorf("%s already exists", name), "choose another folder, or use --replace"}
	}
	return nil
}

// close gives each file its name, once all are whole.
func (r *restored) close() error {
	for _, f := range r.files {
		err := f.Flush()
		if err == nil && f.file != nil {
			err = f.file.Sync()
		}
		if err != nil {
			return errors.Join(&sink.Error{Doing: "writing NDJSON", Where: r.where(), Err: err}, r.abort())
		}
	}
	for name, f := range r.files {
		if f.file == nil {
			continue
		}
		if err := r.mayName(f.name); err != nil {
			return errors.Join(err, r.abort())
		}
		err := f.file.Close()
		if err == nil {
			err = os.Rename(f.file.Name(), f.name)
		}
		if err != nil {
			return errors.Join(&sink.Error{Doing: "writing NDJSON", Where: f.name, Err: err}, r.abort())
		}
		r.files[name].file = nil
	}
	return nil
}

// abort discards incomplete files. Output to stdout cannot be taken back.
func (r *restored) abort() error {
	var failed error
	for _, f := range r.files {
		if f.file == nil {
			failed = errors.Join(failed, f.Flush())
			continue
		}
		f.file.Close()
		failed = errors.Join(failed, os.Remove(f.file.Name()))
	}
	return failed
}

// summary says what is now in the folder. It is "" for stdout, which holds the resources.
func (r *restored) summary() string {
	if r.folder == "" {
		return ""
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		f := r.files[name]
		fmt.Fprintf(&b, "%s: %s\n", f.name, amount(int(f.resources), "resource"))
	}
	if b.Len() == 0 {
		b.WriteString("nothing to restore\n")
	}
	return b.String()
}
