package auth

import (
	"fmt"
	"log/slog"
)

// Secret is a text that no print, log or encoder shows: all of them give "[redacted]".
// Keep it in exported fields: fmt cannot call the methods of a value in an unexported
// one, and prints what is inside.
type Secret string

// Format implements [fmt.Formatter], so that no verb prints the secret.
func (Secret) Format(s fmt.State, _ rune) { fmt.Fprint(s, "[redacted]") }

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText implements [encoding.TextMarshaler], for JSON and others.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }
