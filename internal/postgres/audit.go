package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/tenant"
)

// CounterDifference is a stored counter that disagrees with a recount of the findings it sums up.
type CounterDifference struct {
	Counter string `db:"counter"` // asset_open_critical … asset_open_unknown, or exposure_open_assets
	Subject string `db:"subject"` // the asset's public id, or the vulnerability's name
	Stored  int64  `db:"stored"`
	Counted int64  `db:"counted"`
}

// AuditCounters recounts a tenant's open findings and returns every counter that says something else; none means that all
// of them agree. It reads everything the tenant has in one statement, so it is for operators and tests.
func (s *Store) AuditCounters(ctx context.Context, t tenant.ID) (differences []CounterDifference, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &differences, `
			with open as (
			  select asset_id, vulnerability_id, severity from finding where tenant_id = $1 and state = 1
			), per_asset as (
			  select asset_id, severity, count(*) as n from open group by asset_id, severity
			), per_vulnerability as (
			  select vulnerability_id, count(*) as n from open group by vulnerability_id
			), stored_asset as (
			  select a.id, a.public_id, s.severity, s.name, s.stored
			  from asset a cross join lateral (values
			    (4, 'asset_open_critical', a.open_critical), (3, 'asset_open_high', a.open_high), (2, 'asset_open_medium', a.open_medium),
			    (1, 'asset_open_low', a.open_low), (0, 'asset_open_unknown', a.open_unknown)) as s(severity, name, stored)
			  where a.tenant_id = $1
			)
			select s.name as counter, s.public_id::text as subject, s.stored::bigint as stored, coalesce(p.n, 0) as counted
			from stored_asset s left join per_asset p on p.asset_id = s.id and p.severity = s.severity
			where s.stored <> coalesce(p.n, 0)
			union all
			select 'exposure_open_assets', v.name, coalesce(e.open_assets, 0), coalesce(p.n, 0)
			from (select * from exposure where tenant_id = $1) e
			full join per_vulnerability p using (vulnerability_id)
			join vulnerability v on v.id = vulnerability_id
			where coalesce(e.open_assets, 0) <> coalesce(p.n, 0)
			order by 1, 2`, t)
	})
	return differences, err
}
