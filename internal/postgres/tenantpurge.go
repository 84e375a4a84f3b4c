package postgres

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/tenant"
)

// tenantTables hold rows of tenants, in the order in which they can be emptied: what refers to other tables, and what triggers keep
// sums of, comes before those. The jobs and the tenant itself go last of all, and the audit trail stays.
var tenantTables = []string{
	"finding_event", "asset_word", "installation", "finding", "exposure", "exposure_tally", "remediation", "location", "run_skipped",
	"reconciliation", "asset", "asset_tally", "run", "integration", "idempotency", "api_key", "tenant_key", "entitlement",
}

// offboardBatch is how many rows of a table are deleted in one transaction.
const offboardBatch = 5000

// PurgeTenant deletes what is stored of a tenant that is being deleted: its partition by a drop, all other rows in batches of a
// transaction each, and at last the tenant itself, together with the job, if no table has a row of it any more. That is recorded in the
// platform's chain: how many rows there were of each table, and the end of the tenant's own chain, which stays. It can be interrupted
// anywhere and repeated. It returns what was deleted, by table; [job.ErrLeaseLost] says that somebody else does it now.
func (s *Store) PurgeTenant(ctx context.Context, j job.Job) (rows map[string]int64, err error) {
	if err := s.dropPartition(ctx, j); err != nil {
		return nil, err
	}
	for _, table := range tenantTables {
		for n := int64(offboardBatch); n == offboardBatch; {
			if n, err = s.purgeTable(ctx, j, table); err != nil {
				return nil, err
			}
		}
	}
	return s.endTenant(ctx, j)
}

// IntegrationIDs gives all integrations of a tenant, disconnected ones included.
func (s *Store) IntegrationIDs(ctx context.Context, t tenant.ID) (ids []uuid.UUID, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &ids, `select public_id from integration where tenant_id = $1`, t)
	})
	return ids, err
}

// dropPartition removes the findings of a tenant that has a partition to itself, in two steps, because whoever drops it must not hold
// it for counting: two such would wait for each other. Nobody adds findings in between.
func (s *Store) dropPartition(ctx context.Context, j job.Job) error {
	var apart bool
	err := s.inTenant(ctx, j.Tenant, func(tx *sqlx.Tx) error {
		if err := tx.GetContext(ctx, &apart, `select to_regclass('finding_t' || $1::int) is not null`, j.Tenant); err != nil || !apart {
			return err
		}
		if err := countPartition(ctx, tx, j.Tenant); err != nil {
			return err
		}
		return confirmClaim(ctx, tx, j)
	})
	if err != nil || !apart {
		return err
	}
	return s.inTenant(ctx, j.Tenant, func(tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, `select drop_findings()`); err != nil { // which may wait for minutes, and the job's row has to stay free meanwhile
			return err
		}
		if err := gotOn(ctx, tx, j); err != nil {
			return err
		}
		return confirmClaim(ctx, tx, j)
	})
}

func countPartition(ctx context.Context, tx *sqlx.Tx, t tenant.ID) error {
	_, err := tx.ExecContext(ctx, `
		update tenant set purged = purged || jsonb_build_object('finding', (select count(*) from finding where tenant_id = $1)) where id = $1`, t)
	return err
}

func (s *Store) purgeTable(ctx context.Context, j job.Job, table string) (deleted int64, err error) {
	err = s.inTenant(ctx, j.Tenant, func(tx *sqlx.Tx) error {
		if deleted, err = deleteBatch(ctx, tx, j.Tenant, table, ""); err != nil {
			return err
		}
		if err := addPurged(ctx, tx, j.Tenant, table, deleted); err != nil {
			return err
		}
		return confirmStep(ctx, tx, j, deleted)
	})
	return deleted, err
}

// deleteBatch deletes up to offboardBatch of a tenant's rows from a table; a further condition is met by all of them or none.
func deleteBatch(ctx context.Context, tx *sqlx.Tx, t tenant.ID, table, condition string) (int64, error) {
	return affected(ctx, tx, fmt.Sprintf(`
		delete from %[1]s where tenant_id = $1 and ctid = any(array(select ctid from %[1]s where tenant_id = $1 %[2]s limit $2))`, table, condition),
		t, offboardBatch)
}

// confirmStep confirms the claim of a job at the end of a transaction that has deleted so many rows for it.
func confirmStep(ctx context.Context, tx *sqlx.Tx, j job.Job, deleted int64) error {
	if err := confirmClaim(ctx, tx, j); err != nil || deleted == 0 {
		return err
	}
	return gotOn(ctx, tx, j)
}

// gotOn makes this attempt at a job the first one: only those that came to nothing count, so that a long deletion may be interrupted
// any number of times. The claim has been confirmed.
func gotOn(ctx context.Context, tx *sqlx.Tx, j job.Job) error {
	_, err := tx.ExecContext(ctx, `update job set attempt = 1 where tenant_id = $1 and id = $2`, j.Tenant, j.ID)
	return err
}

// addPurged counts deleted rows beside the tenant, in the transaction that deletes them, so that the sum is right after any interruption.
func addPurged(ctx context.Context, tx *sqlx.Tx, t tenant.ID, table string, rows int64) error {
	if rows == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
		update tenant set purged = purged || jsonb_build_object($2::text, coalesce((purged ->> $2)::bigint, 0) + $3) where id = $1`, t, table, rows)
	return err
}

// endTenant deletes the tenant itself and its jobs, once nothing else is left, and records the proof.
func (s *Store) endTenant(ctx context.Context, j job.Job) (rows map[string]int64, err error) {
	err = s.inTenantAndTrail(ctx, j.Tenant, func(tx *sqlx.Tx) error {
		if err := confirmClaim(ctx, tx, j); err != nil {
			return err
		}
		var t struct {
			PublicID uuid.UUID `db:"public_id"`
			Purged   []byte    `db:"purged"`
		}
		if err := tx.GetContext(ctx, &t, `select public_id, purged from tenant where id = $1 for update`, j.Tenant); err != nil {
			return notFound(err, "tenant")
		}
		if err := json.Unmarshal(t.Purged, &rows); err != nil {
			return err
		}
		if rows["job"], err = affected(ctx, tx, `delete from job where tenant_id = $1`, j.Tenant); err != nil {
			return err
		}
		if rows["tenant"], err = affected(ctx, tx, `delete from tenant where id = $1`, j.Tenant); err != nil {
			return err
		}
		empty, err := emptyTables(ctx, tx, j.Tenant)
		if err != nil {
			return err
		}
		head, err := lockHeads(ctx, tx, j.Tenant)
		if err != nil {
			return err
		}
		proof := deed{action: audit.TenantDeleted, resource: on(tenant.TenantPrefix, t.PublicID), changes: proofOf(j.Tenant, rows, empty, head)}
		return s.record(ctx, tx, audit.Platform, proof)
	})
	return rows, err
}

// emptyTables makes sure that no table of the product with a column tenant_id but the audit trail's has a row of the tenant, and tells how
// many such tables there are. It asks the database which they are, so that a new one cannot be forgotten: the product's are those behind
// the policy tenant_wall. What an operator keeps beside them is neither read nor counted, and stops no deletion.
func emptyTables(ctx context.Context, tx *sqlx.Tx, t tenant.ID) (n int, err error) {
	var tables []string
	err = tx.SelectContext(ctx, &tables, `
		select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
		join pg_policy p on p.polrelid = c.oid and p.polname = 'tenant_wall'
		where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and c.relname not in ('audit_event', 'audit_head')`)
	if err != nil {
		return 0, err
	}
	for _, table := range tables {
		var left bool
		if err := tx.GetContext(ctx, &left, fmt.Sprintf(`select exists (select from %s where tenant_id = $1)`, table), t); err != nil {
			return 0, err
		}
		if left {
			return 0, fmt.Errorf("table %s still has rows of tenant %d", table, t)
		}
	}
	return len(tables), nil
}

// lockHeads gives the end of a tenant's chain, and keeps it and the platform's until the transaction ends.
func lockHeads(ctx context.Context, tx *sqlx.Tx, t tenant.ID) (audit.Head, error) {
	if _, err := lockHead(ctx, tx, audit.Platform); err != nil {
		return audit.Head{}, err
	}
	return lockHead(ctx, tx, t)
}

// proofOf tells the rows that each table had and has no more, and how far the tenant's chain goes.
func proofOf(number tenant.ID, rows map[string]int64, empty int, chain audit.Head) (changes []audit.Change) {
	for _, table := range slices.Sorted(maps.Keys(rows)) {
		changes = audit.Diff(changes, "rows."+table, rows[table], int64(0))
	}
	changes = audit.Diff(changes, "tables_found_empty", nil, empty)
	changes = audit.Diff(changes, proofNumber, nil, number)
	changes = audit.Diff(changes, proofEvents, nil, chain.Sequence)
	return audit.Diff(changes, proofHash, nil, hex.EncodeToString(chain.Hash))
}
