package tenant

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/seal"
)

// keyPrefix makes keys recognisable to secret scanners and to people.
const keyPrefix = "pgpd_"

// keyBytes is the entropy of a key: with 256 random bits there is nothing to guess, and a fast hash is enough.
const keyBytes = 32

// MaxKeyLife is the longest an API key may live, and how long it lives unless somebody says otherwise: 365 days.
const MaxKeyLife = 365 * 24 * time.Hour

// APIKey is a stored key: never the key itself.
type APIKey struct {
	PublicID   uuid.UUID
	Name       string
	Role       Role
	Hint       string // last characters, to tell keys apart
	ExpiresAt  time.Time
	LastUsedAt time.Time // zero if never
	CreatedAt  time.Time
}

// NewKey makes a key, which is shown once to its owner.
func NewKey() seal.Secret {
	raw := make([]byte, keyBytes)
	_, _ = rand.Read(raw) // documented never to fail
	return seal.NewSecret(keyPrefix + base64.RawURLEncoding.EncodeToString(raw))
}

// KeyHint is what is shown of a key ever after.
func KeyHint(key seal.Secret) string {
	text := key.Reveal()
	return text[max(0, len(text)-4):]
}

// LooksLikeKey tells without a look-up that a credential cannot be a key, so that noise costs no query.
func LooksLikeKey(credential seal.Secret) bool {
	text := credential.Reveal()
	return strings.HasPrefix(text, keyPrefix) && len(text) == len(keyPrefix)+base64.RawURLEncoding.EncodedLen(keyBytes)
}
