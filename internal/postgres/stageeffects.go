package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// countsAnew is the condition on a row d of the delta that it bears on counters or on the worst severity. That other software has a finding
// does not, and is what most changes are.
const countsAnew = `d.op <> 's' and (d.op <> 'u' or d.severity <> d.old_severity)`

// countFindings carries the delta into the counters of assets and vulnerabilities. What an asset's findings were read from is written along;
// the others have it from noteAssets.
func (st *stage) countFindings(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, _ *syncer.FindingChanges) error {
	err := inSets(ctx, tx, func() error { return st.countByAssets(ctx, tx, o) })
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		insert into exposure as e (tenant_id, vulnerability_id, open_assets, fixed_assets, out_of_scope_assets, severity, first_seen_at)
		select $1, d.vulnerability_id, count(*) filter (where op in ('c', 'r', 'b')) - count(*) filter (where op in ('f', 'o')),
		       count(*) filter (where op in ('f', 'g')) - count(*) filter (where op = 'r'), count(*) filter (where op = 'o') - count(*) filter (where op in ('b', 'g')),
		       case when bool_or(`+countsAnew+`) then coalesce(nullif(v.severity, 0), max(d.severity), 0) else 0 end, min(d.first_seen_at)
		from delta d join vulnerability v on v.id = d.vulnerability_id
		left join exposure k on k.tenant_id = $1 and k.vulnerability_id = d.vulnerability_id
		where `+countsAnew+` or d.op <> 's' and d.first_seen_at < k.first_seen_at
		group by d.vulnerability_id, v.severity
		order by d.vulnerability_id
		on conflict (tenant_id, vulnerability_id) do update set open_assets = e.open_assets + excluded.open_assets,
		  fixed_assets = e.fixed_assets + excluded.fixed_assets, out_of_scope_assets = e.out_of_scope_assets + excluded.out_of_scope_assets,
		  severity = case when excluded.severity = 0 then e.severity else excluded.severity end,
		  first_seen_at = least(e.first_seen_at, excluded.first_seen_at), updated_at = $2`, st.job.Tenant, o.Now)
	return err
}

// countByAssets keeps the counters of assets, and of those that have any change what else is known of their rows.
func (st *stage) countByAssets(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings) error {
	_, err := tx.ExecContext(ctx, `
		with change as (
		  select asset_id, severity, 1 as n from delta d where op in ('c', 'r', 'b', 'u') and `+countsAnew+`
		  union all
		  select asset_id, old_severity, -1 from delta d where op in ('f', 'o', 'u') and `+countsAnew+`
		), sums as (
		  select asset_id, coalesce(sum(n) filter (where severity = 4), 0) as critical, coalesce(sum(n) filter (where severity = 3), 0) as high,
		         coalesce(sum(n) filter (where severity = 2), 0) as medium, coalesce(sum(n) filter (where severity = 1), 0) as low,
		         coalesce(sum(n) filter (where severity = 0), 0) as unknown
		  from change group by asset_id
		)
		update asset a set open_critical = a.open_critical + critical, open_high = a.open_high + high, open_medium = a.open_medium + medium,
		       open_low = a.open_low + low, open_unknown = a.open_unknown + unknown, finding_hash = coalesce(c.hash, a.finding_hash),
		       findings_seen_at = case when s.asset_id is null then a.findings_seen_at else `+seenAt+` end
		from sums n left join changed_asset c using (asset_id) left join stage_seen s using (asset_id)
		where a.tenant_id = $1 and a.id = n.asset_id`, st.job.Tenant, !o.Changes && !o.Incomplete, o.Now)
	return err
}

// rateExposures rates the vulnerabilities that the delta bears on.
func (st *stage) rateExposures(ctx context.Context, tx *sqlx.Tx, _ syncer.ApplyFindings, _ *syncer.FindingChanges) error {
	return rate(ctx, tx, st.job.Tenant, `select distinct vulnerability_id as id from delta d where `+countsAnew)
}

// releaseCarriers lets assets go that were there for their findings alone and have none left. One that is kept without being read is no
// machine of this run, and waits.
func (st *stage) releaseCarriers(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, c *syncer.FindingChanges) (err error) {
	if !o.CarriersOnly {
		return nil
	}
	err = tx.SelectContext(ctx, &c.ReleasedNamed, `
		update asset set state = 'out_of_scope', state_reason = $3, finding_hash = '', updated_at = now()
		where tenant_id = $1 and integration_id = $2 and import_state = 'carrier' and state in ('active', 'inactive')
		  and open_critical + open_high + open_medium + open_low + open_unknown = 0 and not exists (select from kept_asset k where k.asset_id = asset.id)
		returning source_id as sourceid, hostname as name`,
		st.job.Tenant, st.integration.ID, string(inventory.ImportAssetsOff))
	c.Released = int64(len(c.ReleasedNamed))
	return err
}

// seenAt is when the newest row of an asset was seen, by what is stored and what was read. What a reading does not have may have been
// seen later, so that it takes nothing back; but a time that was yet to come when all rows were read was none. $2 tells whether all
// were, $3 when.
const seenAt = `case when $2 and a.findings_seen_at > $3 then s.seen_at else greatest(a.findings_seen_at, s.seen_at) end`

// noteAssets keeps with each asset what its findings were read from.
func (st *stage) noteAssets(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, _ *syncer.FindingChanges) error {
	_, err := tx.ExecContext(ctx, `
		update asset a set finding_hash = coalesce(c.hash, a.finding_hash), findings_seen_at = `+seenAt+`
		from stage_seen s left join changed_asset c using (asset_id)
		where a.tenant_id = $1 and a.id = s.asset_id and (a.findings_seen_at is distinct from `+seenAt+` or a.finding_hash <> c.hash)`,
		st.job.Tenant, !o.Changes && !o.Incomplete, o.Now)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		update asset a set finding_hash = c.hash from changed_asset c
		where a.tenant_id = $1 and a.id = c.asset_id and a.finding_hash <> c.hash`, st.job.Tenant)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, noteRowless+` and not `+hasFindings,
		st.job.Tenant, st.integration.ID, syncer.RowSum{}.Bytes())
	return err
}

// noteRowless marks the assets that were compared and have no rows, so that they can be told from those that were not.
const noteRowless = `
	update asset a set finding_hash = $3
	where a.tenant_id = $1 and a.integration_id = $2 and a.finding_hash = '' and a.state in ('active', 'inactive')`

// findingsOfEach are the findings f of the asset that a row of a names by asset_id, to be joined; $1 is the tenant. It looks all of them up asset by
// asset, whatever the statistics say, for few assets: where a single finding of the tenant is expected, the planner goes through all that there are, and
// through the assets for each. "offset 0" keeps it from that, and the order of assets, which only the primary key has, from other indexes.
const findingsOfEach = `lateral (
	select f.* from finding f where f.tenant_id = $1 and f.asset_id between a.asset_id and a.asset_id order by f.asset_id offset 0) f`

// hasFindings is the condition on an asset a that it has any finding; $1 is the tenant. It asks for an order of assets, which only the primary key has:
// of a tenant for which a single finding is expected all indexes seem alike, and one by other columns is gone through whole for each asset.
const hasFindings = `(select f.asset_id from finding f where f.tenant_id = $1 and f.asset_id between a.id and a.id order by f.asset_id limit 1) is not null`

const insertLocations = `
	insert into location (tenant_id, id, disk_paths, registry_paths)
	select $1, s.id, s.disk_paths, s.registry_paths from stage_location s
	where not exists (select from location l where l.tenant_id = $1 and l.id = s.id)
	on conflict do nothing`

// writeSurroundings keeps where software sits and what is recommended against its vulnerabilities.
func (st *stage) writeSurroundings(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	if o.Poor {
		return nil
	}
	for _, statement := range []string{insertLocations, `
		delete from installation n using changed_asset c
		where n.tenant_id = $1 and n.asset_id = c.asset_id
		  and not exists (select from stage_installation s where s.asset_id = n.asset_id)`, `
		insert into installation as n (tenant_id, asset_id, software_ids, location_ids)
		select $1, asset_id, software_ids, location_ids from stage_installation
		on conflict (tenant_id, asset_id) do update set software_ids = excluded.software_ids, location_ids = excluded.location_ids
		  where (n.software_ids, n.location_ids) <> (excluded.software_ids, excluded.location_ids)`,
	} {
		if _, err := tx.ExecContext(ctx, statement, st.job.Tenant); err != nil {
			return err
		}
	}
	return st.writeRemediations(ctx, tx, c)
}

// writeRemediations keeps what is recommended. Changes do not tell whether an update is there: what the whole report said of that stays,
// and when it tells it of one that only changes had told so far, that is no change of what is recommended.
func (st *stage) writeRemediations(ctx context.Context, tx *sqlx.Tx, c *syncer.FindingChanges) error {
	// Join first: a conflicting insert would lock and log every known row even when nothing changes, and a join with what was written would
	// meet all that is new, which no statistics tell of yet.
	return tx.GetContext(ctx, &c.Readvised, `
		with advised as (
		  select distinct on (software_id, vulnerability_id) * from stage_remediation
		  order by software_id, vulnerability_id, changed_at desc, update_text desc, update_id desc, update_url desc, update_ready desc nulls last, exploitability desc
		), news as (
		  select s.*, coalesce((k.update_text, k.update_id, k.update_url, k.exploitability) <> (s.update_text, s.update_id, s.update_url, s.exploitability)
		    or k.update_ready <> s.update_ready, false) as readvised
		  from advised s left join remediation k on k.tenant_id = $1 and k.software_id = s.software_id and k.vulnerability_id = s.vulnerability_id
		  where k.software_id is null
		    or (k.update_text, k.update_id, k.update_url, k.exploitability) <> (s.update_text, s.update_id, s.update_url, s.exploitability)
		    or not coalesce(k.update_ready = s.update_ready, s.update_ready is null)
		), written as (
		  insert into remediation as m (tenant_id, software_id, vulnerability_id, update_text, update_id, update_url, update_ready, exploitability)
		  select $1, software_id, vulnerability_id, update_text, update_id, update_url, update_ready, exploitability from news
		  on conflict (tenant_id, software_id, vulnerability_id) do update set update_text = excluded.update_text, update_id = excluded.update_id,
		    update_url = excluded.update_url, update_ready = coalesce(excluded.update_ready, m.update_ready), exploitability = excluded.exploitability
		)
		select count(*) from news where readvised`, st.job.Tenant)
}

// closeAll takes every open finding of the integration out of scope, because its import was switched off.
func (st *stage) closeAll(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	write := func(of share) error { return st.closeShare(ctx, tx, of, o, c) }
	if c.OpenBefore > 0 { // else it was switched off before: to find out that nothing is left to close need not take a set of all findings
		write = inSetsOf(ctx, tx, write)
	}
	err := st.eachShare(ctx, tx, write, openByAsset, st.job.Tenant, st.integration.ID)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		update asset set finding_hash = '', open_critical = 0, open_high = 0, open_medium = 0, open_low = 0, open_unknown = 0
		where tenant_id = $1 and integration_id = $2
		  and (finding_hash <> '' or open_critical + open_high + open_medium + open_low + open_unknown > 0)`, st.job.Tenant, st.integration.ID)
	if err != nil || c.OutOfScope == 0 {
		return err
	}
	return rate(ctx, tx, st.job.Tenant, allExposed)
}

// openByAsset weighs the open findings of an integration, for eachShare.
const openByAsset = `
	select id as asset_id, open_critical + open_high + open_medium + open_low + open_unknown as n from asset where tenant_id = $1 and integration_id = $2`

func (st *stage) closeShare(ctx context.Context, tx *sqlx.Tx, of share, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	var closed int64
	err := tx.GetContext(ctx, &closed, `
		with closed as (
		  update finding f set state = 3, state_reason = $3, closed_at = $4, updated_at = $4, last_seen_at = coalesce(a.findings_seen_at, a.last_seen_at)
		  from asset a
		  where a.tenant_id = $1 and a.integration_id = $2 and a.id > $7 and a.id <= $8 and f.tenant_id = $1 and f.asset_id = a.id and f.state = 1
		    and f.asset_id > $7 and f.asset_id <= $8
		  returning f.asset_id, f.vulnerability_id, f.severity
		), told as (
		  insert into finding_event (tenant_id, asset_id, vulnerability_id, run_id, at, change, reason, severity, old_severity)
		  select $1, asset_id, vulnerability_id, $5, $4, $6, $3, severity, severity from closed
		), n as (select vulnerability_id, count(*)::int as n from closed group by vulnerability_id
		), counted as (
		  update exposure e set open_assets = e.open_assets - n.n, out_of_scope_assets = e.out_of_scope_assets + n.n, updated_at = $4 from n
		  where e.tenant_id = $1 and e.vulnerability_id = n.vulnerability_id
		)
		select count(*) from closed`, st.job.Tenant, st.integration.ID, string(o.CloseReason), o.Now, st.job.RunID, inventory.EventOutOfScope, of.after, of.last)
	c.OutOfScope += closed
	return err
}
