package postgres

import (
	"context"
	"database/sql"
	"errors"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/tenant"
)

// purgeBatch is how many assets are deleted in one transaction, with everything that hangs on them.
const purgeBatch = 500

// Purge deletes a batch of an integration's assets with their findings and installations. When none is left it deletes what they alone
// had use for and marks the integration disconnected. If all assets of the tenant are the integration's, all findings go first, at once.
// It can be interrupted anywhere and repeated.
func (s *Store) Purge(ctx context.Context, j job.Job, integration int64) (deleted int64, more bool, err error) {
	if err := s.dropFindings(ctx, j, integration); err != nil {
		return 0, false, err
	}
	if deleted, err = s.purgeAssets(ctx, j, integration); err != nil || deleted > 0 {
		return deleted, err == nil, err
	}
	if err := s.purgeBeside(ctx, j); err != nil {
		return 0, false, err
	}
	return 0, false, s.inTenant(ctx, j.Tenant, func(tx *sqlx.Tx) error {
		if err := s.endPurge(ctx, tx, j, integration); err != nil {
			return err
		}
		return confirmClaim(ctx, tx, j)
	})
}

// purgeAssets deletes a batch of assets with everything that hangs on them.
func (s *Store) purgeAssets(ctx context.Context, j job.Job, integration int64) (deleted int64, err error) {
	err = s.inTenant(ctx, j.Tenant, func(tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, `
			create temp table doomed on commit drop as
			select id from asset where tenant_id = $1 and integration_id = $2 limit $3`, j.Tenant, integration, purgeBatch)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `analyze doomed`); err != nil { // else millions of events are read to find those of a few assets
			return err
		}
		for _, statement := range []string{`
			with gone as (
			  delete from finding f using doomed d where f.tenant_id = $1 and f.asset_id = d.id returning f.vulnerability_id, f.state, f.first_seen_at
			)
			insert into exposure as e (tenant_id, vulnerability_id, open_assets, fixed_assets, out_of_scope_assets, first_seen_at)
			select $1, vulnerability_id, -count(*) filter (where state = 1), -count(*) filter (where state = 2), -count(*) filter (where state = 3), min(first_seen_at)
			from gone group by vulnerability_id order by vulnerability_id
			on conflict (tenant_id, vulnerability_id) do update set open_assets = e.open_assets + excluded.open_assets,
			  fixed_assets = e.fixed_assets + excluded.fixed_assets, out_of_scope_assets = e.out_of_scope_assets + excluded.out_of_scope_assets, updated_at = now()`,
			`delete from installation n using doomed d where n.tenant_id = $1 and n.asset_id = d.id`,
			`delete from finding_event e using doomed d where e.tenant_id = $1 and e.asset_id = d.id`,
			`delete from asset_word w using doomed d where w.tenant_id = $1 and w.asset_id = d.id`,
		} {
			if _, err := tx.ExecContext(ctx, statement, j.Tenant); err != nil {
				return err
			}
		}
		deleted, err = affected(ctx, tx, `delete from asset a using doomed d where a.tenant_id = $1 and a.id = d.id`, j.Tenant)
		if err != nil {
			return err
		}
		return confirmStep(ctx, tx, j, deleted)
	})
	return deleted, err
}

// besideAssets hold what assets of a tenant refer to, in the order in which it can go.
var besideAssets = []string{"exposure", "remediation", "location"}

// withoutAssets is met while a tenant has no asset. Nothing that another integration's import brings is met: jobs of one tenant run one at a time
// (job.Options.PerTenant), and whoever has lost its claim meanwhile cannot commit.
const withoutAssets = `and not exists (select from asset where tenant_id = $1)`

// purgeBeside empties the tables beside the assets, in batches of a transaction each, if the tenant has no assets any more. What is in
// use by nobody while others are is left to endPurge: it is what the purged assets alone had.
func (s *Store) purgeBeside(ctx context.Context, j job.Job) error {
	for _, table := range besideAssets {
		for n := int64(offboardBatch); n == offboardBatch; {
			err := s.inTenant(ctx, j.Tenant, func(tx *sqlx.Tx) (err error) {
				if n, err = deleteBatch(ctx, tx, j.Tenant, table, withoutAssets); err != nil {
					return err
				}
				return confirmStep(ctx, tx, j, n)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// dropFindings removes the findings of a tenant, with its partition and all counts of them, unless another integration of the tenant has
// assets or there is no partition. History, installations and the like are told of findings only: they can follow asset by asset.
func (s *Store) dropFindings(ctx context.Context, j job.Job, integration int64) error {
	return s.inTenant(ctx, j.Tenant, func(tx *sqlx.Tx) error {
		var alone bool
		err := tx.GetContext(ctx, &alone, `
			select to_regclass('finding_t' || $1::int) is not null
			  and not exists (select from asset where tenant_id = $1 and integration_id <> $2)`, j.Tenant, integration)
		if err != nil || !alone {
			return err
		}
		for _, statement := range []string{
			`delete from exposure where tenant_id = $1`,
			`update asset set finding_hash = '', open_critical = 0, open_high = 0, open_medium = 0, open_low = 0, open_unknown = 0, held_findings = 0, held_told = false
			 where tenant_id = $1 and open_critical + open_high + open_medium + open_low + open_unknown + held_findings > 0`,
		} {
			if _, err := tx.ExecContext(ctx, statement, j.Tenant); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `select drop_findings()`); err != nil { // last, because it locks others out
			return err
		}
		// Later still: it may have waited for minutes, and the claim's own row has to stay free meanwhile.
		if err := confirmClaim(ctx, tx, j); err != nil {
			return err
		}
		return gotOn(ctx, tx, j)
	})
}

// endPurge removes what nothing refers to any more and closes the integration.
func (s *Store) endPurge(ctx context.Context, tx *sqlx.Tx, j job.Job, integration int64) error {
	if err := inSets(ctx, tx, func() error { return purgeUnused(ctx, tx, j.Tenant) }); err != nil {
		return err
	}
	if err := rate(ctx, tx, j.Tenant, allExposed); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `delete from reconciliation where tenant_id = $1 and integration_id = $2`, j.Tenant, integration)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		delete from run_skipped where tenant_id = $1 and run_id in (select id from run where tenant_id = $1 and integration_id = $2)`, j.Tenant, integration)
	if err != nil {
		return err
	}
	var closed uuid.UUID
	err = tx.GetContext(ctx, &closed, `
		update integration set state = 'disconnected', purge_at = null, updated_at = now()
		where tenant_id = $1 and id = $2 and state = 'disconnecting' returning public_id`, j.Tenant, integration)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.record(ctx, tx, j.Tenant, deed{action: audit.IntegrationEmptied, resource: on(tenant.IntegrationPrefix, closed)})
}

// purgeUnused removes what is left without any finding, which belonged to the purged assets alone, and the places where no software sits any more.
// Which these are takes a join by hashing or sorting, whatever the statistics say: neither a list for NOT IN that is larger than work_mem nor the
// result of unnest has an index, and to go through it for each place takes minutes for a few thousand.
func purgeUnused(ctx context.Context, tx *sqlx.Tx, t tenant.ID) error {
	for _, statement := range []string{`
		delete from exposure e where e.tenant_id = $1
		  and not exists (select from finding f where f.tenant_id = $1 and f.vulnerability_id = e.vulnerability_id)`, `
		delete from remediation m where m.tenant_id = $1
		  and not exists (select from exposure e where e.tenant_id = $1 and e.vulnerability_id = m.vulnerability_id)`, `
		with used as materialized (select distinct unnest(n.location_ids) as id from installation n where n.tenant_id = $1)
		delete from location l where l.tenant_id = $1 and not exists (select from used u where u.id = l.id)`,
	} {
		if _, err := tx.ExecContext(ctx, statement, t); err != nil {
			return err
		}
	}
	return nil
}
