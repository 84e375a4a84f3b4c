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

// noteKept remembers the assets that keep their findings, as far as the settings take them, although the run looks at no row of them.
func (st *stage) noteKept(ctx context.Context, tx *sqlx.Tx, p *machinePlan) error {
	_, err := tx.ExecContext(ctx, `
		insert into kept_asset (asset_id, why)
		select a.id, case when i.idx is null and (a.state <> 'stale' or not $3 or a.missing_since is not null) then $4
		                  when a.state = 'stale' then $5 else $6 end
		from asset a left join incoming i on i.source_id = a.source_id
		where a.tenant_id = $1 and a.integration_id = $2
		  and (a.state = 'stale' or a.state in ('active', 'inactive') and (i.reason <> '' or i.idx is null and (not $3 or a.missing_since is not null)))`,
		st.job.Tenant, st.integration.ID, p.Partial, string(syncer.KeptMissing), string(syncer.KeptStale), string(syncer.KeptHeld))
	return err
}

// Holdings adds up what is stored of the integration, and what of it was kept by what was applied.
func (st *stage) Holdings(ctx context.Context) (syncer.Holdings, error) {
	held := syncer.Holdings{
		Assets: map[inventory.AssetState]int64{}, Open: map[string]int64{}, Withheld: map[string]int64{}, Refused: map[string]int64{}, Partial: map[string]bool{},
		Kept: map[syncer.Keeping]map[string]int64{syncer.KeptMissing: {}, syncer.KeptStale: {}, syncer.KeptHeld: {}},
	}
	tx, err := st.begin(ctx)
	if err != nil {
		return held, classify(ctx, err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, add := range []func(context.Context, *sqlx.Tx, *syncer.Holdings) error{st.addStored, st.addKept, st.addWithheld} {
		if err := add(ctx, tx, &held); err != nil {
			return held, classify(ctx, err)
		}
	}
	return held, nil
}

func (st *stage) addStored(ctx context.Context, tx *sqlx.Tx, held *syncer.Holdings) error {
	err := tally(ctx, tx, func(state string, n int64) { held.Assets[inventory.AssetState(state)] = n }, `
		select state, sum(assets)::bigint from asset_tally where tenant_id = $1 and integration_id = $2 and assets > 0 group by state`, st.job.Tenant, st.integration.ID)
	if err != nil {
		return err
	}
	err = tx.GetContext(ctx, &held.MissingAssets, `
		select count(*) from asset where tenant_id = $1 and integration_id = $2 and missing_since is not null and state in ('active', 'inactive', 'stale')`,
		st.job.Tenant, st.integration.ID)
	if err != nil {
		return err
	}
	if err := st.addOpen(ctx, tx, held); err != nil {
		return err
	}
	return tally(ctx, tx, func(name string, _ int64) { held.Partial[name] = true }, `
		select v.name, e.open_assets::bigint from exposure e join vulnerability v on v.id = e.vulnerability_id
		where e.tenant_id = $1 and e.open_assets > 0 and v.partial`, st.job.Tenant)
}

// addKept adds up what is open on assets that were kept. Usually these are few.
func (st *stage) addKept(ctx context.Context, tx *sqlx.Tx, held *syncer.Holdings) error {
	if _, err := tx.ExecContext(ctx, `analyze kept_asset`); err != nil {
		return err
	}
	for why, open := range held.Kept {
		err := tally(ctx, tx, func(name string, n int64) { open[name] = n }, `
			select v.name, n.open from (
			  select f.vulnerability_id, count(*) as open from kept_asset a cross join `+findingsOfEach+`
			  where a.why = $2 and f.state = 1 group by f.vulnerability_id
			) n join vulnerability v on v.id = n.vulnerability_id`, st.job.Tenant, string(why))
		if err != nil {
			return err
		}
	}
	return nil
}

// addWithheld adds up the findings whose closing was held back.
func (st *stage) addWithheld(ctx context.Context, tx *sqlx.Tx, held *syncer.Holdings) error {
	for refused, open := range map[bool]map[string]int64{false: held.Withheld, true: held.Refused} {
		err := tally(ctx, tx, func(name string, n int64) { open[name] = n }, `
			select v.name, n.open from (select vulnerability_id, count(*) as open from withheld where refused = $1 group by vulnerability_id) n
			join vulnerability v on v.id = n.vulnerability_id`, refused)
		if err != nil {
			return err
		}
	}
	return nil
}

// addOpen counts open findings by vulnerability. The tenant's counters tell them, which a full run recounts, while no other integration has
// assets; otherwise its findings have to be counted.
func (st *stage) addOpen(ctx context.Context, tx *sqlx.Tx, held *syncer.Holdings) error {
	take := func(name string, n int64) { held.Open[name] = n }
	var own, others int64
	err := tx.QueryRowxContext(ctx, `
		select coalesce(sum(assets) filter (where integration_id = $2), 0)::bigint, coalesce(sum(assets) filter (where integration_id <> $2), 0)::bigint
		from asset_tally where tenant_id = $1`, st.job.Tenant, st.integration.ID).Scan(&own, &others)
	if err != nil {
		return err
	}
	if others == 0 {
		return tally(ctx, tx, take, `
			select v.name, e.open_assets::bigint from exposure e join vulnerability v on v.id = e.vulnerability_id
			where e.tenant_id = $1 and e.open_assets > 0`, st.job.Tenant)
	}
	if own < others/4 { // one by one they cost some times as much as all in one pass
		return tally(ctx, tx, take, openOfFew, st.job.Tenant, st.integration.ID)
	}
	return inSets(ctx, tx, func() error { return tally(ctx, tx, take, openOfMany, st.job.Tenant, st.integration.ID) })
}

const (
	openOfFew = `
		select v.name, n.open from (
		  select f.vulnerability_id, count(*) as open from (select id as asset_id from asset where tenant_id = $1 and integration_id = $2) a cross join ` + findingsOfEach + `
		  where f.state = 1 group by f.vulnerability_id
		) n join vulnerability v on v.id = n.vulnerability_id`
	openOfMany = `
		select v.name, n.open from (
		  select f.vulnerability_id, count(*) as open from finding f join asset a on a.tenant_id = $1 and a.id = f.asset_id
		  where f.tenant_id = $1 and f.state = 1 and a.integration_id = $2 group by f.vulnerability_id
		) n join vulnerability v on v.id = n.vulnerability_id`
)

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
