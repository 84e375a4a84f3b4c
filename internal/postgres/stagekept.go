package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// keptKind is a sort of findings of kept assets that the rules treat alike.
type keptKind struct {
	traitRow
	Severity       inventory.Severity       `db:"severity"`
	Source         inventory.SeveritySource `db:"severity_source"`
	Exploitability string                   `db:"exploitability"`
}

// keptFindings are those of kept assets that the settings decide on: open, or out of scope, for whatever reason. $1 is the tenant.
const keptFindings = `
	select f.*, case when k.partial then coalesce((select min(m.exploitability) from remediation m
	    where m.tenant_id = $1 and m.vulnerability_id = f.vulnerability_id and m.software_id = any(f.software_ids) and m.exploitability <> ''), '') else '' end as exploitability
	from kept_asset a cross join ` + findingsOfEach + ` join vulnerability k on k.id = f.vulnerability_id
	where f.state in (1, 3)`

// settleKept holds what is stored of kept assets to the settings, since nobody reads rows of them, whether they are stale, missing from the list
// or held back: after a change of settings, and when they had lost their findings for a reason that is none any more. Findings that are held back
// themselves are open, as they are on assets that are read: no row of them arrives that settings could refuse. It adds to what there is to do; see
// compareFindings.
func (st *stage) settleKept(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	due := o.Rejudged
	if !due {
		err := tx.GetContext(ctx, &due, `
			select exists (select from kept_asset k join asset a on a.tenant_id = $1 and a.id = k.asset_id where a.finding_hash = '')`, st.job.Tenant)
		if err != nil || !due {
			return err
		}
	}
	var kinds []keptKind
	err := tx.SelectContext(ctx, &kinds, `
		select distinct `+traitColumns+`, f.severity, f.severity_source, f.exploitability from (`+keptFindings+`) f join vulnerability k on k.id = f.vulnerability_id`,
		st.job.Tenant)
	if err != nil {
		return err
	}
	if len(kinds) > 0 {
		if err := st.settleKinds(ctx, tx, o.Judge, kinds, c); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `
		update asset a set finding_hash = $2 from kept_asset k where a.tenant_id = $1 and a.id = k.asset_id and a.finding_hash = ''`, st.job.Tenant, behind)
	return err
}

func (st *stage) settleKinds(ctx context.Context, tx *sqlx.Tx, judge *inventory.Judge, kinds []keptKind, c *syncer.FindingChanges) error {
	codes := each(kinds, func(k keptKind) int64 {
		v := k.vulnerability()
		return int64(inventory.RowReasonCode(judge.Finding(inventory.TraitsOf(&v), k.Severity, k.Source, k.Exploitability)))
	})
	var back int64
	err := tx.QueryRowxContext(ctx, `
		with settled as (
		  insert into delta (asset_id, vulnerability_id, old_severity, old_software_ids, software_ids, severity, source, attack_vector, first_seen_at, reason, op, held_since, held_as)
		  select f.asset_id, f.vulnerability_id, f.severity, f.software_ids, f.software_ids, f.severity, f.severity_source, f.attack_vector, f.first_seen_at, r.code,
		         case when r.code = 0 then 'b' when f.state = 1 then 'o' else 's' end, f.held_since, f.held_as
		  from (`+keptFindings+`) f
		  join unnest($3::int[], $4::smallint[], $5::smallint[], $6::text[], $7::smallint[]) as k (vulnerability_id, severity, source, exploitability, code)
		    on (f.vulnerability_id, f.severity, f.severity_source, f.exploitability) = (k.vulnerability_id, k.severity, k.source, k.exploitability)
		  cross join lateral (select case when f.held_since is null then k.code else 0 end as code) r
		  where (f.state = 1) <> (r.code = 0) or f.state = 3 and f.state_reason <> ($2::text[])[r.code + 1]
		  returning op
		)
		select count(*) filter (where op = 'o'), count(*) filter (where op = 'b') from settled`,
		st.job.Tenant, rowReasonNames(),
		pq.Array(each(kinds, func(k keptKind) int32 { return k.ID })), pq.Array(each(kinds, func(k keptKind) int32 { return int32(k.Severity) })),
		pq.Array(each(kinds, func(k keptKind) int32 { return int32(k.Source) })), pq.Array(each(kinds, func(k keptKind) string { return k.Exploitability })),
		pq.Array(codes)).Scan(&c.KeptOut, &back)
	c.BackUnread += back
	return err
}
