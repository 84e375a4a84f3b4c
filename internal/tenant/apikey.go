package tenant

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/google/uuid"
)

// keyPrefix makes keys recognisable to secret scanners and to people.
const keyPrefix = "pgpd_"

// keyBytes is the entropy of a key. With 256 random bits a plain SHA-256 is enough: there is nothing to guess.
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

// NewKey makes a key: the text shown once to its owner, the hash to store and the hint to show.
func NewKey() (text string, hash [sha256.Size]byte, hint string) {
	raw := make([]byte, keyBytes)
	_, _ = rand.Read(raw) // documented never to fail
	text = keyPrefix + base64.RawURLEncoding.EncodeToString(raw)
	return text, HashKey(text), text[len(text)-4:]
}

// HashKey is what is stored and looked up instead of the key.
func HashKey(text string) [sha256.Size]byte { return sha256.Sum256([]byte(text)) }

// LooksLikeKey tells without a look-up that a text cannot be a key, so that noise costs no query.
func LooksLikeKey(text string) bool {
	return strings.HasPrefix(text, keyPrefix) && len(text) == len(keyPrefix)+base64.RawURLEncoding.EncodedLen(keyBytes)
}
