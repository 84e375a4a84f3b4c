package seal

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// Mask is what a Secret looks like wherever it is printed, logged or encoded.
const Mask = "[secret]"

// Secret is a text that does not print: every formatting verb, encoding/json, encoding.TextMarshaler and log/slog give
// Mask. Reveal is the only way to the text. The zero Secret is empty.
//
// The text is behind a pointer because fmt reaches unexported fields without asking their methods, and then prints an
// address. It also keeps == from comparing texts; use Equal.
type Secret struct{ text *string }

// NewSecret wraps a text.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text. Hand it straight to what needs it; do not keep it.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero tells whether the text is empty.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// Equal compares two texts in a time that does not depend on where they differ.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

func (Secret) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, Mask) }
func (Secret) String() string               { return Mask }
func (Secret) GoString() string             { return Mask }
func (Secret) MarshalText() ([]byte, error) { return []byte(Mask), nil }
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + Mask + `"`), nil }
func (Secret) LogValue() slog.Value         { return slog.StringValue(Mask) }

// UnmarshalText takes the text from a request or a configuration. JSON strings arrive here too.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}
