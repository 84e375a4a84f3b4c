package tenant

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"pgp.internal/defender/internal/seal"
)

// KeySeals make what is stored of an API key, and tell whether it is genuine. They are safe for concurrent use.
//
// Nothing in the database is enough to try a key, or to make one: the hash by which a key is found needs a key of the keyring, and so
// does the box beside it, which holds the key's digest and opens only for the tenant, id, name, role and expiry it was made for. A row that
// was written, moved or changed by whoever can write the database, but has no keyring, lets nobody in.
type KeySeals struct {
	ring    *seal.Ring
	hashing map[string][]byte // by the keyring's key
}

// SealedKey is what is stored of an API key.
type SealedKey struct {
	Hash []byte // HMAC-SHA-256 of the digest, by which the key is found; 32 bytes
	Box  seal.Box
}

const hashLabel = "api key"

// NewKeySeals takes the keyring: its first key seals, all recognise.
func NewKeySeals(ring *seal.Ring) *KeySeals {
	return &KeySeals{ring: ring, hashing: ring.DeriveEach(hashLabel)}
}

// Seal makes what is stored of the key, which is good for what k says: its id, name, role and expiry.
func (s *KeySeals) Seal(id ID, k *APIKey, key seal.Secret) (SealedKey, error) {
	return s.seal(id, k, digest(key))
}

func (s *KeySeals) seal(id ID, k *APIKey, digest seal.Secret) (SealedKey, error) {
	box, err := s.ring.Seal(digest, keyPlace(id, k))
	return SealedKey{Hash: hash(s.hashing[s.ring.IDs()[0]], digest), Box: box}, err
}

// Hashes lists by which hashes the key may be stored: one for each key of the keyring.
func (s *KeySeals) Hashes(key seal.Secret) [][]byte {
	hashes, d := make([][]byte, 0, len(s.hashing)), digest(key)
	for _, with := range s.hashing {
		hashes = append(hashes, hash(with, d))
	}
	return hashes
}

// Genuine tells whether the box was made by Seal for the key and for what k says.
func (s *KeySeals) Genuine(id ID, k *APIKey, key seal.Secret, box seal.Box) bool {
	opened, err := s.ring.Open(box, keyPlace(id, k))
	return err == nil && opened.Equal(digest(key))
}

// Renew seals anew, with the first key of the keyring, what one of the others has sealed. The error is [seal.ErrUnknownKey] or
// [seal.ErrUnreadable] if it does not open.
func (s *KeySeals) Renew(id ID, k *APIKey, box seal.Box) (SealedKey, error) {
	digest, err := s.ring.Open(box, keyPlace(id, k))
	if err != nil {
		return SealedKey{}, err
	}
	return s.seal(id, k, digest)
}

// keyPlace binds a box to all that a key is good for, and to the name that the audit trail tells of whoever uses it. The expiry counts in microseconds, as the database does.
func keyPlace(id ID, k *APIKey) string {
	return fmt.Sprintf("tenant/%d/api_key/%s/%s/until/%d/%s", id, k.PublicID, k.Role, k.ExpiresAt.UnixMicro(), k.Name)
}

func digest(key seal.Secret) seal.Secret {
	sum := sha256.Sum256([]byte(key.Reveal()))
	return seal.NewSecret(string(sum[:]))
}

func hash(key []byte, digest seal.Secret) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(digest.Reveal())) // documented never to fail
	return mac.Sum(nil)
}
