package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
)

const derivedSize = 32

// Derive makes a further secret of 32 bytes from the primary key, by HKDF-SHA-256 (RFC 5869). The label names the one
// purpose: each gives an independent secret, the same in every process with the same primary key, and none tells
// anything about the key itself.
func (r *Ring) Derive(label string) []byte {
	derived, err := hkdf.Key(sha256.New, []byte(r.keys[0].secret.Reveal()), nil, "pgp-defender/"+label, derivedSize)
	if err != nil {
		panic("seal: " + err.Error()) // only for a length that SHA-256 cannot give, and the length is constant
	}
	return derived
}

// DeriveEach is [Ring.Derive] from every key of the ring, by the key's id: to check what was made while another key was the
// primary one.
func (r *Ring) DeriveEach(label string) map[string][]byte {
	derived := make(map[string][]byte, len(r.keys))
	for _, k := range r.keys {
		derived[k.id] = (&Ring{keys: []key{k}}).Derive(label)
	}
	return derived
}
