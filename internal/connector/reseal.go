package connector

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/seal"
)

// ResealStore is what [Reseal] needs of the database.
type ResealStore interface {
	// SecretsToReseal lists up to n integrations, of whatever tenant, whose secret or staged one was not sealed with the data
	// key that seals for the tenant now, by ascending ID after the given one. Only ID, PublicID, Tenant and, where they are to be
	// sealed anew, SecretBox and Staged.Box are set.
	SecretsToReseal(ctx context.Context, after int64, n int) ([]Integration, error)
	// ReplaceSecretBox puts box in the place of i.SecretBox, or reports false if that is no longer the stored one. For
	// everybody else the integration stays unchanged.
	ReplaceSecretBox(ctx context.Context, i Integration, box seal.Box) (bool, error)
	// ReplaceStagedBox is the same for i.Staged.Box.
	ReplaceStagedBox(ctx context.Context, i Integration, box seal.Box) (bool, error)
}

// Resealed is what [Reseal] did.
type Resealed struct {
	Done       int         // now sealed with the tenant's data key
	Unreadable []uuid.UUID // integrations whose secret, or staged one, opens with no key there is; left as they were
}

// Reseal seals every stored secret with the present data key of its tenant, batch by batch. What is done stays done when it is
// interrupted; the next call goes on with the rest. A secret that somebody rotates meanwhile may have been sealed with the old key just
// before, so all are looked at again until none was missed.
func Reseal(ctx context.Context, store ResealStore, sealer Sealer, batch int) (r Resealed, err error) {
	for missed := true; missed && err == nil; {
		r.Unreadable = nil
		missed, err = resealAll(ctx, store, sealer, batch, &r)
	}
	return r, err
}

// resealAll looks at every secret once, and tells whether one was replaced by somebody else meanwhile.
func resealAll(ctx context.Context, store ResealStore, sealer Sealer, batch int, r *Resealed) (missed bool, err error) {
	for after := int64(0); ; {
		list, err := store.SecretsToReseal(ctx, after, batch)
		if err != nil || len(list) == 0 {
			return missed, err
		}
		for _, i := range list {
			after = i.ID
			done, lost, err := resealOne(ctx, store, sealer, i)
			r.Done += done
			missed = missed || lost
			if unreadable(err) {
				r.Unreadable = append(r.Unreadable, i.PublicID)
			} else if err != nil {
				return missed, err
			}
		}
	}
}

// resealOne tries both secrets of an integration, and tells that one of them is unreadable only after that.
func resealOne(ctx context.Context, store ResealStore, sealer Sealer, i Integration) (done int, lost bool, err error) {
	for _, place := range []struct {
		box     seal.Box
		binding string
		replace func(context.Context, Integration, seal.Box) (bool, error)
	}{{i.SecretBox, i.binding(), store.ReplaceSecretBox}, {i.Staged.Box, i.stagedBinding(), store.ReplaceStagedBox}} {
		if len(place.box) == 0 {
			continue
		}
		secret, failed := sealer.Open(ctx, i.Tenant, place.box, place.binding)
		if unreadable(failed) {
			err = failed
			continue
		}
		if failed != nil {
			return done, lost, failed
		}
		box, failed := sealer.Seal(ctx, i.Tenant, secret, place.binding)
		if failed != nil {
			return done, lost, failed
		}
		replaced, failed := place.replace(ctx, i, box)
		if failed != nil {
			return done, lost, failed
		}
		if replaced {
			done++
		} else {
			lost = true
		}
	}
	return done, lost, err
}

// unreadable tells whether a box will not open, however often it is tried.
func unreadable(err error) bool {
	return errors.Is(err, seal.ErrUnknownKey) || errors.Is(err, seal.ErrUnreadable)
}
