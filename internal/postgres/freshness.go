package postgres

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/connector"
)

// Freshness is where all integrations of all tenants stand, in numbers.
type Freshness struct {
	ByState map[connector.State]int

	// Integrations that should import by themselves (neither paused nor disconnected, of tenants that are served) by their last complete
	// import: Fresh ones had it within two intervals, Late ones longer ago, Never ones not yet.
	Fresh, Late, Never int
	// OldestSuccess is the age of the oldest last complete import among them; 0 when there is none.
	OldestSuccess time.Duration

	// Secrets of tenants that are served that have expired, and those that will within so many days; each figure includes the ones before it. Only
	// secrets count whose expiry the certificate, somebody or Microsoft told.
	Expired, Within1, Within7, Within14, Within30 int
}

// Freshness reads them for metrics, in one statement.
func (s *Store) Freshness(ctx context.Context) (Freshness, error) {
	var rows []freshnessRow
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &rows, `
			with i as (
			  select i.state, last_success_at, least(secret_expires_at, secret_expired_at) as secret_expires_at,
			         secret_box is not null and t.state = 'active' as linked,
			         i.state in ('active', 'degraded', 'action_required') and t.state = 'active' as importing,
			         last_success_at >= now() - make_interval(hours => 2 * interval_hours) as fresh
			  from integration i join tenant t on t.id = i.tenant_id
			)
			select state, count(*) as n,
			       count(*) filter (where importing and fresh) as fresh,
			       count(*) filter (where importing and not fresh) as late,
			       count(*) filter (where importing and fresh is null) as never,
			       coalesce(extract(epoch from now() - min(last_success_at) filter (where importing)), 0) as oldest,
			       count(*) filter (where linked and secret_expires_at <= now()) as expired,
			       count(*) filter (where linked and secret_expires_at <= now() + interval '1 day') as within1,
			       count(*) filter (where linked and secret_expires_at <= now() + interval '7 days') as within7,
			       count(*) filter (where linked and secret_expires_at <= now() + interval '14 days') as within14,
			       count(*) filter (where linked and secret_expires_at <= now() + interval '30 days') as within30
			from i group by state`)
	})
	f := Freshness{ByState: make(map[connector.State]int, len(rows))}
	for _, r := range rows {
		f.add(r)
	}
	return f, err
}

type freshnessRow struct {
	State    string  `db:"state"`
	N        int     `db:"n"`
	Fresh    int     `db:"fresh"`
	Late     int     `db:"late"`
	Never    int     `db:"never"`
	Oldest   float64 `db:"oldest"`
	Expired  int     `db:"expired"`
	Within1  int     `db:"within1"`
	Within7  int     `db:"within7"`
	Within14 int     `db:"within14"`
	Within30 int     `db:"within30"`
}

func (f *Freshness) add(r freshnessRow) {
	f.ByState[connector.State(r.State)] += r.N
	f.Fresh += r.Fresh
	f.Late += r.Late
	f.Never += r.Never
	f.OldestSuccess = max(f.OldestSuccess, time.Duration(r.Oldest*float64(time.Second)))
	f.Expired += r.Expired
	f.Within1 += r.Within1
	f.Within7 += r.Within7
	f.Within14 += r.Within14
	f.Within30 += r.Within30
}
