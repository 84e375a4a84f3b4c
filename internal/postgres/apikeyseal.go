package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// APIKeysBySeal counts the API keys that can be used, by the key of the keyring they are sealed with; a malformed box counts under "".
func (s *Store) APIKeysBySeal(ctx context.Context) (map[string]int, error) {
	return s.boxesByKey(ctx, `from api_key where revoked_at is null and expires_at > now()`)
}

// APIKeysToReseal implements [tenant.KeyResealStore].
func (s *Store) APIKeysToReseal(ctx context.Context, sealing string, after tenant.StoredKey, n int) ([]tenant.StoredKey, error) {
	var rows []struct {
		TenantID  int32           `db:"tenant_id"`
		PublicID  uuid.UUID       `db:"public_id"`
		Name      string          `db:"name"`
		Role      string          `db:"role"`
		ExpiresAt cell[time.Time] `db:"expires_at"`
		Box       []byte          `db:"box"`
	}
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		// A box begins with the format 1, and length and text of its key's id. Keys that cannot be used any more have no need of one.
		return tx.SelectContext(ctx, &rows, `
			select tenant_id, public_id, name, role, expires_at, box from api_key
			where substring(box for 2 + length($1)) <> '\x01'::bytea || set_byte('\x00', 0, length($1)) || convert_to($1, 'UTF8')
			  and revoked_at is null and expires_at > now() and (tenant_id, public_id) > ($2, $3)
			order by tenant_id, public_id limit $4`, sealing, after.Tenant, after.Key.PublicID, n)
	})
	list := make([]tenant.StoredKey, len(rows))
	for i, r := range rows {
		list[i] = tenant.StoredKey{
			Tenant: tenant.ID(r.TenantID), Key: tenant.APIKey{PublicID: r.PublicID, Name: r.Name, Role: tenant.Role(r.Role), ExpiresAt: onCalendar(r.ExpiresAt)}, Box: r.Box,
		}
	}
	return list, err
}

// ReplaceKeySeal implements [tenant.KeyResealStore].
func (s *Store) ReplaceKeySeal(ctx context.Context, k tenant.StoredKey, sealed tenant.SealedKey) (replaced bool, err error) {
	err = s.inTenant(ctx, k.Tenant, func(tx *sqlx.Tx) error {
		n, err := affected(ctx, tx, `
			update api_key set hash = $4, box = $5 where tenant_id = $1 and public_id = $2 and box = $3`,
			k.Tenant, k.Key.PublicID, []byte(k.Box), sealed.Hash, []byte(sealed.Box))
		if replaced = n > 0; err != nil || !replaced {
			return err
		}
		return s.record(ctx, tx, k.Tenant, deed{
			action: audit.APIKeyResealed, resource: on(tenant.KeyPrefix, k.Key.PublicID),
			changes: audit.Diff(nil, "key", k.Box.KeyID(), sealed.Box.KeyID()),
		})
	})
	return replaced, err
}

// boxesByKey counts what a key of the keyring sealed, by its id, among the boxes in the column box of what from names.
func (s *Store) boxesByKey(ctx context.Context, from string) (map[string]int, error) {
	var rows []struct {
		Header []byte `db:"header"`
		N      int    `db:"n"`
	}
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		// The header of a box is two bytes and the key id, whose length is the second byte.
		return tx.SelectContext(ctx, &rows, `
			select case when length(box) < 2 then box else substring(box for 2 + get_byte(box, 1)) end as header, count(*) as n
			`+from+` group by 1`)
	})
	counts := make(map[string]int, len(rows))
	for _, r := range rows {
		if box := seal.Box(r.Header); box.DataKeyNumber() == 0 {
			counts[box.KeyID()] += r.N
		}
	}
	return counts, err
}
