package bulktest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/gzip"
)

// Folder returns [Data] that serves the *.ndjson and *.ndjson.gz files of a folder, without its
// subfolders, in the order of their names. A file's type is the resourceType of its first
// resource, or if that has none, the start of its name (Patient-2.ndjson). Files are counted
// when they are first exported. They must not change while they are served; files added later
// are not seen.
func Folder(dir string) (Data, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the folder to serve: %w", err)
	}
	var files Files
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(strings.TrimSuffix(e.Name(), ".gz"), ".ndjson") {
			continue
		}
		file, err := folderFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading the folder to serve: %w", err)
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("folder %s has no *.ndjson or *.ndjson.gz", dir)
	}
	return files, nil
}

func folderFile(path string) (File, error) {
	f := File{Count: -1, counted: new(atomic.Int64), Open: func() (io.ReadCloser, error) { return openNDJSON(path) }}
	r, err := f.Open()
	if err != nil {
		return File{}, err
	}
	defer r.Close()
	line, err := newLineReader(r).next()
	if err != nil && !errors.Is(err, io.EOF) {
		return File{}, fmt.Errorf("%s: %w", path, err)
	}
	if f.Type = resourceType(line); f.Type == "" {
		name := filepath.Base(path)
		f.Type = name[:len(name)-len(strings.TrimLeft(name, letters))]
	}
	if f.Type == "" {
		return File{}, fmt.Errorf("%s: neither the first line nor the file name gives a resource type", path)
	}
	return f, nil
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// resourceType returns a line's resourceType if it could be one, else "".
func resourceType(line []byte) string {
	var typ string
	err := lookup(line, []string{"resourceType"}, func(v jsontext.Value) error {
		typ = text(v)
		return nil
	})
	if err != nil || strings.Trim(typ, letters) != "" {
		return ""
	}
	return typ
}

// openNDJSON opens a file, decompressing it if its name says so.
func openNDJSON(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(path, ".gz") {
		return f, nil
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return gzipFile{z, f}, nil
}

type gzipFile struct {
	*gzip.Reader
	f *os.File
}

func (g gzipFile) Close() error { return errors.Join(g.Reader.Close(), g.f.Close()) }
