package postgres

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// releaseAssets handles the assets known before that are not accepted now: gone from the source, merged, stale, or
// filtered. A drop to nothing or by more than half is held back until a second complete read agrees; what leaves because
// asset import is off was asked for.
func (st *stage) releaseAssets(ctx context.Context, tx *sqlx.Tx, p *machinePlan) error {
	if err := st.noteLeaving(ctx, tx); err != nil {
		return err
	}
	if p.Incomplete || p.Partial {
		if _, err := tx.ExecContext(ctx, `delete from leaving where not arrived`); err != nil {
			return err
		}
	}
	if p.Partial {
		return st.releasePartial(ctx, tx, p)
	}
	if err := st.noteMisses(ctx, tx, p); err != nil {
		return err
	}
	r := reading{
		before: p.before, after: p.accepted, fresh: p.fresh + p.returned, now: p.Now, over: betweenReadings(p.Removal), partly: p.Incomplete,
	}
	var doubtful int64
	err := tx.QueryRowxContext(ctx, `
		select count(*), count(*) filter (where arrived) from leaving where old_state in ('active', 'inactive') and reason <> $1`,
		string(inventory.ImportAssetsOff)).Scan(&doubtful, &r.refused)
	if err != nil {
		return err
	}
	r.leaving, r.samples = doubtful, st.leavingAssets
	ruling, err := st.guard(ctx, tx, r)
	if err != nil {
		return err
	}
	if ruling.hold {
		p.done.Held, err = affected(ctx, tx, `
			with kept as (delete from leaving where reason <> $1 and not (arrived and $2) returning old_state)
			select from kept where old_state in ('active', 'inactive')`, string(inventory.ImportAssetsOff), ruling.chosen)
		if err != nil {
			return err
		}
	}
	if err := st.awaitMisses(ctx, tx, p, ruling.approved); err != nil {
		return err
	}
	return st.takeOutOfScope(ctx, tx, p)
}

// noteLeaving notes what such assets are to become, and when they were seen last.
func (st *stage) noteLeaving(ctx context.Context, tx *sqlx.Tx) error {
	_, err := lookupTable(ctx, tx, "leaving", "id", `
		select * from (
		  select a.id, a.state as old_state, a.state_reason as old_reason, i.idx is not null as arrived,
		         case when i.idx is null then 'removed' when i.reason = 'merged' then 'merged' when i.reason = 'stale' then 'stale'
		              else 'out_of_scope' end as state,
		         coalesce(i.reason, 'removed') as reason, coalesce(i.survivor, '') as survivor, a.merged_into as old_survivor,
		         coalesce(a.findings_seen_at, a.last_seen_at) as seen_at
		  from asset a left join incoming i on i.source_id = a.source_id
		  where a.tenant_id = $1 and a.integration_id = $2
		    and (i.idx is null and a.state not in ('removed', 'merged') or i.reason <> '')
		) l where state <> old_state or reason <> old_reason or state = 'merged' and survivor <> old_survivor`, st.job.Tenant, st.integration.ID)
	return err
}

// betweenReadings is how long after a list or report that was held back another one may agree: as long as single machines have to be
// missing. Microsoft makes a snapshot every six hours, and what is read twice in between shows the same one.
func betweenReadings(r syncer.RemovalPolicy) time.Duration {
	if r.Misses <= 1 {
		return 0
	}
	return r.Over
}

// releasePartial is releaseAssets where only some machines were asked for. How many are left says nothing then, but time
// passes for the others as [inventory.Judge] would have it.
func (st *stage) releasePartial(ctx context.Context, tx *sqlx.Tx, p *machinePlan) error {
	if err := st.forgetMisses(ctx, tx); err != nil {
		return err
	}
	for _, step := range []struct {
		statement string
		args      []any
	}{
		{`insert into leaving (id, old_state, old_reason, arrived, state, reason, survivor, seen_at)
		  select a.id, a.state, a.state_reason, false, 'stale', $4, '', coalesce(a.findings_seen_at, a.last_seen_at) from asset a
		  where a.tenant_id = $1 and a.integration_id = $2 and a.state in ('active', 'inactive') and a.last_seen_at < $3
		    and not exists (select from incoming i where i.source_id = a.source_id)`,
			[]any{p.Now.AddDate(0, 0, -st.integration.Settings.MaxAgeDays), string(inventory.Stale)}},
		{`update asset a set state = 'inactive', updated_at = $3
		  where a.tenant_id = $1 and a.integration_id = $2 and a.state = 'active' and a.last_seen_at < $4
		    and not exists (select from incoming i where i.source_id = a.source_id) and not exists (select from leaving l where l.id = a.id)`,
			[]any{p.Now, p.Now.Add(-inventory.ActiveWithin)}},
	} {
		if _, err := tx.ExecContext(ctx, step.statement, append([]any{st.job.Tenant, st.integration.ID}, step.args...)...); err != nil {
			return err
		}
	}
	return st.takeOutOfScope(ctx, tx, p)
}

// leavingAssets names some of the assets that would leave.
func (st *stage) leavingAssets(ctx context.Context, tx *sqlx.Tx, absent bool) (samples []syncer.Sample, err error) {
	err = tx.SelectContext(ctx, &samples, `
		select a.source_id as sourceid, a.hostname as name, l.reason as detail from leaving l join asset a on a.tenant_id = $1 and a.id = l.id
		where l.old_state in ('active', 'inactive') and l.reason <> $2 and not (l.arrived and $4) order by a.hostname, a.id limit $3`,
		st.job.Tenant, string(inventory.ImportAssetsOff), heldSamples, absent)
	return samples, err
}

// noteMisses counts the complete lists in a row that an asset was missing from, those that the guard holds back as well. A run
// counts once, however often it is carried out.
func (st *stage) noteMisses(ctx context.Context, tx *sqlx.Tx, p *machinePlan) error {
	if err := st.forgetMisses(ctx, tx); err != nil || p.Removal.Misses <= 1 {
		return err
	}
	_, err := tx.ExecContext(ctx, `
		update asset a set missing_since = coalesce(a.missing_since, $2), missed_in = $3, misses = a.misses + (a.missed_in is distinct from $3)::int
		from leaving l where a.tenant_id = $1 and a.id = l.id and not l.arrived`, st.job.Tenant, p.Now, st.job.RunID)
	return err
}

// awaitMisses keeps assets that have not been missing often and long enough. What somebody has let go does not wait: whatever was
// missing in the reading they approved of, and has been since.
func (st *stage) awaitMisses(ctx context.Context, tx *sqlx.Tx, p *machinePlan, approved time.Time) (err error) {
	if p.Removal.Misses <= 1 {
		return nil
	}
	p.done.Missing, err = affected(ctx, tx, `
		delete from leaving l using asset a
		where a.tenant_id = $1 and a.id = l.id and not l.arrived and (a.misses < $2 or a.missing_since > $3) and a.missing_since > $4`,
		st.job.Tenant, p.Removal.Misses, p.Now.Add(-p.Removal.Over), approved)
	return err
}

// forgetMisses starts counting anew for assets that are back.
func (st *stage) forgetMisses(ctx context.Context, tx *sqlx.Tx) error {
	_, err := tx.ExecContext(ctx, `
		update asset a set missing_since = null, misses = 0, missed_in = null from incoming i
		where a.tenant_id = $1 and a.integration_id = $2 and a.source_id = i.source_id and a.missing_since is not null`, st.job.Tenant, st.integration.ID)
	return err
}

// takeOutOfScope makes the assets leave that are listed as leaving, and adds them to what was done.
func (st *stage) takeOutOfScope(ctx context.Context, tx *sqlx.Tx, p *machinePlan) error {
	// Findings of stale assets stay open; those of all others go out of scope with the asset, never to "fixed".
	err := st.eachShare(ctx, tx, func(of share) error { return st.withdrawShare(ctx, tx, of, p) }, `
		select a.id as asset_id, a.open_critical + a.open_high + a.open_medium + a.open_low + a.open_unknown as n
		from leaving l join asset a on a.tenant_id = $1 and a.id = l.id where l.state <> 'stale'`, st.job.Tenant)
	if err != nil {
		return err
	}
	if p.done.Withdrawn > 0 {
		if err := rate(ctx, tx, st.job.Tenant, allExposed); err != nil {
			return err
		}
	}
	return st.leave(ctx, tx, p)
}

// withdrawShare takes the open findings of a share of the assets out of scope that leave.
func (st *stage) withdrawShare(ctx context.Context, tx *sqlx.Tx, of share, p *machinePlan) error {
	var withdrawn int64
	err := tx.GetContext(ctx, &withdrawn, `
		with closed as (
		  update finding f set state = 3, state_reason = l.reason, closed_at = $3, updated_at = now(),
		         last_seen_at = l.seen_at
		  from leaving l
		  where f.tenant_id = $1 and f.asset_id = l.id and f.state = 1 and l.state <> 'stale' and l.id > $5 and l.id <= $6
		  returning f.asset_id, f.vulnerability_id, f.severity, f.first_seen_at, l.reason
		), told as (
		  insert into finding_event (tenant_id, asset_id, vulnerability_id, run_id, at, change, reason, severity, old_severity)
		  select $1, asset_id, vulnerability_id, $2, $3, $4, reason, severity, severity from closed
		), counted as (
		  insert into exposure as e (tenant_id, vulnerability_id, open_assets, out_of_scope_assets, first_seen_at)
		  select $1, vulnerability_id, -count(*), count(*), min(first_seen_at) from closed group by vulnerability_id order by vulnerability_id
		  on conflict (tenant_id, vulnerability_id) do update
		    set open_assets = e.open_assets + excluded.open_assets, out_of_scope_assets = e.out_of_scope_assets + excluded.out_of_scope_assets, updated_at = now()
		)
		select count(*) from closed`, st.job.Tenant, st.job.RunID, p.Now, inventory.EventOutOfScope, of.after, of.last)
	p.done.Withdrawn += withdrawn
	return err
}

// leave writes of the assets that are listed as leaving where they are now, and counts them.
func (st *stage) leave(ctx context.Context, tx *sqlx.Tx, p *machinePlan) error {
	_, err := tx.ExecContext(ctx, `
		update asset a set merged_into = case when l.state = 'merged' then l.survivor else '' end, state = l.state, state_reason = l.reason, updated_at = now(),
		  finding_hash  = case when l.state = 'stale' then a.finding_hash else '' end,
		  open_critical = case when l.state = 'stale' then a.open_critical else 0 end,
		  open_high     = case when l.state = 'stale' then a.open_high else 0 end,
		  open_medium   = case when l.state = 'stale' then a.open_medium else 0 end,
		  open_low      = case when l.state = 'stale' then a.open_low else 0 end,
		  open_unknown  = case when l.state = 'stale' then a.open_unknown else 0 end
		from leaving l where a.tenant_id = $1 and a.id = l.id`, st.job.Tenant)
	if err != nil {
		return err
	}
	var outOfScope, removed, stillOut int64
	// Whatever was out already, and only for another reason now, has not left once more.
	err = tx.QueryRowxContext(ctx, `
		with told as (
		  select state, old_state in ('active', 'inactive') or state <> old_state and state <> 'stale' as left_now from leaving
		)
		select count(*) filter (where left_now and state <> 'removed'), count(*) filter (where left_now and state = 'removed'),
		       count(*) filter (where not left_now) from told`).Scan(&outOfScope, &removed, &stillOut)
	c := &p.done
	c.OutOfScope, c.Removed, c.StillOut = c.OutOfScope+outOfScope, c.Removed+removed, c.StillOut+stillOut
	return err
}
