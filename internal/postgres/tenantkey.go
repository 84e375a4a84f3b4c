package postgres

import (
	"bytes"
	"context"
	"database/sql"
	"errors"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

type dataKeyRow struct {
	TenantID int32  `db:"tenant_id"`
	Number   int    `db:"number"`
	KEK      string `db:"kek"`
	Wrapped  []byte `db:"wrapped"`
}

func (r dataKeyRow) key() envelope.DataKey {
	return envelope.DataKey{Tenant: tenant.ID(r.TenantID), Number: r.Number, KEK: r.KEK, Wrapped: r.Wrapped}
}

// DataKey implements [envelope.Store].
func (s *Store) DataKey(ctx context.Context, t tenant.ID, number int) (envelope.DataKey, bool, error) {
	var row dataKeyRow
	err := s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &row, `
			select tenant_id, number, kek, wrapped from tenant_key where tenant_id = $1 and ($2 = 0 or number = $2)
			order by number desc limit 1`, t, number)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return envelope.DataKey{}, false, nil
	}
	return row.key(), err == nil, err
}

// AddDataKey implements [envelope.Store].
func (s *Store) AddDataKey(ctx context.Context, k envelope.DataKey) error {
	return s.inTenant(ctx, k.Tenant, func(tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, `
			insert into tenant_key (tenant_id, number, kek, wrapped) values ($1, $2, $3, $4) on conflict do nothing`,
			k.Tenant, k.Number, k.KEK, k.Wrapped)
		return err
	})
}

// DestroyDataKeys deletes all data keys of a tenant: none of its secrets can be read any more, in no copy of the database
// either that was made later. It returns how many there were.
func (s *Store) DestroyDataKeys(ctx context.Context, t tenant.ID) (n int, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		result, err := tx.ExecContext(ctx, `delete from tenant_key where tenant_id = $1`, t)
		if err != nil {
			return err
		}
		deleted, err := result.RowsAffected()
		if n = int(deleted); err != nil || n == 0 {
			return err
		}
		var id uuid.UUID
		if err := tx.GetContext(ctx, &id, `select public_id from tenant where id = $1`, t); err != nil {
			return err
		}
		return s.record(ctx, tx, t, deed{action: audit.TenantShredded, resource: on(tenant.TenantPrefix, id), changes: audit.Diff(nil, "data_keys", n, 0)})
	})
	return n, err
}

// DataKeysByKEK counts the data keys by the name of the key that wrapped them.
func (s *Store) DataKeysByKEK(ctx context.Context) (map[string]int, error) {
	var rows []struct {
		KEK string `db:"kek"`
		N   int    `db:"n"`
	}
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &rows, `select kek, count(*) as n from tenant_key group by 1`)
	})
	counts := make(map[string]int, len(rows))
	for _, r := range rows {
		counts[r.KEK] = r.N
	}
	return counts, err
}

// DataKeysNotWrappedBy implements [envelope.RewrapStore].
func (s *Store) DataKeysNotWrappedBy(ctx context.Context, kek string, after envelope.DataKey, n int) ([]envelope.DataKey, error) {
	return s.dataKeys(ctx, `
		select tenant_id, number, kek, wrapped from tenant_key
		where kek <> $1 and (tenant_id, number) > ($2, $3) order by tenant_id, number limit $4`, kek, after.Tenant, after.Number, n)
}

// SingleDataKeys implements [envelope.RewrapStore].
func (s *Store) SingleDataKeys(ctx context.Context, after tenant.ID, n int) ([]envelope.DataKey, error) {
	return s.dataKeys(ctx, `
		select tenant_id, max(number) as number from tenant_key where tenant_id > $1
		group by tenant_id having count(*) = 1 order by tenant_id limit $2`, after, n)
}

func (s *Store) dataKeys(ctx context.Context, query string, args ...any) ([]envelope.DataKey, error) {
	var rows []dataKeyRow
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error { return tx.SelectContext(ctx, &rows, query, args...) })
	list := make([]envelope.DataKey, len(rows))
	for i, r := range rows {
		list[i] = r.key()
	}
	return list, err
}

// ReplaceWrapped implements [envelope.RewrapStore].
func (s *Store) ReplaceWrapped(ctx context.Context, old, renewed envelope.DataKey) (replaced bool, err error) {
	err = s.inTenant(ctx, old.Tenant, func(tx *sqlx.Tx) error {
		result, err := tx.ExecContext(ctx, `
			update tenant_key set kek = $4, wrapped = $5 where tenant_id = $1 and number = $2 and wrapped = $3`,
			old.Tenant, old.Number, old.Wrapped, renewed.KEK, renewed.Wrapped)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		replaced = n > 0
		return err
	})
	return replaced, err
}

// DropReplacedDataKeys implements [envelope.RewrapStore].
func (s *Store) DropReplacedDataKeys(ctx context.Context) (n int, err error) {
	err = s.inSystem(ctx, func(tx *sqlx.Tx) error {
		const replaced = `tenant_key k where number < (select max(number) from tenant_key c where c.tenant_id = k.tenant_id)`
		// Locked in a statement of its own: whoever stores a secret meanwhile holds its data key, and the next statement
		// sees what they stored.
		if _, err := tx.ExecContext(ctx, `select from `+replaced+` for update`); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `
			delete from `+replaced+` and not exists (
			  select from integration i, lateral (values (i.secret_box), (i.staged_box)) as b (box)
			  where i.tenant_id = k.tenant_id and length(box) > 2 and get_byte(box, 0) = 2
			    and substring(box from 3 for get_byte(box, 1)) = convert_to(k.number::text, 'UTF8'))`)
		if err != nil {
			return err
		}
		deleted, err := result.RowsAffected()
		n = int(deleted)
		return err
	})
	return n, err
}

// PutKEKCheck stores the check value of a key-encryption key under its name. One that is there already stays.
func (s *Store) PutKEKCheck(ctx context.Context, name string, wrapped []byte) error {
	return s.inSystem(ctx, func(tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, `
			insert into keyring_check (key_id, box) values ($1, $2) on conflict (key_id) do nothing`, name, wrapped)
		return err
	})
}

// RenewKEKCheck puts a check value in the place of the one that is stored under the name.
func (s *Store) RenewKEKCheck(ctx context.Context, name string, wrapped []byte) error {
	return s.inSystem(ctx, func(tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, `
			insert into keyring_check (key_id, box) values ($1, $2) on conflict (key_id) do update set box = excluded.box`, name, wrapped)
		return err
	})
}

// mustBeOnNewestKey refuses secrets that were sealed before the tenant got another data key. It is asked with the integration locked: who
// reseals comes by either before, and the newer key is seen here, or after, and finds what is stored now.
func mustBeOnNewestKey(ctx context.Context, tx *sqlx.Tx, i, before *connector.Integration) error {
	for _, box := range []struct{ is, was seal.Box }{{i.SecretBox, before.SecretBox}, {i.Staged.Box, before.Staged.Box}} {
		number := box.is.DataKeyNumber()
		if number == 0 || bytes.Equal(box.is, box.was) {
			continue
		}
		var newest int
		err := tx.GetContext(ctx, &newest, `select coalesce(max(number), 0) from tenant_key where tenant_id = $1`, i.Tenant)
		if err != nil {
			return err
		}
		if number < newest {
			return fault.Wrap(connector.ErrKeyReplaced, fault.CodeUnavailable, "the tenant's data key was replaced meanwhile")
		}
	}
	return nil
}
