package tenant

import (
	"context"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/seal"
)

// StoredKey is what [KeySeals.Reseal] needs to know of a stored API key: of Key only the id, name, role and expiry.
type StoredKey struct {
	Tenant ID
	Key    APIKey
	Box    seal.Box
}

// KeyResealStore is what [KeySeals.Reseal] needs of the database.
type KeyResealStore interface {
	// APIKeysToReseal lists up to n API keys of all tenants that can still be used and that another key of the keyring than the one
	// with that id has sealed, ordered by tenant and id, after the given one.
	APIKeysToReseal(ctx context.Context, sealing string, after StoredKey, n int) ([]StoredKey, error)
	// ReplaceKeySeal stores what the key is sealed to now, or reports false if k.Box is no longer what is stored.
	ReplaceKeySeal(ctx context.Context, k StoredKey, sealed SealedKey) (bool, error)
}

// ResealedKeys is what [KeySeals.Reseal] did.
type ResealedKeys struct {
	Done       int
	Unreadable []uuid.UUID // keys that no key of the keyring opens, or that were changed outside the service; left as they were
}

// Reseal seals every API key anew that was not sealed with the first key of the keyring, batch by batch. Their owners notice nothing.
// What is done stays done when it is interrupted; the next call goes on with the rest.
func (s *KeySeals) Reseal(ctx context.Context, store KeyResealStore, batch int) (r ResealedKeys, err error) {
	for after := (StoredKey{}); ; {
		list, err := store.APIKeysToReseal(ctx, s.ring.IDs()[0], after, batch)
		if err != nil || len(list) == 0 {
			return r, err
		}
		for _, k := range list {
			after = k
			sealed, err := s.Renew(k.Tenant, &k.Key, k.Box)
			if err != nil {
				r.Unreadable = append(r.Unreadable, k.Key.PublicID)
				continue
			}
			done, err := store.ReplaceKeySeal(ctx, k, sealed)
			if err != nil {
				return r, err
			}
			if done {
				r.Done++
			}
		}
	}
}
