package seal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
)

// DataKey seals the secrets of one tenant. Unlike the keys of a Ring it is stored, wrapped by a key that is not in the
// database. It does not print and is safe for concurrent use; make it with NewDataKey.
type DataKey struct{ key key }

// NewDataKeySecret makes the 32 random bytes of a data key.
func NewDataKeySecret() Secret {
	secret := make([]byte, keySize)
	_, _ = rand.Read(secret) // never fails: it ends the program instead
	return NewSecret(string(secret))
}

// NewDataKey prepares a data key for use. The number, from 1, tells it from others of the same tenant; the secret is one of
// NewDataKeySecret, else the error is ErrUnreadable.
func NewDataKey(number int, secret Secret) (DataKey, error) {
	if number < 1 || len(secret.Reveal()) != keySize {
		return DataKey{}, ErrUnreadable
	}
	k, err := newKey(dataKeyFormat, strconv.Itoa(number), []byte(secret.Reveal()))
	return DataKey{k}, err
}

// Seal encrypts plain for the one place that the binding names, as Ring.Seal does.
func (k DataKey) Seal(plain Secret, binding string) (Box, error) {
	if binding == "" {
		return nil, errors.New("seal: a binding is required")
	}
	return k.key.seal(plain, binding), nil
}

// Open decrypts a Box that Seal made for the same binding. Of another data key's Box it is ErrUnknownKey.
func (k DataKey) Open(box Box, binding string) (Secret, error) {
	header, sealed, err := box.split()
	if err != nil {
		return Secret{}, err
	}
	if !k.key.is(header) {
		return Secret{}, ErrUnknownKey
	}
	return k.key.open(header, sealed, binding)
}

// Format keeps the key from being printed.
func (k DataKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Mask) }

// LogValue keeps the key from being logged.
func (DataKey) LogValue() slog.Value { return slog.StringValue(Mask) }

// DataKeyNumber is the number of the data key the Box was sealed with; 0 if a key of the keyring sealed it or the Box is
// malformed.
func (b Box) DataKeyNumber() int {
	header, _, err := b.split()
	if err != nil || header[0] != dataKeyFormat {
		return 0
	}
	number, err := strconv.Atoi(string(header[2:]))
	if err != nil || strconv.Itoa(number) != string(header[2:]) {
		return 0
	}
	return max(0, number)
}
