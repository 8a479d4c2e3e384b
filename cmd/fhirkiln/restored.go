package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"

	"fhirkiln/sink"
)

// restored is where restored resources go: stdout, or a file for each type.
type restored struct {
	folder string
	stdout io.Writer
	files  map[string]*restoredFile
}

type restoredFile struct {
	*bufio.Writer
	file *os.File // nil for stdout
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
		file, err := os.OpenFile(filepath.Join(r.folder, name+".ndjson"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, &sink.Error{Doing: "creating a file", Where: r.folder, Err: err, Hint: "choose a folder that this user may write to (--out)"}
		}
		f.file = file
		f.Reset(file)
	}
	r.files[name] = f
	return f, nil
}

func (r *restored) close() error {
	var failed error
	for _, f := range r.files {
		err := f.Flush()
		if f.file != nil {
			err = errors.Join(err, f.file.Sync(), f.file.Close())
		}
		if err != nil && failed == nil {
			failed = &sink.Error{Doing: "writing NDJSON", Where: r.where(), Err: err}
		}
	}
	return failed
}
