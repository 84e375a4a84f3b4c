package envelope

import (
	"context"
	"slices"
	"strings"

	"pgp.internal/defender/internal/seal"
)

// KeyringPrefix begins the names of keys of a keyring; the key's id follows.
const KeyringPrefix = "keyring:"

type keyring struct{ ring *seal.Ring }

// Keyring makes the primary key of a ring the one that wraps; its other keys unwrap.
func Keyring(ring *seal.Ring) KEK { return keyring{ring} }

func (k keyring) Wrap(_ context.Context, clear seal.Secret, place string) (string, []byte, error) {
	box, err := k.ring.Seal(clear, place)
	return KeyringPrefix + box.KeyID(), box, err
}

func (k keyring) Opens(name string) bool {
	id, ours := strings.CutPrefix(name, KeyringPrefix)
	return ours && slices.Contains(k.ring.IDs(), id)
}

func (k keyring) Unwrap(_ context.Context, _ string, wrapped []byte, place string) (seal.Secret, error) {
	return k.ring.Open(wrapped, place)
}
