package config

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
)

// maxSecretSize bounds a secret file, in bytes: far more than any token, far
// less than a file that was named by mistake.
const maxSecretSize = 64 << 10

// redacted is what a secret prints as.
const redacted = "[redacted]"

// Secret is a text that no print, log or encoder shows: all of them give
// "[redacted]". Keep it in exported fields: fmt cannot call the methods of a
// value in an unexported one, and prints what is inside.
type Secret string

var (
	_ fmt.Formatter          = Secret("")
	_ fmt.GoStringer         = Secret("")
	_ encoding.TextMarshaler = Secret("")
	_ json.Marshaler         = Secret("")
	_ slog.LogValuer         = Secret("")
)

// Reveal returns the secret itself. Call it where the secret is sent, not
// earlier.
func (s Secret) Reveal() string { return string(s) }

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (s Secret) GoString() string { return redacted }

// Format prints "[redacted]" for every verb.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalText returns "[redacted]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "[redacted]" as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue returns "[redacted]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// readSecret reads a secret file: its content without one newline at the end.
// exposed tells whether every user of the machine may read it. The error holds
// neither the path nor the content: a path in a config may be a secret that
// was put under the wrong key.
func readSecret(dir, path string) (s Secret, exposed bool, err error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	// Before opening it, which would wait for a writer if it is a named pipe.
	info, err := os.Stat(path)
	if err != nil {
		return "", false, withoutPath(err)
	}
	if !info.Mode().IsRegular() {
		return "", false, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", false, withoutPath(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecretSize+1))
	if err != nil {
		return "", false, withoutPath(err)
	}
	if len(data) > maxSecretSize {
		return "", false, fmt.Errorf("more than %d KiB", maxSecretSize>>10)
	}
	if line, ok := bytes.CutSuffix(data, []byte("\n")); ok {
		data, _ = bytes.CutSuffix(line, []byte("\r"))
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return "", false, errors.New("the file is empty")
	}
	// Windows has no such bits and reports all of them.
	exposed = runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0
	return Secret(data), exposed, nil
}

// withoutPath keeps what happened of a file system error, not where.
func withoutPath(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
