package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

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

// AddDataKey implements [envelope.Store]. A tenant's first one is part of sealing its first secret; a further one replaces it, which is recorded.
func (s *Store) AddDataKey(ctx context.Context, k envelope.DataKey) error {
	return s.inTenant(ctx, k.Tenant, func(tx *sqlx.Tx) error {
		added, err := affected(ctx, tx, `
			insert into tenant_key (tenant_id, number, kek, wrapped) values ($1, $2, $3, $4) on conflict do nothing`,
			k.Tenant, k.Number, k.KEK, k.Wrapped)
		if err != nil || added == 0 || k.Number == 1 {
			return err
		}
		owner, err := ownerOf(ctx, tx, k.Tenant)
		if err != nil {
			return err
		}
		changes := audit.Diff(audit.Diff(nil, "data_key", k.Number-1, k.Number), "kek", "", shownKEK(k.KEK))
		return s.record(ctx, tx, k.Tenant, deed{action: audit.TenantKeyRenewed, resource: owner, changes: changes})
	})
}

// shownKEK names a key-encryption key to tenants: that of a keyring as it is, one of a key service by its kind and a hash, because its
// address says where the operator has what.
func shownKEK(name string) string {
	scheme, _, elsewhere := strings.Cut(name, "://")
	if !elsewhere {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return scheme + ":" + hex.EncodeToString(sum[:4])
}

// ownerOf names the tenant that a data key belongs to.
func ownerOf(ctx context.Context, tx *sqlx.Tx, t tenant.ID) (audit.Resource, error) {
	var id uuid.UUID
	err := tx.GetContext(ctx, &id, `select public_id from tenant where id = $1`, t)
	return on(tenant.TenantPrefix, id), err
}

// DestroyDataKeys deletes all data keys of a tenant: none of its secrets can be read any more, in no copy of the database
// either that was made later. It returns how many there were.
func (s *Store) DestroyDataKeys(ctx context.Context, t tenant.ID) (n int, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		deleted, err := affected(ctx, tx, `delete from tenant_key where tenant_id = $1`, t)
		if n = int(deleted); err != nil || n == 0 {
			return err
		}
		owner, err := ownerOf(ctx, tx, t)
		if err != nil {
			return err
		}
		return s.record(ctx, tx, t, deed{action: audit.TenantShredded, resource: owner, changes: audit.Diff(nil, "data_keys", n, 0)})
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

// DataKeys implements [envelope.RewrapStore].
func (s *Store) DataKeys(ctx context.Context, after envelope.DataKey, n int) ([]envelope.DataKey, error) {
	return s.dataKeys(ctx, `
		select tenant_id, number, kek, wrapped from tenant_key where (tenant_id, number) > ($1, $2) order by tenant_id, number limit $3`, after.Tenant, after.Number, n)
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
		n, err := affected(ctx, tx, `
			update tenant_key set kek = $4, wrapped = $5 where tenant_id = $1 and number = $2 and wrapped = $3`,
			old.Tenant, old.Number, old.Wrapped, renewed.KEK, renewed.Wrapped)
		if replaced = n > 0; err != nil || !replaced {
			return err
		}
		owner, err := ownerOf(ctx, tx, old.Tenant)
		if err != nil {
			return err
		}
		changes := audit.Diff(audit.Diff(nil, "data_key", nil, old.Number), "kek", shownKEK(old.KEK), shownKEK(renewed.KEK))
		return s.record(ctx, tx, old.Tenant, deed{action: audit.TenantKeyRewrapped, resource: owner, changes: changes})
	})
	return replaced, err
}

// DropReplacedDataKeys implements [envelope.RewrapStore], tenant by tenant: what is dropped of one stays dropped when it is interrupted.
func (s *Store) DropReplacedDataKeys(ctx context.Context) (n int, err error) {
	var owners []tenant.ID
	err = s.inSystem(ctx, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &owners, `select tenant_id from tenant_key group by tenant_id having count(*) > 1 order by tenant_id`)
	})
	if err != nil {
		return 0, err
	}
	for _, t := range owners {
		dropped, err := s.dropReplaced(ctx, t)
		if err != nil {
			return n, err
		}
		n += dropped
	}
	return n, nil
}

func (s *Store) dropReplaced(ctx context.Context, t tenant.ID) (n int, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		const replaced = `tenant_key k where tenant_id = $1 and number < (select max(number) from tenant_key c where c.tenant_id = $1)`
		// Locked in a statement of its own: whoever stores a secret meanwhile holds its data key, and the next statement
		// sees what they stored.
		if _, err := tx.ExecContext(ctx, `select from `+replaced+` for update`, t); err != nil {
			return err
		}
		var numbers []int64
		err := tx.SelectContext(ctx, &numbers, `
			delete from `+replaced+` and not exists (
			  select from integration i, lateral (values (i.secret_box), (i.staged_box)) as b (box)
			  where i.tenant_id = $1 and length(box) > 2 and get_byte(box, 0) = 2
			    and substring(box from 3 for get_byte(box, 1)) = convert_to(k.number::text, 'UTF8'))
			returning number`, t)
		if n = len(numbers); err != nil || n == 0 {
			return err
		}
		owner, err := ownerOf(ctx, tx, t)
		if err != nil {
			return err
		}
		var changes []audit.Change
		for _, number := range slices.Sorted(slices.Values(numbers)) {
			changes = audit.Diff(changes, "data_key", number, nil)
		}
		return s.record(ctx, tx, t, deed{action: audit.TenantKeyDropped, resource: owner, changes: changes})
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
