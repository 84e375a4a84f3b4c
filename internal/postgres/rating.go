package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/tenant"
)

// allExposed are the vulnerabilities that the tenant has or had findings of, for [rate].
const allExposed = `select vulnerability_id as id from exposure where tenant_id = $1`

// rate gives a tenant's vulnerabilities their severity: the catalogue's word if that is one of the four, else the worst among their open findings,
// because the rows decide then and may differ, and what the catalogue's score comes to when none is open. which is a query for their ids; $1 is the tenant.
// Whatever opens or closes findings calls it.
func rate(ctx context.Context, tx *sqlx.Tx, t tenant.ID, which string) error {
	_, err := tx.ExecContext(ctx, `
		update exposure e set severity = w.severity
		from (
		  select v.id, case when btrim(v.severity_word) <> '' and v.severity > 0 then v.severity
		    else coalesce((select max(f.severity) from finding f where f.tenant_id = $1 and f.vulnerability_id = v.id and f.state = 1), v.severity) end as severity
		  from (`+which+`) n join vulnerability v using (id)
		) w
		where e.tenant_id = $1 and e.vulnerability_id = w.id and e.severity <> w.severity`, t)
	return err
}
