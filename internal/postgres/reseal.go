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

// SecretsToReseal implements [connector.ResealStore].
func (s *Store) SecretsToReseal(ctx context.Context, after int64, n int) ([]connector.Integration, error) {
	var rows []struct {
		ID        int64     `db:"id"`
		PublicID  uuid.UUID `db:"public_id"`
		TenantID  int32     `db:"tenant_id"`
		SecretBox []byte    `db:"secret_box"`
		StagedBox []byte    `db:"staged_box"`
	}
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		// What the current data key sealed begins with the format 2 and the length and digits of its number.
		return tx.SelectContext(ctx, &rows, `
			with due as (
			  select i.id, i.public_id, i.tenant_id,
			         case when substring(secret_box for length(header)) = header then null else secret_box end as secret_box,
			         case when substring(staged_box for length(header)) = header then null else staged_box end as staged_box
			  from integration i left join lateral (
			    select '\x02'::bytea || set_byte('\x00', 0, length(max(number)::text)) || convert_to(max(number)::text, 'UTF8') as header
			    from tenant_key k where k.tenant_id = i.tenant_id) as current on true
			  where i.id > $1 and (secret_box is not null or staged_box is not null)
			)
			select * from due where secret_box is not null or staged_box is not null order by id limit $2`, after, n)
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
		n, err := affected(ctx, tx, statement, i.Tenant, i.ID, []byte(old), []byte(box))
		if replaced = n > 0; err != nil || !replaced {
			return err
		}
		return s.record(ctx, tx, i.Tenant, deed{
			action: audit.IntegrationResealed, resource: on(tenant.IntegrationPrefix, i.PublicID), changes: audit.Diff(nil, "key", old.KeyID(), box.KeyID()),
		})
	})
	return replaced, err
}
