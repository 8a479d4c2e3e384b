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
	"runtime"
)

// maxSecretSize is the maximum size of a secret file, in bytes: far more than any token, far
// less than a file named by mistake.
const maxSecretSize = 64 << 10

// redacted is printed in place of a secret.
const redacted = "[redacted]"

// Secret is a text that fmt, loggers and encoders print as "[redacted]". Keep it in exported
// fields: fmt cannot call the methods of a value in an unexported field, and prints the text
// itself.
type Secret string

var (
	_ fmt.Formatter          = Secret("")
	_ fmt.GoStringer         = Secret("")
	_ encoding.TextMarshaler = Secret("")
	_ json.Marshaler         = Secret("")
	_ slog.LogValuer         = Secret("")
)

// Reveal returns the secret itself. Call it where the secret is sent, not earlier.
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

// readSecret reads a secret file, and drops a single newline at its end. exposed reports whether
// every user of this machine can read the file.
func readSecret(path string) (s Secret, exposed bool, err error) {
	data, mode, err := readFile(path, maxSecretSize)
	if err != nil {
		return "", false, err
	}
	if line, ok := bytes.CutSuffix(data, []byte("\n")); ok {
		data, _ = bytes.CutSuffix(line, []byte("\r"))
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return "", false, errors.New("the file is empty")
	}
	return Secret(data), isExposed(mode), nil
}

// isExposed reports whether every user of this machine can read a file.
func isExposed(mode fs.FileMode) bool {
	return runtime.GOOS != "windows" && mode&0o004 != 0 // Windows has no such bits and reports all of them
}

// readFile reads a file of at most limit bytes that the config names. Its errors hold neither
// the path nor the content: a path in a config may be a secret under the wrong key.
func readFile(path string, limit int64) (data []byte, mode fs.FileMode, err error) {
	// Check before opening: opening a named pipe would wait for a writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, withoutPath(err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, withoutPath(err)
	}
	defer f.Close()
	data, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, 0, withoutPath(err)
	}
	if int64(len(data)) > limit {
		return nil, 0, fmt.Errorf("larger than %d KiB", limit>>10)
	}
	return data, info.Mode().Perm(), nil
}

// withoutPath strips the path from a file system error.
func withoutPath(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
