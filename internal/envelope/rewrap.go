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
	// DataKeys lists up to n data keys of all tenants, ordered by tenant and number, after the given one.
	DataKeys(ctx context.Context, after DataKey, n int) ([]DataKey, error)
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

// Rewrap wraps every data key that another key has wrapped with the current one, batch by batch, and unwraps the others to see that they
// can be. What is done stays done when it is interrupted; the next call goes on with the rest. Secrets are not touched.
func (k *Keys) Rewrap(ctx context.Context, store RewrapStore, batch int) (r Rewrapped, err error) {
	name, err := k.currentName(ctx)
	if err != nil {
		return r, err
	}
	r.Unreadable, err = k.unwrapAll(ctx, store, batch, func(d DataKey, clear seal.Secret) error {
		if d.KEK == name {
			return nil
		}
		renewed, err := k.wrap(ctx, d, clear)
		if err != nil {
			return err
		}
		replaced, err := store.ReplaceWrapped(ctx, d, renewed)
		if replaced {
			r.Done++
		}
		return err
	})
	return r, err
}

// Unreadable lists the tenants with a data key that none of the keys unwraps.
func (k *Keys) Unreadable(ctx context.Context, store RewrapStore, batch int) ([]tenant.ID, error) {
	return k.unwrapAll(ctx, store, batch, func(DataKey, seal.Secret) error { return nil })
}

// unwrapAll hands over every data key that can be unwrapped, and lists the tenants of the others.
func (k *Keys) unwrapAll(ctx context.Context, store RewrapStore, batch int, use func(DataKey, seal.Secret) error) (unreadable []tenant.ID, err error) {
	for after := (DataKey{}); ; {
		list, err := store.DataKeys(ctx, after, batch)
		if err != nil || len(list) == 0 {
			return unreadable, err
		}
		for _, d := range list {
			after = d
			clear, err := k.unwrap(ctx, d)
			if errors.Is(err, seal.ErrUnknownKey) || errors.Is(err, seal.ErrUnreadable) {
				unreadable = append(unreadable, d.Tenant)
				continue
			}
			if err == nil {
				err = use(d, clear)
			}
			if err != nil {
				return unreadable, err
			}
		}
	}
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
