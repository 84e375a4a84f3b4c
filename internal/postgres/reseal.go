package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/audit"
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
		StagedBox []byte    `db:"staged_box"`
	}
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		// The key id follows two bytes, of which the second is its length; a malformed box counts as another key's.
		return tx.SelectContext(ctx, &rows, `
			select id, public_id, tenant_id, secret_box, staged_box from integration
			where id > $2 and exists (
			  select from (values (secret_box), (staged_box)) as b (box) where box is not null
			    and case when length(box) < 2 then true
			             else substring(box from 3 for get_byte(box, 1)) <> convert_to($1, 'UTF8') end)
			order by id limit $3`, key, after, n)
	})
	list := make([]connector.Integration, len(rows))
	for i, r := range rows {
		list[i] = connector.Integration{ID: r.ID, PublicID: r.PublicID, Tenant: tenant.ID(r.TenantID), SecretBox: r.SecretBox,
			Staged: connector.Staged{Box: r.StagedBox}}
	}
	return list, err
}

// ReplaceSecretBox implements [connector.ResealStore].
func (s *Store) ReplaceSecretBox(ctx context.Context, i connector.Integration, box seal.Box) (bool, error) {
	return s.replaceBox(ctx, i, `
		update integration set secret_box = $4 where tenant_id = $1 and id = $2 and secret_box = $3`, i.SecretBox, box)
}

// ReplaceStagedBox implements [connector.ResealStore].
func (s *Store) ReplaceStagedBox(ctx context.Context, i connector.Integration, box seal.Box) (bool, error) {
	return s.replaceBox(ctx, i, `
		update integration set staged_box = $4 where tenant_id = $1 and id = $2 and staged_box = $3`, i.Staged.Box, box)
}

func (s *Store) replaceBox(ctx context.Context, i connector.Integration, statement string, old, box seal.Box) (replaced bool, err error) {
	err = s.inTenant(ctx, i.Tenant, func(tx *sqlx.Tx) error {
		result, err := tx.ExecContext(ctx, statement, i.Tenant, i.ID, []byte(old), []byte(box))
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if replaced = n > 0; err != nil || !replaced {
			return err
		}
		return s.record(ctx, tx, i.Tenant, deed{
			action: audit.IntegrationResealed, resource: on(tenant.IntegrationPrefix, i.PublicID), changes: audit.Diff(nil, "key", old.KeyID(), box.KeyID()),
		})
	})
	return replaced, err
}
