package api

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a value that is meant for the wire only. It prints as a fixed mask, whatever the verb; encoding it as JSON
// yields the value, because that is how it is sent, so a structure that holds one must not be logged as JSON.
type Secret string

// Reveal returns the value.
func (s Secret) Reveal() string { return string(s) }

// Format writes the mask for every verb and flag.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue gives the mask to slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
