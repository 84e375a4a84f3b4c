package envelope

import (
	"context"
	"errors"
	"fmt"

	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// Sealer seals and opens secrets with the data key of their tenant. The store is asked each time, so that a data key which
// was destroyed opens nothing from then on, in any process.
type Sealer struct {
	store Store
	keys  *Keys
	ring  *seal.Ring // opens what was sealed before tenants had data keys
}

// NewSealer wires a sealer. Sealers of one process should share their keys, and so what those keep in memory.
func NewSealer(store Store, keys *Keys, ring *seal.Ring) *Sealer { return &Sealer{store, keys, ring} }

// Seal encrypts a secret with the tenant's data key, which it makes if the tenant has none. The binding names the one place
// the box is for. The error is a fault with the code key_service_unavailable if the data key cannot be unwrapped now;
// [seal.ErrUnreadable] or [seal.ErrUnknownKey] is in its chain if it never can be, unless keys come back.
func (s *Sealer) Seal(ctx context.Context, t tenant.ID, clear seal.Secret, binding string) (seal.Box, error) {
	stored, found, err := s.store.DataKey(ctx, t, 0)
	if err == nil && !found {
		stored, err = s.first(ctx, t)
	}
	if err != nil {
		return nil, err
	}
	key, err := s.keys.open(ctx, stored)
	if err != nil {
		return nil, fmt.Errorf("data key %d of tenant %d: %w", stored.Number, t, err)
	}
	return key.Seal(clear, binding)
}

// first makes the first data key of a tenant. Where two processes do, that of the faster one is taken by both.
func (s *Sealer) first(ctx context.Context, t tenant.ID) (DataKey, error) {
	made, err := s.keys.wrap(ctx, DataKey{Tenant: t, Number: 1}, seal.NewDataKeySecret())
	if err != nil {
		return DataKey{}, err
	}
	if err := s.store.AddDataKey(ctx, made); err != nil {
		return DataKey{}, err
	}
	stored, found, err := s.store.DataKey(ctx, t, 0)
	if err == nil && !found {
		err = errors.New("envelope: a data key vanished as soon as it was stored")
	}
	return stored, err
}

// Open decrypts a box that was sealed for the same tenant and binding. [seal.ErrUnreadable] or [seal.ErrUnknownKey] is in the
// chain of the error if it never will be, unless keys come back; a fault says that it is only so now.
func (s *Sealer) Open(ctx context.Context, t tenant.ID, box seal.Box, binding string) (seal.Secret, error) {
	number := box.DataKeyNumber()
	if number == 0 {
		return s.ring.Open(box, binding)
	}
	stored, found, err := s.store.DataKey(ctx, t, number)
	if err != nil {
		return seal.Secret{}, err
	}
	if !found {
		return seal.Secret{}, fmt.Errorf("data key %d of tenant %d is gone: %w", number, t, seal.ErrUnknownKey)
	}
	key, err := s.keys.open(ctx, stored)
	if err != nil {
		return seal.Secret{}, fmt.Errorf("data key %d of tenant %d: %w", number, t, err)
	}
	return key.Open(box, binding)
}
