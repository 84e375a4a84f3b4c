// Package seal encrypts the secrets that the service stores, with keys that can be replaced, and binds each to its place.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
)

// A Box is: format version (1 byte), length of the key id (1 byte), key id, nonce (12 bytes), AES-256-GCM ciphertext,
// tag (16 bytes). Everything before the nonce, followed by the binding, is authenticated as associated data; the length
// byte makes that unambiguous. Nonces are random: NIST SP 800-38D allows 2^32 seals with one key.
//
// Version 1 is sealed with a key of the keyring. Version 2 is sealed with a data key, and has the number of that, in
// decimal, in the place of the key id.
const (
	formatVersion = 1
	dataKeyFormat = 2
)

var (
	// ErrUnknownKey means that the Box was sealed with a key that the Ring does not have.
	ErrUnknownKey = errors.New("seal: the keyring lacks the key this value was sealed with")
	// ErrUnreadable means that the Box is damaged, was moved from another place, or its key id now names another key.
	ErrUnreadable = errors.New("seal: the sealed value is damaged or belongs to another place")
)

// Box is a sealed Secret. It can be stored as bytes; printed, logged or encoded as JSON it shows only that it is one.
type Box []byte

const boxMask = "[sealed]"

func (Box) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, boxMask) }
func (Box) MarshalText() ([]byte, error) { return []byte(boxMask), nil }
func (Box) LogValue() slog.Value         { return slog.StringValue(boxMask) }

// KeyID names the key of the keyring the Box was sealed with; it is empty if a data key sealed it or the Box is malformed.
func (b Box) KeyID() string {
	header, _, err := b.split()
	if err != nil || header[0] != formatVersion {
		return ""
	}
	return string(header[2:])
}

// split separates the header from nonce, ciphertext and tag. It looks at lengths only.
func (b Box) split() (header, sealed []byte, err error) {
	if len(b) < 2 || b[0] != formatVersion && b[0] != dataKeyFormat || b[1] == 0 || len(b) < 2+int(b[1]) {
		return nil, nil, ErrUnreadable
	}
	end := 2 + int(b[1])
	return b[:end:end], b[end:], nil
}

type key struct {
	format byte
	id     string
	secret Secret
	aead   cipher.AEAD
}

func newKey(format byte, id string, secret []byte) (key, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return key{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return key{format, id, NewSecret(string(secret)), aead}, err
}

// Ring holds the keys. The first is the primary: it seals, all others only open. A Ring does not change and is safe for
// concurrent use; make it with ParseRing.
type Ring struct{ keys []key }

// IDs lists the key ids, the primary first.
func (r *Ring) IDs() []string {
	ids := make([]string, len(r.keys))
	for i, k := range r.keys {
		ids[i] = k.id
	}
	return ids
}

// Format keeps the keys from being printed. It has a value receiver so that a Ring and a *Ring are covered.
func (r Ring) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "[keyring %q]", r.IDs()) }

// LogValue keeps the keys from being logged.
func (r Ring) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(r)) }

// Seal encrypts plain with the primary key. The binding names the one place the Box is for, such as
// "tenant/12/integration/<uuid>/client_secret": it is not stored, and Open needs the same.
func (r *Ring) Seal(plain Secret, binding string) (Box, error) {
	if binding == "" {
		return nil, errors.New("seal: a binding is required")
	}
	return r.keys[0].seal(plain, binding), nil
}

func (k key) seal(plain Secret, binding string) Box {
	header := append([]byte{k.format, byte(len(k.id))}, k.id...)
	return k.aead.Seal(header, nil, []byte(plain.Reveal()), associated(header, binding)) // #nosec G407 -- this cipher makes a random nonce itself
}

// Open decrypts a Box that was sealed for the same binding, with any key of the ring.
func (r *Ring) Open(box Box, binding string) (Secret, error) {
	header, sealed, err := box.split()
	if err != nil {
		return Secret{}, err
	}
	i := slices.IndexFunc(r.keys, func(k key) bool { return k.is(header) })
	if i < 0 {
		return Secret{}, ErrUnknownKey
	}
	return r.keys[i].open(header, sealed, binding)
}

// is tells whether the header is of a Box that the key sealed.
func (k key) is(header []byte) bool { return k.format == header[0] && k.id == string(header[2:]) }

func (k key) open(header, sealed []byte, binding string) (Secret, error) {
	plain, err := k.aead.Open(nil, nil, sealed, associated(header, binding))
	if err != nil {
		return Secret{}, ErrUnreadable
	}
	return NewSecret(string(plain)), nil
}

func associated(header []byte, binding string) []byte {
	return append(slices.Clone(header), binding...)
}

// Stale tells whether the Box should be opened and sealed anew: it was not sealed with the primary key.
func (r *Ring) Stale(box Box) bool { return box.KeyID() != r.keys[0].id }

const checkText, checkBinding = "this keyring is the right one", "keyring/check"

// CheckValue returns a Box for the store to keep, so that VerifyCheck can tell later whether the keys are still right.
func (r *Ring) CheckValue() (Box, error) { return r.Seal(NewSecret(checkText), checkBinding) }

// CheckValues is CheckValue for each key of the ring, in the order of IDs.
func (r *Ring) CheckValues() []Box {
	boxes := make([]Box, len(r.keys))
	for i, k := range r.keys {
		boxes[i] = k.seal(NewSecret(checkText), checkBinding)
	}
	return boxes
}

// VerifyCheck fails if the Ring cannot open what CheckValue sealed: the service must not start with these keys.
func (r *Ring) VerifyCheck(box Box) error {
	got, err := r.Open(box, checkBinding)
	if err == nil && !got.Equal(NewSecret(checkText)) {
		err = ErrUnreadable
	}
	if err != nil {
		return fmt.Errorf("the keyring does not fit the stored secrets: %w", err)
	}
	return nil
}
