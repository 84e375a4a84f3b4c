// Package envelope seals each tenant's secrets with a data key of its own, which is stored only wrapped by a key-encryption key.
package envelope

import (
	"context"
	"fmt"

	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// DataKey is a tenant's data key as it is stored.
type DataKey struct {
	Tenant  tenant.ID
	Number  int    // from 1; the highest of the tenant seals, all open
	KEK     string // the name of the key that wrapped it, its version included
	Wrapped []byte
}

// place ties a wrapped data key to its tenant and number, so that one moved elsewhere in the table does not open.
func (k DataKey) place() string { return fmt.Sprintf("tenant/%d/data_key/%d", k.Tenant, k.Number) }

// KEK is a key-encryption key, wherever it is. Implementations are safe for concurrent use.
type KEK interface {
	// Wrap encrypts a short secret for one place, authenticated, and names the key that did it, behind a # its version. The error is a fault with the
	// code key_service_unavailable if it could not be asked.
	Wrap(ctx context.Context, clear seal.Secret, place string) (name string, wrapped []byte, err error)
	// Opens tells whether this is the key of that name, whatever its version, and also without one.
	Opens(name string) bool
	// Unwrap decrypts what Wrap made for the same place. The error has [seal.ErrUnreadable] or [seal.ErrUnknownKey] in its
	// chain if that is damaged, of another place or of another key, and is a fault with the code key_service_unavailable if
	// the key could not be asked.
	Unwrap(ctx context.Context, name string, wrapped []byte, place string) (seal.Secret, error)
}

// Store keeps wrapped data keys.
type Store interface {
	// DataKey reads a data key of a tenant; number 0 means the one that seals. False if there is none.
	DataKey(ctx context.Context, t tenant.ID, number int) (DataKey, bool, error)
	// AddDataKey stores a further one, unless its number is taken: then another process was faster.
	AddDataKey(ctx context.Context, k DataKey) error
}
