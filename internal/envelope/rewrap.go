package envelope

import (
	"context"
	"errors"

	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// RewrapStore is what [Keys.Rewrap] and [Keys.Renew] need of the database.
type RewrapStore interface {
	Store
	// DataKeysNotWrappedBy lists up to n data keys of all tenants that another key wrapped, ordered by tenant and number, after
	// the given one.
	DataKeysNotWrappedBy(ctx context.Context, kek string, after DataKey, n int) ([]DataKey, error)
	// ReplaceWrapped puts what is wrapped anew in the place of old, or reports false if that is no longer what is stored.
	ReplaceWrapped(ctx context.Context, old, renewed DataKey) (bool, error)
	// SingleDataKeys lists up to n tenants with one data key, by ascending id after the given one. One with more is in the middle
	// of a replacement.
	SingleDataKeys(ctx context.Context, after tenant.ID, n int) ([]DataKey, error)
	// DropReplacedDataKeys deletes those that another one of the tenant has replaced and that seal nothing any more.
	DropReplacedDataKeys(ctx context.Context) (int, error)
}

// Rewrapped is what [Keys.Rewrap] did.
type Rewrapped struct {
	Done       int
	Unreadable []tenant.ID // tenants with a data key that none of the keys unwraps; left as it was
}

// Rewrap wraps every data key that another key has wrapped with the current one, batch by batch. What is done stays done when
// it is interrupted; the next call goes on with the rest. Secrets are not touched.
func (k *Keys) Rewrap(ctx context.Context, store RewrapStore, batch int) (r Rewrapped, err error) {
	name, err := k.currentName(ctx)
	if err != nil {
		return r, err
	}
	for after := (DataKey{}); ; {
		list, err := store.DataKeysNotWrappedBy(ctx, name, after, batch)
		if err != nil || len(list) == 0 {
			return r, err
		}
		for _, d := range list {
			after = d
			switch done, err := k.rewrap(ctx, store, d); {
			case errors.Is(err, seal.ErrUnknownKey) || errors.Is(err, seal.ErrUnreadable):
				r.Unreadable = append(r.Unreadable, d.Tenant)
			case err != nil:
				return r, err
			case done:
				r.Done++
			}
		}
	}
}

func (k *Keys) rewrap(ctx context.Context, store RewrapStore, d DataKey) (bool, error) {
	clear, err := k.unwrap(ctx, d)
	if err != nil {
		return false, err
	}
	renewed, err := k.wrap(ctx, d, clear)
	if err != nil {
		return false, err
	}
	return store.ReplaceWrapped(ctx, d, renewed)
}

// currentName asks the current key for its name, which has its version in it: only what it wraps tells that.
func (k *Keys) currentName(ctx context.Context) (string, error) {
	name, _, err := k.Current().Wrap(ctx, seal.NewSecret(checkText), checkPlace)
	return name, err
}

// Renew gives each tenant with one data key a second, which seals from then on. Secrets keep the first until they are sealed
// anew; then DropReplacedDataKeys ends the replacement. A tenant in the middle of one is left alone, so an interrupted
// call can be repeated.
func (k *Keys) Renew(ctx context.Context, store RewrapStore, batch int) (made int, err error) {
	for after := tenant.ID(0); ; {
		list, err := store.SingleDataKeys(ctx, after, batch)
		if err != nil || len(list) == 0 {
			return made, err
		}
		for _, d := range list {
			after = d.Tenant
			next, err := k.wrap(ctx, DataKey{Tenant: d.Tenant, Number: d.Number + 1}, seal.NewDataKeySecret())
			if err != nil {
				return made, err
			}
			if err := store.AddDataKey(ctx, next); err != nil {
				return made, err
			}
			made++
		}
	}
}
