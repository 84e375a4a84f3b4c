package connector

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/seal"
)

// ResealStore is what [Reseal] needs of the database.
type ResealStore interface {
	// SecretsNotSealedWith lists up to n integrations, of whatever tenant, whose secret another key sealed, by ascending
	// ID after the given one. Only ID, PublicID, Tenant and SecretBox are set.
	SecretsNotSealedWith(ctx context.Context, key string, after int64, n int) ([]Integration, error)
	// ReplaceSecretBox puts box in the place of i.SecretBox, or reports false if that is no longer the stored one. For
	// everybody else the integration stays unchanged.
	ReplaceSecretBox(ctx context.Context, i Integration, box seal.Box) (bool, error)
}

// Resealed is what [Reseal] did.
type Resealed struct {
	Done       int         // now sealed with the primary key
	Unreadable []uuid.UUID // integrations whose secret opens with no key of the ring; left as they were
}

// Reseal seals every stored secret with the ring's primary key, batch by batch. What is done stays done when it is
// interrupted; the next call goes on with the rest. A secret that somebody rotates meanwhile is left to them.
func Reseal(ctx context.Context, store ResealStore, ring *seal.Ring, batch int) (r Resealed, err error) {
	for after := int64(0); ; {
		list, err := store.SecretsNotSealedWith(ctx, ring.IDs()[0], after, batch)
		if err != nil || len(list) == 0 {
			return r, err
		}
		for _, i := range list {
			after = i.ID
			secret, err := ring.Open(i.SecretBox, i.binding())
			if errors.Is(err, seal.ErrUnknownKey) || errors.Is(err, seal.ErrUnreadable) {
				r.Unreadable = append(r.Unreadable, i.PublicID)
				continue
			}
			if err != nil {
				return r, err
			}
			box, err := ring.Seal(secret, i.binding())
			if err != nil {
				return r, err
			}
			replaced, err := store.ReplaceSecretBox(ctx, i, box)
			if err != nil {
				return r, err
			}
			if replaced {
				r.Done++
			}
		}
	}
}
