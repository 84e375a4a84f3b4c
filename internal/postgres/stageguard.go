package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/syncer"
)

// guardFindings holds back closings when open findings, and those that were before they left with their assets or their import, drop to
// nothing or by more than half: that assets or the import are back shows no more of what is gone than if they had never been away.
func (st *stage) guardFindings(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	r := reading{now: o.Now, over: betweenReadings(o.Removal), partly: o.Incomplete, samples: st.closingFindings, unseen: st.unseenFindings}
	err := tx.QueryRowxContext(ctx, `
		select $2::bigint + count(*) filter (where withdrawn and op in ('b', 'g')), (select count(*) from incoming_finding) + $1::bigint,
		       count(*) filter (where op = 'o'), count(*) filter (where op in ('f', 'o', 'g')), count(*) filter (where op in ('c', 'r') or op = 'b' and not withdrawn)
		from delta`, o.Unchanged, o.Open).Scan(&r.before, &r.after, &r.refused, &r.leaving, &r.fresh)
	if err != nil {
		return err
	}
	ruling, err := st.guard(ctx, tx, guardFindings, r)
	if err != nil {
		return err
	}
	if !ruling.hold {
		return st.noteHeld(ctx, tx, ruling)
	}
	// The hash of an asset with withheld changes stays old, so that the next run compares it again.
	_, err = tx.ExecContext(ctx, `delete from changed_asset where asset_id in (select asset_id from delta where op = any($1))`, pq.Array(closings(ruling.chosen)))
	if err != nil {
		return err
	}
	if c.Held, err = st.withholdClosings(ctx, tx, ruling); err != nil {
		return err
	}
	c.BackUnread, err = st.keepWithdrawn(ctx, tx)
	return err
}

// unseenFindings counts what is held back of assets that are out of sight: missing from the list, stale, held back themselves, or out of scope.
// An asset that was removed is gone for certain, and its findings with it.
func (st *stage) unseenFindings(ctx context.Context, tx *sqlx.Tx) (n int64, err error) {
	err = tx.GetContext(ctx, &n, `
		select coalesce(sum(held_findings), 0) from asset
		where tenant_id = $1 and integration_id = $2 and held_findings > 0 and state <> 'removed'
		  and (state not in ('active', 'inactive') or id in (select asset_id from kept_asset))`, st.job.Tenant, st.integration.ID)
	return n, err
}

// noteHeld remembers of each asset in sight how many of its findings are held back, and of all that none is once a hold has ended.
func (st *stage) noteHeld(ctx context.Context, tx *sqlx.Tx, r ruling) (err error) {
	switch {
	case r.ended:
		_, err = tx.ExecContext(ctx, `
			update asset set held_findings = 0 where tenant_id = $1 and integration_id = $2 and held_findings > 0`, st.job.Tenant, st.integration.ID)
	case r.waits:
		_, err = tx.ExecContext(ctx, `
			update asset a set held_findings = coalesce(w.held, 0)
			from asset b left join (select asset_id, count(*) as held from withheld group by asset_id) w on w.asset_id = b.id
			where a.tenant_id = $1 and b.tenant_id = $1 and b.id = a.id and b.integration_id = $2 and b.state in ('active', 'inactive')
			  and b.id not in (select asset_id from kept_asset) and b.held_findings <> coalesce(w.held, 0)`, st.job.Tenant, st.integration.ID)
	}
	return err
}

// closings are the operations that close findings, or those alone whose rows are absent.
func closings(absent bool) []string {
	if absent {
		return []string{"f", "g"}
	}
	return []string{"f", "o", "g"}
}

// withholdClosings takes back what the guard holds back, and counts it. It is remembered; see Holdings and noteHeld.
func (st *stage) withholdClosings(ctx context.Context, tx *sqlx.Tx, r ruling) (int64, error) {
	held, err := affected(ctx, tx, `
		insert into withheld (asset_id, vulnerability_id, refused) select asset_id, vulnerability_id, op = 'o' from delta where op = any($1)`,
		pq.Array(closings(r.chosen)))
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `delete from delta where op <> 'g' and op = any($1)`, pq.Array(closings(r.chosen)))
	if err == nil {
		err = st.noteHeld(ctx, tx, r)
	}
	return held, err
}

// keepWithdrawn opens what had left with its asset or its import and is held back, as it was: had it stayed, it would be open now. It counts
// what it opens.
func (st *stage) keepWithdrawn(ctx context.Context, tx *sqlx.Tx) (int64, error) {
	return affected(ctx, tx, `
		update delta d set op = 'b', software_ids = f.software_ids, severity = f.severity, source = f.severity_source, attack_vector = f.attack_vector, first_seen_at = f.first_seen_at
		from finding f where f.tenant_id = $1 and f.asset_id = d.asset_id and f.vulnerability_id = d.vulnerability_id and d.op = 'g'`, st.job.Tenant)
}

// withholdNothing notes that no finding is held back while all are out of scope. The drop is remembered for when their import is on again.
func (st *stage) withholdNothing(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, _ *syncer.FindingChanges) error {
	known, err := readGuard(ctx, tx, st.job.Tenant, st.integration.PublicID)
	if err != nil {
		return err
	}
	e, told := known.told(syncer.HeldFindings)
	if !told {
		return nil
	}
	known.Held[guardFindings] = e.outOfSight(guardFigures{Run: st.job.Subject.String(), At: o.Now})
	st.remember = &known
	return nil
}

// closingFindings names some of the findings that would close.
func (st *stage) closingFindings(ctx context.Context, tx *sqlx.Tx, absent bool) (samples []syncer.Sample, err error) {
	err = tx.SelectContext(ctx, &samples, `
		select a.source_id as sourceid, v.name, a.hostname as detail
		from (select asset_id, vulnerability_id from delta where op = any($3) order by old_severity desc, asset_id, vulnerability_id limit $2) d
		join asset a on a.tenant_id = $1 and a.id = d.asset_id join vulnerability v on v.id = d.vulnerability_id`, st.job.Tenant, heldSamples, pq.Array(closings(absent)))
	return samples, err
}
