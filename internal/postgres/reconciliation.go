package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// Holdings adds up what is stored of an integration.
func (s *Store) Holdings(ctx context.Context, t tenant.ID, integration int64) (syncer.Holdings, error) {
	held := syncer.Holdings{Assets: map[inventory.AssetState]int64{}, Open: map[string]int64{}, Stale: map[string]int64{}, Missing: map[string]int64{}, Partial: map[string]bool{}}
	err := s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		err := tally(ctx, tx, func(state string, n int64) { held.Assets[inventory.AssetState(state)] = n }, `
			select state, sum(assets)::bigint from asset_tally where tenant_id = $1 and integration_id = $2 and assets > 0 group by state`, t, integration)
		if err != nil {
			return err
		}
		err = tally(ctx, tx, func(name string, n int64) { held.Open[name] = n }, openOf, t, integration)
		if err != nil {
			return err
		}
		err = tally(ctx, tx, func(name string, n int64) { held.Stale[name] = n }, openOfAssets+`a.state = 'stale' `+openByName, t, integration)
		if err != nil {
			return err
		}
		if err := addMissing(ctx, tx, &held, t, integration); err != nil {
			return err
		}
		return tally(ctx, tx, func(name string, _ int64) { held.Partial[name] = true }, `
			select v.name, e.open_assets::bigint from exposure e join vulnerability v on v.id = e.vulnerability_id
			where e.tenant_id = $1 and e.open_assets > 0 and v.partial`, t)
	})
	return held, err
}

// missingAssets are those that the last complete list did not have.
const missingAssets = `a.missing_since is not null and a.state in ('active', 'inactive', 'stale') `

// openOfAssets and openByName count open findings by vulnerability on a few assets, named in between.
const (
	openOfAssets = `
	select v.name, n.open from (
	  select f.vulnerability_id, count(*) as open from asset a join finding f on f.tenant_id = $1 and f.asset_id = a.id and f.state = 1
	  where a.tenant_id = $1 and a.integration_id = $2 and `
	openByName = `group by f.vulnerability_id
	) n join vulnerability v on v.id = n.vulnerability_id`
)

// addMissing adds up what is kept of machines that were not listed. Usually that is nothing, and no finding is looked at.
func addMissing(ctx context.Context, tx *sqlx.Tx, held *syncer.Holdings, t tenant.ID, integration int64) error {
	err := tx.GetContext(ctx, &held.MissingAssets, `select count(*) from asset a where a.tenant_id = $1 and a.integration_id = $2 and `+missingAssets, t, integration)
	if err != nil || held.MissingAssets == 0 {
		return err
	}
	return tally(ctx, tx, func(name string, n int64) { held.Missing[name] = n }, openOfAssets+missingAssets+openByName, t, integration)
}

// openOf counts open findings by vulnerability. The tenant's counters tell them while no other integration has assets;
// otherwise its findings have to be counted.
const openOf = `
	with others as (select exists (select from asset_tally where tenant_id = $1 and integration_id <> $2 and assets > 0) as shared)
	select v.name, e.open_assets::bigint from exposure e join vulnerability v on v.id = e.vulnerability_id
	where e.tenant_id = $1 and e.open_assets > 0 and not (select shared from others)
	union all
	select v.name, n.open from (
	  select f.vulnerability_id, count(*) as open from finding f join asset a on a.tenant_id = $1 and a.id = f.asset_id
	  where (select shared from others) and f.tenant_id = $1 and f.state = 1 and a.integration_id = $2 group by f.vulnerability_id
	) n join vulnerability v on v.id = n.vulnerability_id`

// tally hands over the rows of a query for names and numbers.
func tally(ctx context.Context, tx *sqlx.Tx, take func(string, int64), query string, args ...any) error {
	rows, err := tx.QueryxContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return err
		}
		take(name, n)
	}
	return rows.Err()
}

// LastReconciled is when Defender's counts of an integration were read last; zero for never.
func (s *Store) LastReconciled(ctx context.Context, t tenant.ID, integration int64) (at time.Time, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &at, `select taken_at from reconciliation where tenant_id = $1 and integration_id = $2 and told`, t, integration)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return at, err
}

// Reconciliation reads the last one of an integration; its TakenAt is zero while there is none.
func (s *Store) Reconciliation(ctx context.Context, t tenant.ID, id uuid.UUID) (r syncer.Reconciliation, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		var body []byte
		err := tx.GetContext(ctx, &body, `
			select coalesce(r.body, '{}') from integration i
			left join reconciliation r on r.tenant_id = i.tenant_id and r.integration_id = i.id
			where i.tenant_id = $1 and i.public_id = $2`, t, id)
		if err != nil {
			return notFound(err, "integration")
		}
		return json.Unmarshal(body, &r)
	})
	return r, err
}

// keepReconciliation stores it in place of the last one; nil leaves that.
func keepReconciliation(ctx context.Context, tx *sqlx.Tx, run *syncer.Run, r *syncer.Reconciliation) error {
	if r == nil {
		return nil
	}
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		insert into reconciliation (tenant_id, integration_id, taken_at, told, body) values ($1, $2, $3, $4, $5)
		on conflict (tenant_id, integration_id) do update set taken_at = excluded.taken_at, told = excluded.told, body = excluded.body`,
		run.Tenant, run.IntegrationID, r.TakenAt, r.Unavailable == "", string(body))
	return err
}
