package identity

import (
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

// texts is a claim that is a text or a list of texts; nil when there is none, and false for any other.
func (c *claims) texts(name string) (list []string, ok bool) {
	if one := c.text(name); one != "" {
		return []string{one}, true
	}
	value, told := c.others[name]
	if !told || value.Kind() == 'n' {
		return nil, true
	}
	return list, value.Kind() == '[' && json.Unmarshal(value, &list) == nil
}

// header is what this service looks at. Keys that a token brings along (jwk, jku, x5c, x5u) are nobody's word but the
// sender's, and are not looked at.
type header struct {
	Algorithm string         `json:"alg"`
	Type      jsontext.Value `json:"typ"`
	KeyID     string         `json:"kid"`
	Critical  jsontext.Value `json:"crit"`
}

// readStrictly refuses what the library would read in some way or other: repeated members, which readers disagree about,
// extensions that have to be understood, other kinds of tokens, and what is too large to be looked at.
func readStrictly(text string, algorithms []string) error {
	if len(text) > MaxLength {
		return TooLong
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 || slices.Contains(parts, "") {
		return Malformed
	}
	var h header
	if decode(parts[0], &h) != nil {
		return Malformed
	}
	switch {
	case !slices.Contains(algorithms, h.Algorithm):
		return BadAlgorithm
	case h.Critical != nil:
		return CriticalHeader
	case !knownType(h.Type):
		return BadType
	case !plainKeyID(h.KeyID):
		return BadKeyID
	}
	return checkTimes(parts[1])
}

// knownType tells whether a header says nothing of its type, or one of types.
func knownType(typ jsontext.Value) bool {
	if typ == nil {
		return true
	}
	var text string
	return typ.Kind() == '"' && json.Unmarshal(typ, &text) == nil && slices.Contains(types, strings.ToLower(text))
}

// checkTimes refuses times that are none or that do not fit everywhere: the library would turn a huge nbf into one long past.
func checkTimes(part string) error {
	var members map[string]jsontext.Value
	if decode(part, &members) != nil || members == nil {
		return Malformed
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		value, given := members[name]
		if !given {
			continue
		}
		var seconds float64
		if value.Kind() != '0' || json.Unmarshal(value, &seconds) != nil || seconds < 0 || seconds > latest {
			return BadTime
		}
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

// plainKeyID keeps ids that could be meant for a file system or a database from being looked up. Ids are often base64, in which
// a slash is a digit; together with a dot it would be a path.
func plainKeyID(id string) bool {
	if id == "" || len(id) > 200 || strings.Contains(id, "/") && strings.Contains(id, ".") {
		return false
	}
	return !strings.ContainsFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.~=+:/", r))
	})
}

// plainText tells whether a text can be stored and shown as it is.
func plainText(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}
