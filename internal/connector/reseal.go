package connector

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/seal"
)

// ResealStore is what [Reseal] needs of the database.
type ResealStore interface {
	// SecretsNotSealedWith lists up to n integrations, of whatever tenant, whose secret or staged one another key sealed, by
	// ascending ID after the given one. Only ID, PublicID, Tenant, SecretBox and Staged.Box are set.
	SecretsNotSealedWith(ctx context.Context, key string, after int64, n int) ([]Integration, error)
	// ReplaceSecretBox puts box in the place of i.SecretBox, or reports false if that is no longer the stored one. For
	// everybody else the integration stays unchanged.
	ReplaceSecretBox(ctx context.Context, i Integration, box seal.Box) (bool, error)
	// ReplaceStagedBox is the same for i.Staged.Box.
	ReplaceStagedBox(ctx context.Context, i Integration, box seal.Box) (bool, error)
}

// Resealed is what [Reseal] did.
type Resealed struct {
	Done       int         // now sealed with the primary key
	Unreadable []uuid.UUID // integrations whose secret, or staged one, opens with no key of the ring; left as they were
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
			readable := true
			for _, place := range []struct {
				box     seal.Box
				binding string
				replace func(context.Context, Integration, seal.Box) (bool, error)
			}{{i.SecretBox, i.binding(), store.ReplaceSecretBox}, {i.Staged.Box, i.stagedBinding(), store.ReplaceStagedBox}} {
				if len(place.box) == 0 || !ring.Stale(place.box) {
					continue
				}
				box, err := resealed(ring, place.box, place.binding)
				if errors.Is(err, seal.ErrUnknownKey) || errors.Is(err, seal.ErrUnreadable) {
					readable = false
					continue
				}
				if err != nil {
					return r, err
				}
				replaced, err := place.replace(ctx, i, box)
				if err != nil {
					return r, err
				}
				if replaced {
					r.Done++
				}
			}
			if !readable {
				r.Unreadable = append(r.Unreadable, i.PublicID)
			}
		}
	}
}

func resealed(ring *seal.Ring, box seal.Box, binding string) (seal.Box, error) {
	secret, err := ring.Open(box, binding)
	if err != nil {
		return nil, err
	}
	return ring.Seal(secret, binding)
}
