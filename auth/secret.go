package auth

import (
	"fmt"
	"log/slog"
)

// Secret is a string that prints, logs and encodes as "[redacted]". Keep it in exported
// fields: fmt cannot call methods on a value in an unexported field, and prints what is
// inside.
type Secret string

// Format implements [fmt.Formatter], so that no verb prints the secret.
func (Secret) Format(s fmt.State, _ rune) { fmt.Fprint(s, "[redacted]") }

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText implements [encoding.TextMarshaler], for JSON and other encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }
