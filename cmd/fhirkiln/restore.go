package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fhirkiln/columnar"
	"fhirkiln/sink"
)

type restoreCommand struct {
	Paths []string `arg:"" placeholder:"PATH" help:"Parquet files that fhirkiln wrote, folders with them, or patterns."`
	Type  []string `placeholder:"TYPE" help:"Resources of this type only; may be repeated. Default: all."`
	Out   string   `type:"path" placeholder:"DIR" help:"Write a file TYPE.ndjson for each type there. Default: everything to stdout."`
}

// Help is shown by fhirkiln restore --help.
func (restoreCommand) Help() string {
	return `Every resource comes back as it was: the same members, arrays in order, numbers as written. The order
of members and white space may differ. In folders, what the server said was deleted (deleted/) is
left out; name its files to have it, as Bundles of one DELETE each.

  fhirkiln restore lake --type Patient
  fhirkiln restore lake --out ndjson`
}

// Run implements the command restore.
func (cmd *restoreCommand) Run(ctx context.Context, c console) error {
	parts, err := findParts(cmd.Paths)
	if err != nil {
		return &usageError{error: err}
	}
	out := &restored{folder: cmd.Out, stdout: c.stdout, files: map[string]*restoredFile{}}
	if cmd.Out != "" {
		if err := os.MkdirAll(cmd.Out, 0o700); err != nil {
			return &sink.Error{Doing: "creating the output folder", Where: cmd.Out, Err: err, Hint: "choose a folder that this user may write to (--out)"}
		}
	}
	for _, part := range parts {
		if err := cmd.part(ctx, part, out); err != nil {
			return errors.Join(err, out.close())
		}
	}
	return out.close()
}

func (cmd *restoreCommand) part(ctx context.Context, name string, out *restored) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	r, err := columnar.NewReader(f, info.Size())
	if err != nil {
		return &partError{name, err}
	}
	defer r.Close()
	if len(cmd.Type) > 0 && !slices.Contains(cmd.Type, r.ResourceType()) {
		return nil
	}
	w, err := out.writer(r.ResourceType())
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		resource, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &partError{name, err}
		}
		if _, err := w.Write(append(resource, '\n')); err != nil {
			return &sink.Error{Doing: "writing NDJSON", Where: out.where(), Err: err}
		}
	}
}

// partError is a Parquet file that cannot be read back.
type partError struct {
	name string
	err  error
}

func (e *partError) Error() string { return fmt.Sprintf("reading %s: %v", e.name, e.err) }

func (e *partError) Unwrap() error { return e.err }

// findParts finds the Parquet files that paths name.
func findParts(paths []string) ([]string, error) {
	var parts []string
	for _, path := range paths {
		matches, err := filepath.Glob(path)
		if _, exists := os.Stat(path); exists == nil {
			matches = []string{path}
		}
		if err != nil {
			return nil, fmt.Errorf("%s is not a path or pattern: %w", path, err)
		}
		before := len(parts)
		for _, m := range matches {
			err := filepath.WalkDir(m, func(name string, d fs.DirEntry, err error) error {
				switch {
				case err != nil:
					return err
				case d.IsDir() && name != m && (d.Name() == "deleted" || d.Name() == "_fhirkiln"):
					return filepath.SkipDir
				case !d.IsDir() && (strings.HasSuffix(name, ".parquet") || name == m):
					parts = append(parts, name)
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		if len(parts) == before {
			return nil, fmt.Errorf("%s: there is no Parquet file", path)
		}
	}
	return parts, nil
}

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
