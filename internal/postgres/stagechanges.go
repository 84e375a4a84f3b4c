package postgres

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// AddChanges stages what became of findings.
func (st *stage) AddChanges(ctx context.Context, now time.Time, changes []syncer.StagedChange) error {
	const target = "incoming_change (asset_id, vulnerability_id, software_ids, severity, source, attack_vector, first_seen_at, gone, reason)"
	return st.copy(ctx, target, func(w *copyWriter) {
		for i := range changes {
			copyFinding(w, now, &changes[i].StagedFinding)
			numbersField(w, changes[i].Gone)
			w.int(int64(changes[i].Reason))
			w.end()
		}
	})
}

// uncompared stands in the place of an asset's hash when only changes of its rows were read since they were compared last.
var uncompared = []byte{1}

// behind stands there once a reading went by without the asset, whose machine was missing from the list, held or unreadable: what
// the rows were told to have become meanwhile is lost, and they have to be read whole once the machine is back.
var behind = []byte{2}

// changeSteps apply changes; but for the comparing they are those of a whole reading.
func (st *stage) changeSteps() []findingStep {
	return []findingStep{
		st.compareChanges, st.keepUnread, st.refuseVulnerabilities, st.retellRefused, st.guardRows, st.settleKept, st.writeDelta, st.noteHeld, st.retellLeft, st.countFindings, st.rateExposures, st.keepSums,
		st.noteAssets, st.countMoved, st.mergeSurroundings, st.countUntouched,
	}
}

// compareChanges works out what to do about each changed finding; for the letters of op see compareFindings. The severity
// that a change tells counts against that of software which did not change as in [syncer.StagedFinding]: the stronger
// source wins, and of equal ones the worse, unless the vulnerability's own word speaks or all of its software changed.
func (st *stage) compareChanges(ctx context.Context, tx *sqlx.Tx, _ syncer.ApplyFindings, _ *syncer.FindingChanges) error {
	_, err := tx.ExecContext(ctx, `
		create temp table delta on commit drop as
		with merged as (
		  select i.asset_id, i.vulnerability_id, i.severity, i.source, i.attack_vector, i.first_seen_at, i.reason, f.state, f.held_since, f.held_as,
		         f.severity as old_severity, f.severity_source as old_source, f.attack_vector as old_vector, f.software_ids as old_software, f.first_seen_at as old_first_seen,
		         array(select unnest(f.software_ids) where f.state = 1 except select unnest(i.gone) union select unnest(i.software_ids) order by 1) as software_ids,
		         i.software_ids = '{}' as only_gone,
		         f.state = 1 and not f.software_ids <@ (i.software_ids || i.gone) as others
		  from incoming_change i left join finding f on f.tenant_id = $1 and f.asset_id = i.asset_id and f.vulnerability_id = i.vulnerability_id
		), settled as (
		  select asset_id, vulnerability_id, old_severity, old_source, old_vector, old_software, software_ids, first_seen_at, old_first_seen, only_gone, reason, state, held_since, held_as,
		         case when only_gone or others and old_source > source then old_severity
		              when others and old_source = source and source < $2 then greatest(old_severity, severity) else severity end as severity,
		         case when only_gone or others and old_source > source then old_source else source end as source,
		         case when only_gone then old_vector else attack_vector end as attack_vector
		  from merged
		), decided as (
		  select *, case when software_ids = '{}' then case when state = 1 then case when reason = 0 then 'f' else 'o' end end
		                 when state is null then 'c' when state = 2 then 'r' when state = 3 then 'b'
		                 when old_software <> software_ids or old_severity <> severity or old_source <> source or old_vector <> attack_vector
		                   or first_seen_at < old_first_seen and not only_gone then 'u'
		            end as op
		  from settled
		)
		select asset_id, vulnerability_id, old_severity, old_software as old_software_ids, software_ids, severity, source, attack_vector, first_seen_at, reason, op, false as withdrawn, op = 'o' and held_as in `+asAbsent+` as returned,
		       case when op = 'f' or op = 'o' and held_as in `+asRefused+` then held_since end as held_since, case when op = 'f' or op = 'o' and held_as in `+asRefused+` then held_as end as held_as
		from decided where op is not null`, st.job.Tenant, inventory.FromVulnerable)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, indexDelta+`; analyze changed_asset`)
	return err
}

// refuseVulnerabilities adds the open findings of vulnerabilities that the settings take no more, those included of which the
// changes took only a part away. What their assets' hashes were made of counts no more.
func (st *stage) refuseVulnerabilities(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, _ *syncer.FindingChanges) error {
	if len(o.Refused) == 0 {
		return nil
	}
	if err := st.noteLookedAt(ctx, tx); err != nil {
		return err
	}
	ids, reasons := refusals(o.Refused)
	_, err := tx.ExecContext(ctx, `delete from delta where op = 'u' and vulnerability_id = any($1::int[])`, ids)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		with refused as (
		  insert into delta (asset_id, vulnerability_id, old_severity, old_software_ids, software_ids, severity, source, attack_vector, first_seen_at, reason, op, held_since, held_as)
		  select f.asset_id, f.vulnerability_id, f.severity, f.software_ids, '{}', f.severity, f.severity_source, f.attack_vector, f.first_seen_at, r.reason, 'o', f.held_since, f.held_as
		  from unnest($2::int[], $3::smallint[]) as r (vulnerability_id, reason)
		  join finding f on f.tenant_id = $1 and f.vulnerability_id = r.vulnerability_id and f.state = 1
		  join looked_at a on a.id = f.asset_id
		  where not exists (select from delta d where d.asset_id = f.asset_id and d.vulnerability_id = f.vulnerability_id)
		  returning asset_id
		)
		insert into changed_asset (asset_id, hash, parts, open_unknown, open_low, open_medium, open_high, open_critical)
		select distinct asset_id, $4::bytea, 0, 0, 0, 0, 0, 0 from refused r
		where not exists (select from changed_asset c where c.asset_id = r.asset_id)`, st.job.Tenant, ids, reasons, uncompared)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `analyze delta; analyze changed_asset`)
	return err
}

// retellRefused adds the findings of such vulnerabilities that are out of scope for another reason than the settings now give.
func (st *stage) retellRefused(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, _ *syncer.FindingChanges) error {
	if len(o.Refused) == 0 {
		return nil
	}
	ids, reasons := refusals(o.Refused)
	_, err := tx.ExecContext(ctx, `
		insert into delta (asset_id, vulnerability_id, old_severity, old_software_ids, software_ids, severity, source, attack_vector, first_seen_at, reason, op)
		select f.asset_id, f.vulnerability_id, f.severity, f.software_ids, f.software_ids, f.severity, f.severity_source, f.attack_vector, f.first_seen_at, r.reason, 's'
		from unnest($2::int[], $3::smallint[]) as r (vulnerability_id, reason)
		join finding f on f.tenant_id = $1 and f.vulnerability_id = r.vulnerability_id and f.state = 3
		  and f.state_reason = any($4::text[]) and f.state_reason <> ($4::text[])[r.reason + 1]
		join looked_at a on a.id = f.asset_id
		where not exists (select from delta d where d.asset_id = f.asset_id and d.vulnerability_id = f.vulnerability_id)`,
		st.job.Tenant, ids, reasons, rowReasonNames())
	return err
}

// noteLookedAt notes the assets whose rows a reading looks at.
func (st *stage) noteLookedAt(ctx context.Context, tx *sqlx.Tx) error {
	_, err := lookupTable(ctx, tx, "looked_at", "id", `select a.id from asset a where a.tenant_id = $1 and a.integration_id = $2 and `+inSight,
		st.job.Tenant, st.integration.ID)
	return err
}

// refusals are the vulnerabilities and the reasons as arrays.
func refusals(refused []syncer.RefusedVulnerability) (ids, reasons any) {
	return pq.Array(each(refused, func(v syncer.RefusedVulnerability) int32 { return v.ID })),
		pq.Array(each(refused, func(v syncer.RefusedVulnerability) int64 { return int64(v.Reason) }))
}

// keepSums leaves assets with their sums whose changes were known already, as those are that two readings overlap in: a sum says what
// the stored findings were made of, and they stay as they are.
func (st *stage) keepSums(ctx context.Context, tx *sqlx.Tx, _ syncer.ApplyFindings, _ *syncer.FindingChanges) error {
	_, err := tx.ExecContext(ctx, `
		delete from changed_asset c
		where not exists (select from delta d where d.asset_id = c.asset_id) and not exists (
		  select from stage_installation s left join installation n on n.tenant_id = $1 and n.asset_id = s.asset_id
		  where s.asset_id = c.asset_id and exists (select * from unnest(s.software_ids, s.location_ids) except select * from unnest(n.software_ids, n.location_ids)))`, st.job.Tenant)
	return err
}

// countUntouched says how many findings of assets that were listed are as they were, without those that are open only because they are held back.
func (st *stage) countUntouched(_ context.Context, _ *sqlx.Tx, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	c.Unchanged = o.Open - (c.Updated - c.Back - c.StillOut) - c.Fixed - (c.OutOfScope - c.KeptOut) - c.Held
	return nil
}

// mergeSurroundings is writeSurroundings for changes: software that no change names stays where it is.
func (st *stage) mergeSurroundings(ctx context.Context, tx *sqlx.Tx, _ syncer.ApplyFindings, c *syncer.FindingChanges) error {
	for _, statement := range []string{insertLocations, `
		insert into installation as n (tenant_id, asset_id, software_ids, location_ids)
		select $1, s.asset_id, m.software_ids, m.location_ids
		from stage_installation s left join installation k on k.tenant_id = $1 and k.asset_id = s.asset_id
		cross join lateral (
		  select array_agg(software order by software) as software_ids, array_agg(location order by software) as location_ids
		  from (
		    select distinct on (software) software, location from (
		      select unnest(s.software_ids) as software, unnest(s.location_ids) as location, 0 as age
		      union all select unnest(k.software_ids), unnest(k.location_ids), 1
		    ) either order by software, age, location
		  ) newest
		) m
		on conflict (tenant_id, asset_id) do update set software_ids = excluded.software_ids, location_ids = excluded.location_ids
		  where (n.software_ids, n.location_ids) <> (excluded.software_ids, excluded.location_ids)`,
	} {
		if _, err := tx.ExecContext(ctx, statement, st.job.Tenant); err != nil {
			return err
		}
	}
	return st.writeRemediations(ctx, tx, c)
}
