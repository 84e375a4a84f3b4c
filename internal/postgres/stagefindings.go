package postgres

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// AddFindings stages grouped findings. The first ones of a tenant go straight where they will stay; see load.
func (st *stage) AddFindings(ctx context.Context, now time.Time, findings []syncer.StagedFinding) error {
	if err := st.beginLoad(ctx, now); err != nil {
		return classify(ctx, err)
	}
	if st.load != nil {
		return classify(ctx, st.loadFindings(ctx, now, findings))
	}
	err := st.copy(ctx, "incoming_finding (asset_id, vulnerability_id, software_ids, severity, source, attack_vector, first_seen_at)", func(w *copyWriter) {
		for i := range findings {
			if f := &findings[i]; f.Reason == 0 {
				copyFinding(w, now, f)
				w.end()
			}
		}
	})
	if err != nil {
		return err
	}
	return st.copy(ctx, "rejected (asset_id, vulnerability_id, reason)", func(w *copyWriter) {
		for i := range findings {
			if f := &findings[i]; f.Reason != 0 {
				w.int(f.AssetID)
				w.int(int64(f.Vulnerability))
				w.int(int64(f.Reason))
				w.end()
			}
		}
	})
}

func copyFinding(w *copyWriter, now time.Time, f *syncer.StagedFinding) {
	w.int(f.AssetID)
	w.int(int64(f.Vulnerability))
	numbersField(w, f.Software)
	w.int(int64(f.Severity))
	w.int(int64(f.Source))
	w.int(int64(f.Vector))
	if f.FirstSeen == 0 {
		w.time(now)
	} else {
		w.time(time.Unix(int64(f.FirstSeen), 0))
	}
}

// AddChangedAssets names the assets to compare.
func (st *stage) AddChangedAssets(ctx context.Context, assets []syncer.StagedAsset) error {
	const target = "changed_asset (asset_id, hash, parts, open_unknown, open_low, open_medium, open_high, open_critical)"
	return st.copy(ctx, target, func(w *copyWriter) {
		for i := range assets {
			w.int(assets[i].AssetID)
			if assets[i].Uncompared {
				w.bytes(uncompared)
			} else {
				w.bytes(assets[i].Hash.Bytes())
			}
			w.int(int64(assets[i].Parts))
			for _, n := range assets[i].Open {
				w.int(int64(n))
			}
			w.end()
		}
	})
}

// ApplyFindings makes the stored findings of the changed assets equal to what was staged, in one transaction.
func (st *stage) ApplyFindings(ctx context.Context, o syncer.ApplyFindings) (c syncer.FindingChanges, err error) {
	if err := st.stageSeen(ctx, o.LastSeen); err != nil {
		return c, err
	}
	steps := []func(context.Context, *sqlx.Tx, syncer.ApplyFindings, *syncer.FindingChanges) error{
		st.keepUntold, st.compareFindings, st.releaseRows, st.keepUnread, st.guardRows, st.settleKept, st.writeDelta, st.noteHeld, st.retellLeft, st.countFindings,
		st.recountFindings, st.rateExposures, st.noteAssets, st.countMoved, st.writeSurroundings, st.releaseCarriers,
	}
	switch loaded := st.load; {
	case o.CloseReason != inventory.Accepted:
		steps = steps[:0]
		steps = append(steps, st.closeAll, st.retellClosed, st.withholdNothing)
	case loaded != nil:
		steps = loaded.steps(st)
	case o.Changes:
		steps = st.changeSteps()
	}
	err = st.apply(ctx, syncer.StageVulnerabilities, func(tx *sqlx.Tx) error {
		c = syncer.FindingChanges{}
		if c.OpenBefore, err = st.openFindings(ctx, tx); err != nil {
			return err
		}
		for _, step := range steps {
			if err := step(ctx, tx, o, &c); err != nil {
				return err
			}
		}
		if err := st.countAfter(ctx, tx, o, &c); err != nil {
			return err
		}
		st.doubt = doubtOf(o, c)
		return o.Confirm(&c)
	})
	return c, err
}

// doubtOf is why the next reading has to be whole, should the run end before it can tell what it has learnt.
func doubtOf(o syncer.ApplyFindings, c syncer.FindingChanges) string {
	switch {
	case o.Incomplete:
		return syncer.DoubtUnread
	case c.Held > 0:
		return syncer.DoubtHeld
	case o.Rejudged:
		return syncer.DoubtJudged
	}
	return ""
}

func (st *stage) stageSeen(ctx context.Context, seen []syncer.SeenAsset) error {
	return st.copy(ctx, "stage_seen (asset_id, seen_at)", func(w *copyWriter) {
		for _, s := range seen {
			w.int(s.AssetID)
			w.time(time.Unix(s.At, 0))
			w.end()
		}
	})
}

// compareFindings works out what to do about each finding of the changed parts of assets. The letters of op:
// c created, u updated, r reopened (was fixed), b back (was out of scope), f fixed, o out of scope, s still out of scope but
// for another reason, g gone: it was out of scope for a reason that is none any more, such as an import that was off, and has no row.
// What left with its asset or its import had been open; withdrawn tells it from what a rule for rows refused. What was held back as absent and
// is refused has returned. held_since and held_as are what they are to be afterwards, which is null for all that arrived, if it was absent before;
// see guardRows.
func (st *stage) compareFindings(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, _ *syncer.FindingChanges) error {
	_, err := tx.ExecContext(ctx, `analyze incoming_finding; analyze rejected; analyze changed_asset`)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		create temp table delta on commit drop as
		select coalesce(i.asset_id, f.asset_id) as asset_id, coalesce(i.vulnerability_id, f.vulnerability_id) as vulnerability_id,
		       f.severity as old_severity, f.software_ids as old_software_ids, i.software_ids, i.severity, i.source, i.attack_vector,
		       coalesce(i.first_seen_at, $3) as first_seen_at, r.reason,
		       case when f.asset_id is null then 'c'
		            when i.asset_id is null and f.state = 3 then case when r.reason is null then 'g' else 's' end
		            when i.asset_id is null then case when r.reason is null then 'f' else 'o' end
		            when f.state = 2 then 'r' when f.state = 3 then 'b' else 'u' end as op,
		       f.state = 3 and f.state_reason <> all($2::text[]) as withdrawn, i.asset_id is null and r.reason is not null and f.held_as in `+asAbsent+` as returned,
		       case when i.asset_id is null and (r.reason is null or f.held_as in `+asRefused+`) then f.held_since end as held_since,
		       case when i.asset_id is null and (r.reason is null or f.held_as in `+asRefused+`) then f.held_as end as held_as
		from incoming_finding i
		full join (
		  select f.asset_id, f.vulnerability_id, f.software_ids, f.severity, f.severity_source, f.attack_vector, f.first_seen_at, f.state, f.state_reason, f.held_since, f.held_as
		  from finding f join changed_asset c using (asset_id)
		  where f.tenant_id = $1 and (c.parts >> (f.vulnerability_id % $4)) & 1 = 1
		) f on f.asset_id = i.asset_id and f.vulnerability_id = i.vulnerability_id
		left join rejected r on r.asset_id = f.asset_id and r.vulnerability_id = f.vulnerability_id
		where f.asset_id is null
		   or (i.asset_id is null and f.state = 1)
		   or (i.asset_id is null and f.state = 3 and coalesce(f.state_reason <> ($2::text[])[r.reason + 1], f.state_reason <> all($2::text[])))
		   or (i.asset_id is not null and (f.state <> 1 or f.software_ids <> i.software_ids or f.severity <> i.severity
		       or f.severity_source <> i.source or f.attack_vector <> i.attack_vector or i.first_seen_at < f.first_seen_at))`, st.job.Tenant, rowReasonNames(), o.Now, syncer.SumParts)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, indexDelta)
	return err
}

// indexDelta has each finding be looked up in what is to be done, by whoever goes through the findings of a tenant: of one that the statistics do not
// know the planner does so, because it expects a single finding.
const indexDelta = `create index on delta (asset_id, vulnerability_id); analyze delta`

// writeDelta does what there is to be done about findings, and keeps it as their history, share by share.
func (st *stage) writeDelta(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	var incoming int64
	if err := tx.GetContext(ctx, &incoming, `select count(*) from incoming_finding`); err != nil {
		return err
	}
	if err := st.noteClosing(ctx, tx); err != nil {
		return err
	}
	err := st.eachShare(ctx, tx, func(of share) error {
		for _, write := range []func(context.Context, *sqlx.Tx, share, syncer.ApplyFindings, *syncer.FindingChanges) error{
			st.createFindings, st.updateFindings, st.closeFindings, st.reasonFindings, st.recordEvents,
		} {
			if err := write(ctx, tx, of, o, c); err != nil {
				return err
			}
		}
		return nil
	}, `select asset_id, count(*) as n from delta group by asset_id`)
	c.Unchanged = o.Unchanged + incoming + c.BackUnread - c.Created - (c.Updated - c.StillOut) - c.Reopened
	return err
}

// noteClosing notes when the assets were seen whose findings close.
func (st *stage) noteClosing(ctx context.Context, tx *sqlx.Tx) error {
	_, err := lookupTable(ctx, tx, "closing_asset", "id", `
		select a.id, coalesce(a.findings_seen_at, a.last_seen_at) as seen_at from asset a
		where a.tenant_id = $1 and a.id in (select asset_id from delta where op in ('f', 'o'))`, st.job.Tenant)
	return err
}

func (st *stage) createFindings(ctx context.Context, tx *sqlx.Tx, of share, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	n, err := affected(ctx, tx, `
		insert into finding (tenant_id, asset_id, vulnerability_id, software_ids, severity, severity_source, attack_vector, state, first_seen_at, created_at, updated_at)
		select $1, asset_id, vulnerability_id, software_ids, severity, source, attack_vector, 1, first_seen_at, $2, $2
		from delta where op = 'c' and asset_id > $3 and asset_id <= $4 order by asset_id, vulnerability_id`, st.job.Tenant, o.Now, of.after, of.last)
	c.Created += n
	return err
}

// updateFindings writes what changed about findings that are open, and opens those that are back.
func (st *stage) updateFindings(ctx context.Context, tx *sqlx.Tx, of share, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	var updated, reopened, back int64
	err := tx.QueryRowxContext(ctx, `
		with done as (
		  update finding f set software_ids = d.software_ids, severity = d.severity, severity_source = d.source, attack_vector = d.attack_vector,
		         state = 1, state_reason = null, last_seen_at = null, closed_at = null, held_since = d.held_since, held_as = d.held_as, updated_at = $2,
		         first_seen_at = least(f.first_seen_at, d.first_seen_at),
		         reopened_at = case when d.op = 'r' then $2 else f.reopened_at end,
		         reopen_count = f.reopen_count + (d.op = 'r')::int
		  from delta d
		  where f.tenant_id = $1 and f.asset_id = d.asset_id and f.vulnerability_id = d.vulnerability_id and d.op in ('u', 'r', 'b') and d.asset_id > $3 and d.asset_id <= $4
		  returning d.op
		)
		select count(*) filter (where op <> 'r'), count(*) filter (where op = 'r'), count(*) filter (where op = 'b') from done`,
		st.job.Tenant, o.Now, of.after, of.last).Scan(&updated, &reopened, &back)
	c.Updated, c.Reopened, c.Back = c.Updated+updated, c.Reopened+reopened, c.Back+back
	return err
}

func (st *stage) closeFindings(ctx context.Context, tx *sqlx.Tx, of share, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	var fixed, outOfScope int64
	err := tx.QueryRowxContext(ctx, `
		with done as (
		  update finding f set state = case d.op when 'f' then 2 else 3 end, closed_at = $2, updated_at = $2, held_since = null, held_as = null,
		         state_reason = case d.op when 'o' then ($3::text[])[d.reason + 1] end,
		         last_seen_at = a.seen_at
		  from delta d join closing_asset a on a.id = d.asset_id
		  where f.tenant_id = $1 and f.asset_id = d.asset_id and f.vulnerability_id = d.vulnerability_id and d.op in ('f', 'o') and d.asset_id > $4 and d.asset_id <= $5
		  returning d.op
		)
		select count(*) filter (where op = 'f'), count(*) filter (where op = 'o') from done`,
		st.job.Tenant, o.Now, rowReasonNames(), of.after, of.last).Scan(&fixed, &outOfScope)
	c.Fixed, c.OutOfScope = c.Fixed+fixed, c.OutOfScope+outOfScope
	return err
}

// reasonFindings keeps up to date why findings that are out of scope are, and ends those that are gone.
func (st *stage) reasonFindings(ctx context.Context, tx *sqlx.Tx, of share, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	changed, err := affected(ctx, tx, `
		update finding f set state = case d.op when 'g' then 2 else 3 end, state_reason = case d.op when 's' then ($3::text[])[d.reason + 1] end,
		       closed_at = case d.op when 'g' then $2 else f.closed_at end, held_since = null, held_as = null, updated_at = $2
		from delta d
		where f.tenant_id = $1 and f.asset_id = d.asset_id and f.vulnerability_id = d.vulnerability_id and d.op in ('s', 'g') and d.asset_id > $4 and d.asset_id <= $5`,
		st.job.Tenant, o.Now, rowReasonNames(), of.after, of.last)
	c.Updated += changed
	c.StillOut += changed
	return err
}

// compareAgain has the next run compare assets again some of whose findings stay as they are though their rows are gone: those of a query, whose
// arguments count from $3. Their old hash would not do, because others of their findings may be changed by the rows that were read, and all rows
// together may have that hash still.
func (st *stage) compareAgain(ctx context.Context, tx *sqlx.Tx, which string, args ...any) error {
	_, err := tx.ExecContext(ctx, `
		with kept as (delete from changed_asset where asset_id in (`+which+`) returning asset_id)
		update asset a set finding_hash = $2 from kept k where a.tenant_id = $1 and a.id = k.asset_id`, append([]any{st.job.Tenant, uncompared}, args...)...)
	return err
}
