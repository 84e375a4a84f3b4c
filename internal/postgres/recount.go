package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/syncer"
)

// recountFindings sets the counters, which otherwise follow the deltas of the runs, to what is really there. Each of its
// statements reads all the tenant's findings, so only a full run takes it.
func (st *stage) recountFindings(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	if !o.Recount {
		return nil
	}
	if err := inSets(ctx, tx, func() error { return st.recountAll(ctx, tx, c) }); err != nil {
		return err
	}
	return rate(ctx, tx, st.job.Tenant, allExposed) // the catalogue may rate otherwise what nobody has open
}

func (st *stage) recountAll(ctx context.Context, tx *sqlx.Tx, c *syncer.FindingChanges) error {
	before, err := st.openFindings(ctx, tx)
	if err != nil {
		return err
	}
	for _, statement := range []string{recountAssets, recountExposures, recountUnexposed} {
		n, err := affected(ctx, tx, statement, st.job.Tenant)
		if err != nil {
			return err
		}
		c.Recounted += n
	}
	n, err := st.recountTallies(ctx, tx)
	if err != nil {
		return err
	}
	c.Recounted += n
	after, err := st.openFindings(ctx, tx)
	c.Corrected = after - before
	return err
}

// recountTallies sets what the summary reads, once the counters are right. Of assets only the integration's, which nobody else changes
// meanwhile. Exposures are the tenant's: the lock on their tally waits for others that changed some, and keeps further ones waiting.
func (st *stage) recountTallies(ctx context.Context, tx *sqlx.Tx) (int64, error) {
	assets, err := affected(ctx, tx, recountAssetTally, st.job.Tenant, st.integration.ID)
	if err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, `select from exposure_tally where tenant_id = $1 for update`, st.job.Tenant); err != nil {
		return 0, err
	}
	exposures, err := affected(ctx, tx, recountExposureTally, st.job.Tenant)
	return assets + exposures, err
}

const (
	recountAssetTally = `
		insert into asset_tally as t (tenant_id, integration_id, state, os_family, assets, critical, high, medium, low, unknown)
		select $1, $2, k.state, k.os_family, coalesce(n.assets, 0), coalesce(n.critical, 0), coalesce(n.high, 0), coalesce(n.medium, 0), coalesce(n.low, 0),
		       coalesce(n.unknown, 0)
		from (
		  select state, os_family from asset_tally where tenant_id = $1 and integration_id = $2
		  union select state, os_family from asset where tenant_id = $1 and integration_id = $2
		) k left join (
		  select state, os_family, count(*) as assets, sum(open_critical) as critical, sum(open_high) as high, sum(open_medium) as medium,
		         sum(open_low) as low, sum(open_unknown) as unknown
		  from asset where tenant_id = $1 and integration_id = $2 group by state, os_family
		) n on n.state = k.state and n.os_family = k.os_family
		on conflict (tenant_id, integration_id, state, os_family) do update set assets = excluded.assets, critical = excluded.critical,
		  high = excluded.high, medium = excluded.medium, low = excluded.low, unknown = excluded.unknown
		where (t.assets, t.critical, t.high, t.medium, t.low, t.unknown) <>
		      (excluded.assets, excluded.critical, excluded.high, excluded.medium, excluded.low, excluded.unknown)`
	recountExposureTally = `
		insert into exposure_tally as t (tenant_id, vulnerabilities, fixed, out_of_scope)
		select $1, n.open, n.fixed, n.outside
		from (
		  select count(*) filter (where open_assets > 0) as open, coalesce(sum(fixed_assets), 0) as fixed, coalesce(sum(out_of_scope_assets), 0) as outside
		  from exposure where tenant_id = $1
		) n
		where n.open + n.fixed + n.outside > 0 or exists (select from exposure_tally where tenant_id = $1)
		on conflict (tenant_id) do update set vulnerabilities = excluded.vulnerabilities, fixed = excluded.fixed, out_of_scope = excluded.out_of_scope
		where (t.vulnerabilities, t.fixed, t.out_of_scope) <> (excluded.vulnerabilities, excluded.fixed, excluded.out_of_scope)`
	recountAssets = `
		update asset a set open_critical = n.critical, open_high = n.high, open_medium = n.medium, open_low = n.low, open_unknown = n.unknown,
		       held_findings = n.held
		from (
		  select k.id, coalesce(f.critical, 0) as critical, coalesce(f.high, 0) as high, coalesce(f.medium, 0) as medium,
		         coalesce(f.low, 0) as low, coalesce(f.unknown, 0) as unknown, coalesce(f.held, 0) as held
		  from asset k left join (
		    select asset_id, count(*) filter (where state = 1 and severity = 4) as critical, count(*) filter (where state = 1 and severity = 3) as high,
		           count(*) filter (where state = 1 and severity = 2) as medium, count(*) filter (where state = 1 and severity = 1) as low,
		           count(*) filter (where state = 1 and severity = 0) as unknown, count(held_since) as held
		    from finding where tenant_id = $1 and (state = 1 or held_since is not null) group by asset_id
		  ) f on f.asset_id = k.id
		  where k.tenant_id = $1
		) n
		where a.tenant_id = $1 and a.id = n.id
		  and (a.open_critical, a.open_high, a.open_medium, a.open_low, a.open_unknown, a.held_findings)
		   <> (n.critical, n.high, n.medium, n.low, n.unknown, n.held)`
	recountExposures = `
		insert into exposure as e (tenant_id, vulnerability_id, open_assets, fixed_assets, out_of_scope_assets, severity, first_seen_at)
		select $1, n.vulnerability_id, n.open, n.fixed, n.outside, coalesce(nullif(v.severity, 0), n.severity, 0), n.first_seen_at
		from (
		  select vulnerability_id, count(*) filter (where state = 1) as open, count(*) filter (where state = 2) as fixed,
		         count(*) filter (where state = 3) as outside, max(severity) filter (where state = 1) as severity, min(first_seen_at) as first_seen_at
		  from finding where tenant_id = $1 group by vulnerability_id
		) n join vulnerability v on v.id = n.vulnerability_id
		where not exists (
		  select from exposure k where k.tenant_id = $1 and k.vulnerability_id = n.vulnerability_id
		  and (k.open_assets, k.fixed_assets, k.out_of_scope_assets) = (n.open, n.fixed, n.outside))
		order by n.vulnerability_id
		on conflict (tenant_id, vulnerability_id) do update set open_assets = excluded.open_assets, fixed_assets = excluded.fixed_assets,
		  out_of_scope_assets = excluded.out_of_scope_assets, updated_at = now()`
	recountUnexposed = `
		update exposure e set open_assets = 0, fixed_assets = 0, out_of_scope_assets = 0, updated_at = now()
		where e.tenant_id = $1 and (e.open_assets, e.fixed_assets, e.out_of_scope_assets) <> (0, 0, 0)
		  and not exists (select from (select distinct vulnerability_id from finding where tenant_id = $1) f where f.vulnerability_id = e.vulnerability_id)`
)
