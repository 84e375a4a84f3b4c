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

// Unwrap refuses what another key wrapped than the name says: such a row would count as moved to a key that does not open it, until the one
// that does is thrown away.
func (k keyring) Unwrap(_ context.Context, name string, wrapped []byte, place string) (seal.Secret, error) {
	if KeyringPrefix+seal.Box(wrapped).KeyID() != name {
		return seal.Secret{}, seal.ErrUnreadable
	}
	return k.ring.Open(wrapped, place)
}
