package identity

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"encoding/base64"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

// claims are the registered ones, and the others as they came.
type claims struct {
	jwt.RegisteredClaims
	others map[string]jsontext.Value
}

// UnmarshalJSON keeps all claims; the library's type reads the registered ones.
func (c *claims) UnmarshalJSON(text []byte) error {
	if err := json.Unmarshal(text, &c.others); err != nil {
		return err
	}
	return json.Unmarshal(text, &c.RegisteredClaims)
}

// text is a claim that is a text; empty for any other.
func (c *claims) text(name string) string {
	var s string
	if value, told := c.others[name]; !told || json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}

// texts is a claim that is a text or a list of texts; nil for any other.
func (c *claims) texts(name string) (list []string) {
	if one := c.text(name); one != "" {
		return []string{one}
	}
	if value, told := c.others[name]; !told || json.Unmarshal(value, &list) != nil {
		return nil
	}
	return list
}

// header is what this service looks at. Keys that a token brings along (jwk, jku, x5c, x5u) are nobody's word but the
// sender's, and are not looked at.
type header struct {
	Algorithm string         `json:"alg"`
	Type      string         `json:"typ"`
	KeyID     string         `json:"kid"`
	Critical  jsontext.Value `json:"crit"`
}

// readStrictly refuses what the library would read in some way or other: repeated members, which readers disagree about,
// extensions that have to be understood, other kinds of tokens, and what is too large to be looked at.
func readStrictly(text string) error {
	if len(text) > MaxLength {
		return fmt.Errorf("it has %d bytes", len(text))
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 || slices.Contains(parts, "") {
		return errors.New("it has no three parts")
	}
	var h header
	if err := decode(parts[0], &h); err != nil {
		return fmt.Errorf("its header: %w", err)
	}
	switch {
	case h.Critical != nil:
		return errors.New("it demands an extension")
	case !slices.Contains(types, strings.ToLower(h.Type)):
		return errors.New("it is another type of token")
	case !plainKeyID(h.KeyID):
		return errors.New("its key id is odd")
	}
	var body struct {
		ExpiresAt float64 `json:"exp"`
	}
	if err := decode(parts[1], &body); err != nil {
		return fmt.Errorf("its claims: %w", err)
	}
	if body.ExpiresAt < 0 || body.ExpiresAt > latest {
		return errors.New("its time of expiry cannot be")
	}
	return nil
}

// latest is the year 9999 in Unix seconds; later times do not fit everywhere.
const latest = 253402300799

// decode refuses repeated members, invalid UTF-8 and what stands behind the document.
func decode(part string, into any) error {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// plainKeyID keeps ids that could be meant for a file system or a database from being looked up.
func plainKeyID(id string) bool {
	return len(id) <= 200 && !strings.ContainsFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.~=+:", r))
	})
}
