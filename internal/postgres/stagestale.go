package postgres

import (
	"context"
	"slices"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// staleKind is a sort of findings of stale assets that the rules treat alike.
type staleKind struct {
	traitRow
	Severity       inventory.Severity       `db:"severity"`
	Source         inventory.SeveritySource `db:"severity_source"`
	Exploitability string                   `db:"exploitability"`
}

// staleFindings are those of stale assets that the settings decide on: open, or out of scope, be it for a reason of a row or for one
// that their asset had. Those that are fixed stay so. $1 and $2 are the tenant and the integration.
const staleFindings = `
	select f.*, case when k.partial then coalesce((select min(m.exploitability) from remediation m
	    where m.tenant_id = $1 and m.vulnerability_id = f.vulnerability_id and m.software_id = any(f.software_ids) and m.exploitability <> ''), '') else '' end as exploitability
	from asset a join finding f on f.tenant_id = $1 and f.asset_id = a.id join vulnerability k on k.id = f.vulnerability_id
	where a.tenant_id = $1 and a.integration_id = $2 and a.state = 'stale' and f.state in (1, 3)`

// renewStale brings stale assets up to date, so that they show the group, tags, name and addresses that they are judged by. It
// counts as no update: their records are skipped.
func (st *stage) renewStale(ctx context.Context, tx *sqlx.Tx, p *machinePlan) error {
	told := slices.DeleteFunc(splitColumns(sourceColumns), func(column string) bool { return column == "state" }) // releaseAssets decides
	_, err := tx.ExecContext(ctx, renewal(told, "", `i.reason = 'stale' and (a.content_hash <> i.content_hash or a.import_state <> $3)`),
		st.job.Tenant, st.integration.ID, importState(p))
	return err
}

// settleStale holds what is stored of stale assets to the settings, since nobody reads rows of them: after a change of settings,
// for assets that turned stale from out of scope, once the import of vulnerabilities, which had closed what was open, is on again, and in
// full runs should a finding tell a reason that no stale asset has. It adds to what there is to do; see compareFindings.
func (st *stage) settleStale(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	due := o.Rejudged
	if !due {
		err := tx.GetContext(ctx, &due, `
			select exists (
			  select from asset a where a.tenant_id = $1 and a.integration_id = $2 and a.state = 'stale' and (a.finding_hash = '' or $3 and exists (
			    select from finding f where f.tenant_id = $1 and f.asset_id = a.id and f.state = 3 and f.state_reason <> all($4))))`,
			st.job.Tenant, st.integration.ID, o.Recount, refusalReasons())
		if err != nil || !due {
			return err
		}
	}
	var kinds []staleKind
	err := tx.SelectContext(ctx, &kinds, `
		select distinct `+traitColumns+`, f.severity, f.severity_source, f.exploitability from (`+staleFindings+`) f join vulnerability k on k.id = f.vulnerability_id`,
		st.job.Tenant, st.integration.ID)
	if err != nil {
		return err
	}
	if len(kinds) > 0 {
		if err := st.settleKinds(ctx, tx, o.Judge, kinds, c); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `
		update asset set finding_hash = $3 where tenant_id = $1 and integration_id = $2 and state = 'stale' and finding_hash = ''`,
		st.job.Tenant, st.integration.ID, behind)
	return err
}

func (st *stage) settleKinds(ctx context.Context, tx *sqlx.Tx, judge *inventory.Judge, kinds []staleKind, c *syncer.FindingChanges) error {
	codes := each(kinds, func(k staleKind) int64 {
		v := k.vulnerability()
		return int64(inventory.RowReasonCode(judge.Finding(inventory.TraitsOf(&v), k.Severity, k.Source, k.Exploitability)))
	})
	return tx.QueryRowxContext(ctx, `
		with settled as (
		  insert into delta (asset_id, vulnerability_id, old_severity, old_software_ids, software_ids, severity, source, attack_vector, first_seen_at, reason, op)
		  select f.asset_id, f.vulnerability_id, f.severity, f.software_ids, f.software_ids, f.severity, f.severity_source, f.attack_vector, f.first_seen_at, k.code,
		         case when k.code = 0 then 'b' when f.state = 1 then 'o' else 's' end
		  from (`+staleFindings+`) f
		  join unnest($4::int[], $5::smallint[], $6::smallint[], $7::text[], $8::smallint[]) as k (vulnerability_id, severity, source, exploitability, code)
		    on (f.vulnerability_id, f.severity, f.severity_source, f.exploitability) = (k.vulnerability_id, k.severity, k.source, k.exploitability)
		  where (f.state = 1) <> (k.code = 0) or f.state = 3 and f.state_reason <> ($3::text[])[k.code + 1]
		  returning op
		)
		select count(*) filter (where op = 'o'), count(*) filter (where op = 'b') from settled`,
		st.job.Tenant, st.integration.ID, rowReasonNames(),
		pq.Array(each(kinds, func(k staleKind) int32 { return k.ID })), pq.Array(each(kinds, func(k staleKind) int32 { return int32(k.Severity) })),
		pq.Array(each(kinds, func(k staleKind) int32 { return int32(k.Source) })), pq.Array(each(kinds, func(k staleKind) string { return k.Exploitability })),
		pq.Array(codes)).Scan(&c.StaleOut, &c.StaleBack)
}

// retellStale gives the findings of stale assets that are out of scope already the reason that all others have now: what their asset,
// or a row, was refused for before may not hold any more, and nobody reads rows to find out.
func (st *stage) retellStale(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, c *syncer.FindingChanges) (err error) {
	c.StillOut, err = affected(ctx, tx, `
		with retold as (
		  update finding f set state_reason = $3, updated_at = $4 from asset a
		  where a.tenant_id = $1 and a.integration_id = $2 and a.state = 'stale' and f.tenant_id = $1 and f.asset_id = a.id
		    and f.state = 3 and f.state_reason <> $3
		  returning f.asset_id, f.vulnerability_id, f.severity
		)
		insert into finding_event (tenant_id, asset_id, vulnerability_id, run_id, at, change, reason, severity)
		select $1, asset_id, vulnerability_id, $5, $4, $6, $3, severity from retold`,
		st.job.Tenant, st.integration.ID, string(o.CloseReason), o.Now, st.job.RunID, inventory.EventOutOfScope)
	c.Updated += c.StillOut
	return err
}

// refusalReasons are why a finding may be out of scope whose asset is not.
func refusalReasons() any {
	return pq.Array(append(rowReasons(), string(inventory.ImportVulnerabilitiesOff)))
}
