package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

const keySize = 32 // AES-256

// keyID is short enough that no whole key can pass for an id and be named in an error.
var keyID = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,23}$`)

// NewKey returns a new line for the keyring, "id:base64". The id begins with the day in UTC.
func NewKey() Secret {
	secret := make([]byte, keySize)
	_, _ = rand.Read(secret) // never fails: it ends the program instead
	id := time.Now().UTC().Format("20060102") + "-" + strings.ToLower(rand.Text()[:6])
	return NewSecret(id + ":" + base64.StdEncoding.EncodeToString(secret))
}

// ParseRing reads a keyring: one "id:base64 of 32 bytes" a line, the primary first; empty lines and lines that begin
// with # do not count. A JSON array of such strings is taken as well. Errors tell which entry is wrong and why, all
// at once, and never show a key.
func ParseRing(text string) (*Ring, error) {
	entries, err := entriesOf(text)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, errors.New("keyring: it holds no key")
	}
	ring := &Ring{}
	seen := map[string]bool{} // ids and key bytes: their lengths differ
	var problems []error
	for i, entry := range entries {
		id, secret, err := parseEntry(entry)
		switch {
		case err != nil:
		case seen[id]:
			err = fmt.Errorf("the id %q occurs twice", id)
		case seen[string(secret)]:
			err = fmt.Errorf("the key of %q occurs twice", id)
		default:
			var k key
			k, err = newKey(formatVersion, id, secret)
			ring.keys = append(ring.keys, k)
			seen[id], seen[string(secret)] = true, true
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("keyring: entry %d: %w", i+1, err))
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return ring, nil
}

func entriesOf(text string) (entries []string, err error) {
	if strings.HasPrefix(strings.TrimSpace(text), "[") {
		if json.Unmarshal([]byte(text), &entries) != nil {
			return nil, errors.New("keyring: it begins like JSON but is no array of strings")
		}
		return entries, nil
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			entries = append(entries, line)
		}
	}
	return entries, nil
}

func parseEntry(entry string) (id string, secret []byte, err error) {
	id, encoded, found := strings.Cut(entry, ":")
	if !found {
		return "", nil, errors.New(`it is not of the form "id:base64"`)
	}
	if !keyID.MatchString(id) {
		return "", nil, errors.New("the id must be 1 to 24 of a-z, 0-9, dot, dash, underscore, and begin with a letter or digit")
	}
	secret, err = base64.StdEncoding.Strict().DecodeString(encoded)
	switch {
	case encoded == "":
		err = fmt.Errorf("the key of %q is missing", id)
	case err != nil:
		err = fmt.Errorf("the key of %q is not base64", id) // the decoder's message could show a part
	case len(secret) != keySize:
		err = fmt.Errorf("the key of %q has %d bytes, %d are needed", id, len(secret), keySize)
	case weak(secret):
		err = fmt.Errorf("the key of %q is not random: let \"defenderd keyring\" make one", id)
	}
	return id, secret, err
}

// weak recognises keys that people write by hand or copy from examples: repetitions (all bytes equal among them),
// counting, readable text, and the AES-256 key of NIST SP 800-38A. A random key is one with a chance below 2^-45.
func weak(secret []byte) bool {
	text, steady := true, true
	for i, b := range secret {
		text = text && b >= ' ' && b <= '~'
		steady = steady && (i == 0 || b-secret[i-1] == secret[1]-secret[0])
	}
	half := len(secret) / 2
	nist, err := hex.DecodeString("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
	return text || steady || bytes.Equal(secret[:half], secret[half:]) || err == nil && bytes.Equal(secret, nist)
}
