package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/tenant"
)

// CounterDifference is a stored counter that disagrees with a recount of what it sums up.
type CounterDifference struct {
	Counter string `db:"counter"` // e.g. asset_open_critical, exposure_fixed_assets, exposure_severity, asset_tally_high
	Subject string `db:"subject"` // the asset's public id, the vulnerability's name, or state and operating system of a tally
	Stored  int64  `db:"stored"`
	Counted int64  `db:"counted"`
}

// AuditCounters recounts a tenant's findings, and sums its assets and exposures up, and returns every counter that says
// something else; none means that all of them agree. The severity of vulnerabilities that the catalogue does not rate counts
// as one. It reads everything the tenant has, so it is for operators and tests.
func (s *Store) AuditCounters(ctx context.Context, t tenant.ID) (differences []CounterDifference, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		for _, audit := range []string{auditAssets, auditHeld, auditExposures, auditRatings, auditAssetTally, auditExposureTally} {
			var found []CounterDifference
			if err := inSets(ctx, tx, func() error { return tx.SelectContext(ctx, &found, audit, t) }); err != nil {
				return err
			}
			differences = append(differences, found...)
		}
		return nil
	})
	return differences, err
}

const (
	auditAssets = `
		with counted as (
		  select asset_id, severity, count(*) as n from finding where tenant_id = $1 and state = 1 group by asset_id, severity
		), stored as (
		  select a.id, a.public_id, s.severity, s.name, s.stored
		  from asset a cross join lateral (values
		    (4, 'asset_open_critical', a.open_critical), (3, 'asset_open_high', a.open_high), (2, 'asset_open_medium', a.open_medium),
		    (1, 'asset_open_low', a.open_low), (0, 'asset_open_unknown', a.open_unknown)) as s(severity, name, stored)
		  where a.tenant_id = $1
		)
		select s.name as counter, s.public_id::text as subject, s.stored::bigint as stored, coalesce(c.n, 0) as counted
		from stored s left join counted c on c.asset_id = s.id and c.severity = s.severity
		where s.stored <> coalesce(c.n, 0)
		order by 1, 2`
	auditHeld = `
		select 'asset_held_findings' as counter, a.public_id::text as subject, a.held_findings::bigint as stored, coalesce(n.held, 0) as counted
		from asset a left join (
		  select asset_id, count(*) as held from finding where tenant_id = $1 and held_since is not null group by asset_id
		) n on n.asset_id = a.id
		where a.tenant_id = $1 and a.held_findings <> coalesce(n.held, 0)
		order by 1, 2`
	auditExposures = `
		select p.name as counter, v.name as subject, p.stored::bigint as stored, p.counted
		from (select * from exposure where tenant_id = $1) e
		full join (
		  select vulnerability_id, count(*) filter (where state = 1) as open, count(*) filter (where state = 2) as fixed,
		         count(*) filter (where state = 3) as outside
		  from finding where tenant_id = $1 group by vulnerability_id
		) n using (vulnerability_id)
		join vulnerability v on v.id = vulnerability_id
		cross join lateral (values
		  ('exposure_open_assets', coalesce(e.open_assets, 0), coalesce(n.open, 0)),
		  ('exposure_fixed_assets', coalesce(e.fixed_assets, 0), coalesce(n.fixed, 0)),
		  ('exposure_out_of_scope_assets', coalesce(e.out_of_scope_assets, 0), coalesce(n.outside, 0))) as p(name, stored, counted)
		where p.stored <> p.counted
		order by 1, 2`
	auditRatings = `
		select 'exposure_severity' as counter, v.name as subject, e.severity::bigint as stored, n.worst::bigint as counted
		from (select vulnerability_id, max(severity) as worst from finding where tenant_id = $1 and state = 1 group by vulnerability_id) n
		join exposure e on e.tenant_id = $1 and e.vulnerability_id = n.vulnerability_id
		join vulnerability v on v.id = n.vulnerability_id
		where (btrim(v.severity_word) = '' or v.severity = 0) and e.severity <> n.worst
		order by 1, 2`
	auditAssetTally = `
		select p.name as counter, coalesce(t.state, n.state) || ' ' || coalesce(t.os_family, n.os_family) as subject, p.stored, p.counted
		from (select * from asset_tally where tenant_id = $1) t
		full join (
		  select integration_id, state, os_family, count(*) as assets, sum(open_critical) as critical, sum(open_high) as high, sum(open_medium) as medium,
		         sum(open_low) as low, sum(open_unknown) as unknown
		  from asset where tenant_id = $1 group by integration_id, state, os_family
		) n on n.integration_id = t.integration_id and n.state = t.state and n.os_family = t.os_family
		cross join lateral (values
		  ('asset_tally_assets', coalesce(t.assets, 0), coalesce(n.assets, 0)), ('asset_tally_critical', coalesce(t.critical, 0), coalesce(n.critical, 0)),
		  ('asset_tally_high', coalesce(t.high, 0), coalesce(n.high, 0)), ('asset_tally_medium', coalesce(t.medium, 0), coalesce(n.medium, 0)),
		  ('asset_tally_low', coalesce(t.low, 0), coalesce(n.low, 0)), ('asset_tally_unknown', coalesce(t.unknown, 0), coalesce(n.unknown, 0))
		) as p(name, stored, counted)
		where p.stored <> p.counted
		order by 1, 2`
	auditExposureTally = `
		select p.name as counter, '' as subject, p.stored, p.counted
		from (
		  select count(*) filter (where open_assets > 0) as vulnerabilities, coalesce(sum(fixed_assets), 0) as fixed,
		         coalesce(sum(out_of_scope_assets), 0) as outside
		  from exposure where tenant_id = $1
		) n
		left join exposure_tally t on t.tenant_id = $1
		cross join lateral (values
		  ('exposure_tally_vulnerabilities', coalesce(t.vulnerabilities, 0), n.vulnerabilities),
		  ('exposure_tally_fixed', coalesce(t.fixed, 0), n.fixed),
		  ('exposure_tally_out_of_scope', coalesce(t.out_of_scope, 0), n.outside)) as p(name, stored, counted)
		where p.stored <> p.counted
		order by 1, 2`
)
