package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/tenant"
)

// Placement is where a tenant's findings are kept. The findings are the tenant's own, as its counters of vulnerabilities have them; the sizes are those of
// the whole table, which tenants may share.
type Placement struct {
	Table      string `db:"table_name"` // finding_t<n> for a partition of its own, else the one of those that are shared
	Findings   int64  `db:"findings"`
	TableBytes int64  `db:"table_bytes"`
	IndexBytes int64  `db:"index_bytes"`
}

// Apart tells whether the tenant has the table to itself.
func (p Placement) Apart() bool { return !strings.HasPrefix(p.Table, "finding_shared") }

// Placement looks up where a tenant's findings are kept.
func (s *Store) Placement(ctx context.Context, id tenant.ID) (p Placement, err error) {
	err = s.inTenant(ctx, id, func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &p, `
			select t.name as table_name, pg_table_size(t.name::regclass) as table_bytes, pg_indexes_size(t.name::regclass) as index_bytes,
			       (select coalesce(sum(open_assets + fixed_assets + out_of_scope_assets), 0) from exposure where tenant_id = $1) as findings
			from (select findings_table() as name) t`, id)
	})
	return p, err
}

// MaxTogether is how many findings a tenant may have to be moved to the shared partitions. Readers of all tenants wait while they
// are copied, half a second on a quiet machine and two on a busy one, which is as long as a request waits for a lock.
const MaxTogether = 50_000

// ErrTooManyFindings refuses to move more than MaxTogether.
var ErrTooManyFindings = errors.New("too many findings to be moved while readers wait")

// Place moves a tenant's findings into a partition of their own or to the shared ones, all or nothing, and tells how many
// were moved: none if they were there already. It can be done at any time: it waits for who reads findings without holding up
// others, and fails as unavailable after some minutes. Imports and, at the end, readers wait for it.
func (s *Store) Place(ctx context.Context, id tenant.ID, apart bool) (moved int64, err error) {
	statement, args := "select place_together($1)", []any{MaxTogether}
	if apart {
		statement, args = "select place_apart()", nil
	}
	err = s.inTenant(ctx, id, func(tx *sqlx.Tx) error {
		if err := tx.GetContext(ctx, &moved, statement, args...); err != nil {
			return err
		}
		owner, err := lockTenant(ctx, tx, id)
		if err != nil {
			return err
		}
		changes := audit.Diff(audit.Diff(nil, "apart", "", strconv.FormatBool(apart)), "moved", 0, moved)
		return s.record(ctx, tx, id, deed{action: audit.TenantPlaced, resource: on(tenant.TenantPrefix, owner.PublicID), changes: changes})
	})
	var told *pq.Error
	if errors.As(err, &told) && told.Code == "54000" { // program_limit_exceeded
		err = fmt.Errorf("%w: more than %d", ErrTooManyFindings, MaxTogether)
	}
	return moved, err
}
