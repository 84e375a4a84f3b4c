package tenant

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/seal"
)

func sealsOf(t *testing.T, lines ...string) *KeySeals {
	t.Helper()
	text := ""
	for _, line := range lines {
		text += line + "\n"
	}
	ring, err := seal.ParseRing(text)
	if err != nil {
		t.Fatal(err)
	}
	return NewKeySeals(ring)
}

// TestAnAPIKeyIsGoodForWhatItWasMadeFor changes one thing at a time of what is stored of a key.
func TestAnAPIKeyIsGoodForWhatItWasMadeFor(t *testing.T) {
	t.Parallel()
	line, text := seal.NewKey().Reveal(), NewKey()
	seals := sealsOf(t, line)
	k := APIKey{PublicID: uuid.New(), Name: "for reports", Role: ReadOnly, ExpiresAt: time.Now().Add(time.Hour)}
	stored, err := seals.Seal(7, &k, text)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(seals.Hashes(text), func(h []byte) bool { return bytes.Equal(h, stored.Hash) }) || !seals.Genuine(7, &k, text, stored.Box) {
		t.Fatal("the key itself is not recognised")
	}
	if plain := sha256.Sum256([]byte(text.Reveal())); bytes.Equal(stored.Hash, plain[:]) || bytes.Contains(stored.Box, plain[:]) {
		t.Error("what is stored tells the digest of the key")
	}
	role, expiry, other, local, named := k, k, k, k, k
	named.Name = "for the owner"
	role.Role, expiry.ExpiresAt, other.PublicID = Admin, k.ExpiresAt.Add(time.Hour), uuid.New()
	local.ExpiresAt = k.ExpiresAt.In(time.FixedZone("", 3600))
	flipped := slices.Clone(stored.Box)
	flipped[len(flipped)-1] ^= 1
	for name, genuine := range map[string]bool{
		"another tenant":   seals.Genuine(8, &k, text, stored.Box),
		"another role":     seals.Genuine(7, &role, text, stored.Box),
		"another expiry":   seals.Genuine(7, &expiry, text, stored.Box),
		"another name":     seals.Genuine(7, &named, text, stored.Box),
		"another id":       seals.Genuine(7, &other, text, stored.Box),
		"another key":      seals.Genuine(7, &k, NewKey(), stored.Box),
		"a flipped bit":    seals.Genuine(7, &k, text, flipped),
		"no box":           seals.Genuine(7, &k, text, nil),
		"another keyring":  sealsOf(t, seal.NewKey().Reveal()).Genuine(7, &k, text, stored.Box),
		"another timezone": !seals.Genuine(7, &local, text, stored.Box),
	} {
		if genuine {
			t.Errorf("%s changed, and it is taken for genuine", name)
		}
	}
}

func TestAnAPIKeyOutlivesTheKeysOfTheKeyring(t *testing.T) {
	t.Parallel()
	older, newer, text := seal.NewKey().Reveal(), seal.NewKey().Reveal(), NewKey()
	k := APIKey{PublicID: uuid.New(), Role: Admin, ExpiresAt: time.Now().Add(time.Hour)}
	first, err := sealsOf(t, older).Seal(7, &k, text)
	if err != nil {
		t.Fatal(err)
	}
	both := sealsOf(t, newer, older)
	if hashes := both.Hashes(text); len(hashes) != 2 || !slices.ContainsFunc(hashes, func(h []byte) bool { return bytes.Equal(h, first.Hash) }) || !both.Genuine(7, &k, text, first.Box) {
		t.Error("the older key's is not recognised beside a newer one")
	}
	renewed, err := both.Renew(7, &k, first.Box)
	if err != nil {
		t.Fatal(err)
	}
	alone := sealsOf(t, newer)
	if !bytes.Equal(alone.Hashes(text)[0], renewed.Hash) || !alone.Genuine(7, &k, text, renewed.Box) {
		t.Error("the renewed one is not recognised without the older key")
	}
	if _, err := alone.Renew(7, &k, first.Box); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("without the older key it is renewed: %v", err)
	}
	k.Role = ReadOnly
	if _, err := both.Renew(7, &k, first.Box); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("what was changed is renewed: %v", err)
	}
}
