package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// SecretsNotSealedWith implements [connector.ResealStore].
func (s *Store) SecretsNotSealedWith(ctx context.Context, key string, after int64, n int) ([]connector.Integration, error) {
	var rows []struct {
		ID        int64     `db:"id"`
		PublicID  uuid.UUID `db:"public_id"`
		TenantID  int32     `db:"tenant_id"`
		SecretBox []byte    `db:"secret_box"`
	}
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		// The key id follows two bytes, of which the second is its length; a malformed box counts as another key's.
		return tx.SelectContext(ctx, &rows, `
			select id, public_id, tenant_id, secret_box from integration
			where id > $2 and secret_box is not null
			  and case when length(secret_box) < 2 then true
			           else substring(secret_box from 3 for get_byte(secret_box, 1)) <> convert_to($1, 'UTF8') end
			order by id limit $3`, key, after, n)
	})
	list := make([]connector.Integration, len(rows))
	for i, r := range rows {
		list[i] = connector.Integration{ID: r.ID, PublicID: r.PublicID, Tenant: tenant.ID(r.TenantID), SecretBox: r.SecretBox}
	}
	return list, err
}

// ReplaceSecretBox implements [connector.ResealStore].
func (s *Store) ReplaceSecretBox(ctx context.Context, i connector.Integration, box seal.Box) (replaced bool, err error) {
	err = s.inTenant(ctx, i.Tenant, func(tx *sqlx.Tx) error {
		result, err := tx.ExecContext(ctx, `
			update integration set secret_box = $4 where tenant_id = $1 and id = $2 and secret_box = $3`,
			i.Tenant, i.ID, []byte(i.SecretBox), []byte(box))
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		replaced = n > 0
		return err
	})
	return replaced, err
}
