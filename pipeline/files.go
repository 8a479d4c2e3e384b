package pipeline

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"fhirkiln/bulk"
)

// Files is local NDJSON, for [Convert]. gzip and zstd are recognized by their content.
type Files struct {
	stdin io.Reader
	files []bulk.File     // URL is the path, "-" stdin
	pipes map[string]bool // by path: those that are not regular files, stdin included
}

// FindFiles finds the NDJSON that paths name. A path is a file, a folder, a pattern as in
// [filepath.Glob], or - for stdin. In a folder and its subfolders, these are taken: *.ndjson,
// *.jsonl and *.json, plain, .gz or .zst.
func FindFiles(stdin io.Reader, paths ...string) (*Files, error) {
	s := &Files{stdin: stdin}
	for _, path := range paths {
		if path == "-" {
			if stdin == nil {
				return nil, errors.New("-: there is no stdin")
			}
			s.addPipe("stdin", path)
			continue
		}
		matches, err := filepath.Glob(path)
		if _, err := os.Stat(path); err == nil {
			matches = []string{path} // an existing file with brackets in its name is no pattern
		}
		if err != nil {
			return nil, fmt.Errorf("%s is not a valid path or pattern: %w", path, err)
		}
		if len(matches) == 0 {
			return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
		}
		found := 0
		for _, m := range matches {
			n, err := s.add(m)
			if err != nil {
				return nil, err
			}
			found += n
		}
		if found == 0 {
			return nil, fmt.Errorf("%s holds no *.ndjson, *.jsonl or *.json, plain, .gz or .zst: %w", path, fs.ErrNotExist)
		}
	}
	return s, nil
}

// add adds a file, or the files in a folder, and returns how many it has added.
func (s *Files) add(path string) (int, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if !info.IsDir() {
		return 1, s.addFile(path, info.Mode())
	}
	n := 0
	err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !isNDJSON(name) {
			return err
		}
		if info, err = os.Stat(name); err != nil {
			return err
		}
		if info.IsDir() {
			return fmt.Errorf("%s is a symlink to a folder and is not followed: name that folder, too", name)
		}
		n++
		return s.addFile(name, info.Mode())
	})
	return n, err
}

func isNDJSON(name string) bool {
	name = strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(name), ".gz"), ".zst")
	return slices.Contains([]string{".ndjson", ".jsonl", ".json"}, filepath.Ext(name))
}

// addFile adds a file by the type of its first resource, which says what files may share a
// part. A file without a resource is added too: the conversion says what is wrong with it.
func (s *Files) addFile(path string, mode fs.FileMode) error {
	if !mode.IsRegular() { // what is read from a pipe is gone
		s.addPipe("pipe", path)
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	r, err := decompress(file)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // an error does not matter: only the beginning was wanted
	f := bulk.File{Type: cmp.Or(bulk.FirstType(r), "unknown"), URL: path, Count: -1}
	if info, err := file.Stat(); err == nil && !r.packed {
		f.Bytes = info.Size()
	}
	s.files = append(s.files, f)
	return nil
}

// addPipe adds what can be read only once, from start to end.
func (s *Files) addPipe(kind, path string) {
	if s.pipes == nil {
		s.pipes = map[string]bool{}
	}
	s.pipes[path] = true
	s.files = append(s.files, bulk.File{Type: kind, URL: path, Count: -1})
}

func (s *Files) manifest() *bulk.Manifest { return &bulk.Manifest{Output: s.files} }

// Open implements [Opener]. Reading from a pipe ends when ctx does.
func (s *Files) Open(ctx context.Context, _ *bulk.Manifest, f bulk.File) (Stream, error) {
	open := func() (io.ReadCloser, error) { return os.Open(f.URL) }
	if f.URL == "-" {
		open = func() (io.ReadCloser, error) { return io.NopCloser(s.stdin), nil }
	}
	if s.pipes[f.URL] {
		blocking := open
		open = func() (io.ReadCloser, error) { return untilEnd(ctx, blocking), nil }
	}
	file, err := open()
	if err != nil {
		return nil, err
	}
	r, err := decompress(file)
	if err != nil {
		return nil, err
	}
	return &fileStream{ReadCloser: r}, nil
}

// untilEnd opens and reads a pipe until ctx ends. Opening a pipe may block until somebody
// writes to it, and a read may block forever; what still blocks when ctx ends goes on
// blocking in a goroutine.
func untilEnd(ctx context.Context, open func() (io.ReadCloser, error)) io.ReadCloser {
	r, w := io.Pipe()
	stop := context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })
	go func() {
		from, err := open()
		if err == nil {
			_, err = io.CopyBuffer(w, struct{ io.Reader }{from}, make([]byte, 256<<10))
			from.Close()
		}
		w.CloseWithError(err) // nil means EOF
	}()
	return &interruptible{r, stop}
}

type interruptible struct {
	*io.PipeReader
	stop func() bool
}

// Close implements [io.Closer].
func (i *interruptible) Close() error {
	i.stop()
	return i.PipeReader.Close()
}

// zstdWindow is the maximum window of a zstd file: how far back into the unpacked data it may
// refer, and so how much memory it takes. It is what zstd itself accepts by default.
const zstdWindow = 128 << 20

// decompress returns a reader of what f holds, plain or packed with gzip or zstd.
func decompress(f io.ReadCloser) (*unpacked, error) {
	const packedBuffer = 256 << 10
	buffered := bufio.NewReader(f) // small: large reads bypass it
	magic, _ := buffered.Peek(4)
	opened := &unpacked{Reader: buffered, file: f}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		gz, err := gzip.NewReader(bufio.NewReaderSize(buffered, packedBuffer))
		if err != nil {
			f.Close()
			return nil, packedError(err)
		}
		opened.Reader, opened.packed = gz, true
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// One goroutine is enough: other workers convert other files meanwhile.
		z, err := zstd.NewReader(bufio.NewReaderSize(buffered, packedBuffer), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			f.Close()
			return nil, packedError(err)
		}
		opened.Reader, opened.packed, opened.end = z, true, z.Close
	}
	return opened, nil
}

type unpacked struct {
	io.Reader
	file   io.Closer
	packed bool
	end    func() // closes the decompressor; may be nil
}

// Read implements [io.Reader].
func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	if err != nil && err != io.EOF && u.packed {
		err = packedError(err)
	}
	return n, err
}

func packedError(err error) error {
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		return &WindowError{err}
	}
	return &BrokenFileError{fmt.Errorf("it cannot be decompressed, as if it were cut off or damaged: %w", err)}
}

func (u *unpacked) Close() error {
	if u.end != nil {
		u.end()
	}
	return u.file.Close()
}

// fileStream counts and hashes what is read.
type fileStream struct {
	io.ReadCloser
	sum  bulk.XXH128
	read int64
}

// Read implements [io.Reader].
func (s *fileStream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	_, _ = s.sum.Write(p[:n]) // never fails
	s.read += int64(n)
	return n, err
}

// Stats implements [Stream].
func (s *fileStream) Stats() bulk.StreamStats {
	return bulk.StreamStats{Bytes: s.read, XXH128: s.sum.String(), Attempts: 1}
}
