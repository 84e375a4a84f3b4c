package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/syncer"
)

// withhold takes out of what is to be done what has to wait, and counts it, and what of it opens because it had left with its asset or its import:
// had it stayed, it would be open now.
func (st *stage) withhold(ctx context.Context, tx *sqlx.Tx, h hold) (held, opened int64, err error) {
	until, met, looked := h.waiting()
	held, err = affected(ctx, tx, `
		with kept as (
		  delete from delta d where `+judged+` and (held_since is null or `+mustWait+`) returning *
		), marked as (
		  select asset_id, vulnerability_id, op, held_as, case when held_as < 3 or held_since is not null and not $8 then held_since else $7 end as since,
		         (case when held_as < 3 then held_as when op = 'o' then $10::int else $11::int end + case when held_as < 3 or $8 then 0 else $9::int end)::smallint as now_as
		  from kept
		)
		insert into withheld (asset_id, vulnerability_id, refused, gone, since, held_as, known)
		select asset_id, vulnerability_id, op = 'o', op = 'g', since, now_as, op = 'g' or held_as is not distinct from now_as from marked`,
		st.job.Tenant, until, met, looked, h.rejudged, h.chosen, h.now, h.met, heldBeside, heldRefused, heldAbsent)
	if err != nil {
		return 0, 0, err
	}
	if _, err := tx.ExecContext(ctx, `analyze withheld`); err != nil {
		return 0, 0, err
	}
	if err := st.markWithheld(ctx, tx); err != nil {
		return 0, 0, err
	}
	opened, err = affected(ctx, tx, `
		insert into delta (asset_id, vulnerability_id, old_severity, old_software_ids, software_ids, severity, source, attack_vector, first_seen_at, op, withdrawn, held_since, held_as)
		select f.asset_id, f.vulnerability_id, f.severity, f.software_ids, f.software_ids, f.severity, f.severity_source, f.attack_vector, f.first_seen_at, 'b', true, w.since, w.held_as
		from withheld w join finding f on f.tenant_id = $1 and f.asset_id = w.asset_id and f.vulnerability_id = w.vulnerability_id where w.gone`, st.job.Tenant)
	if err != nil || h.changes {
		return held, opened, err
	}
	return held, opened, st.compareAgain(ctx, tx, `select asset_id from withheld`)
}

// markWithheld keeps with findings that they are held back, unless it is known.
func (st *stage) markWithheld(ctx context.Context, tx *sqlx.Tx) error {
	return st.eachShare(ctx, tx, func(of share) error {
		_, err := tx.ExecContext(ctx, `
			update finding f set held_since = w.since, held_as = w.held_as from withheld w
			where not w.known and w.asset_id > $2 and w.asset_id <= $3
			  and f.tenant_id = $1 and f.asset_id = w.asset_id and f.vulnerability_id = w.vulnerability_id`, st.job.Tenant, of.after, of.last)
		return err
	}, `select asset_id, count(*) as n from withheld where not known group by asset_id`)
}

// releaseRows forgets that findings were held back that a whole report has again, also one of which some rows could not be read: those of its
// assets are compared, so that nothing is to be done only about findings that are as they were. Those that were absent and are refused now are
// there too. Changes do not tell of either.
func (st *stage) releaseRows(ctx context.Context, tx *sqlx.Tx, _ syncer.ApplyFindings, _ *syncer.FindingChanges) error {
	some, err := lookupTable(ctx, tx, "held_asset", "id", `
		select a.id, a.held_findings as n from asset a where a.tenant_id = $1 and a.integration_id = $2 and a.held_findings > 0 and `+inSight, st.job.Tenant, st.integration.ID)
	if err != nil || some == 0 {
		return err
	}
	return st.eachShare(ctx, tx, func(of share) error {
		_, err := tx.ExecContext(ctx, `
			update finding f set held_since = null, held_as = null from held_asset a
			where a.id > $2 and a.id <= $3 and f.tenant_id = $1 and f.asset_id = a.id and f.held_since is not null
			  and not exists (select from delta d where d.asset_id = f.asset_id and d.vulnerability_id = f.vulnerability_id and not coalesce(d.returned, false))`,
			st.job.Tenant, of.after, of.last)
		return err
	}, `select id as asset_id, n from held_asset`)
}

// noteHeld counts by asset what is held back from now on.
func (st *stage) noteHeld(ctx context.Context, tx *sqlx.Tx, _ syncer.ApplyFindings, _ *syncer.FindingChanges) error {
	some, err := lookupTable(ctx, tx, "holding", "asset_id", `
		select a.asset_id, count(f.held_since) as n
		from (select id as asset_id from asset where tenant_id = $1 and integration_id = $2 and held_findings > 0 union select asset_id from withheld) a
		left join `+findingsOfEach+` on true group by a.asset_id`, st.job.Tenant, st.integration.ID)
	if err != nil || some == 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		update asset a set held_findings = h.n, held_told = a.held_told and h.n > 0 from holding h
		where a.tenant_id = $1 and a.id = h.asset_id and a.held_findings <> h.n`, st.job.Tenant)
	return err
}
