package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// Stray is a stored box of which no key that was ever in use can be the one that made it.
type Stray struct {
	Tenant string // public id
	Object string // public id of an integration or an API key; "data key" and its number
	Key    string // what it names; "" when it is malformed
}

// Strays lists up to n boxes that name none of the keys of the keyring with these ids, and data keys wrapped by none of these
// key-encryption keys. API keys that cannot be used any more are not looked at.
func (s *Store) Strays(ctx context.Context, ids, keks []string, n int) ([]Stray, error) {
	headers := make(pq.ByteaArray, len(ids))
	for i, id := range ids {
		headers[i] = append([]byte{1, byte(len(id))}, id...) // how a box of the format 1 begins
	}
	var rows []struct {
		Tenant uuid.UUID `db:"tenant"`
		Prefix string    `db:"prefix"`
		ID     uuid.UUID `db:"id"`
		Object string    `db:"object"`
		Header []byte    `db:"header"`
		KEK    string    `db:"kek"`
	}
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		// What data keys sealed has the format 2; the table refuses it without its key.
		return tx.SelectContext(ctx, &rows, `
			with sealed as (
			  select tenant_id, $4::text as prefix, public_id, box from integration, lateral (values (secret_box), (staged_box)) as b (box) where box is not null
			  union all
			  select tenant_id, $5::text, public_id, box from api_key where revoked_at is null and expires_at > now()
			), headed as (
			  select tenant_id, prefix, public_id, case when length(box) < 2 then box else substring(box for 2 + get_byte(box, 1)) end as header
			  from sealed where length(box) < 2 or get_byte(box, 0) <> 2
			), stray as (
			  select tenant_id, prefix, public_id as id, '' as object, header, '' as kek from headed where header <> all($1)
			  union all
			  select tenant_id, '', public_id, 'data key ' || number, ''::bytea, kek from tenant_key k join tenant t on t.id = k.tenant_id where kek <> all($2)
			)
			select t.public_id as tenant, prefix, s.id, object, header, kek from stray s join tenant t on t.id = s.tenant_id
			order by t.id, prefix, s.id, object limit $3`, headers, append(pq.StringArray{}, keks...), n, tenant.IntegrationPrefix, tenant.KeyPrefix)
	})
	list := make([]Stray, len(rows))
	for i, r := range rows {
		list[i] = Stray{Tenant: tenant.PublicText(tenant.TenantPrefix, r.Tenant), Object: r.Object, Key: r.KEK}
		if r.Prefix != "" {
			list[i].Object, list[i].Key = tenant.PublicText(r.Prefix, r.ID), seal.Box(r.Header).KeyID()
		}
	}
	return list, err
}
