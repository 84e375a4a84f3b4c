package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// Summary counts the tenant's inventory. Open findings come from the counters that every run keeps; operating systems
// and open findings count over the assets whose findings can be open, stale ones included. Every state has an entry.
func (s *Store) Summary(ctx context.Context, id tenant.ID) (inventory.Summary, error) {
	sum := inventory.Summary{
		Assets: map[inventory.AssetState]int{
			inventory.AssetActive: 0, inventory.AssetInactive: 0, inventory.AssetStale: 0,
			inventory.AssetOutOfScope: 0, inventory.AssetMerged: 0, inventory.AssetRemoved: 0,
		},
		OSFamilies:    map[string]int{},
		FindingStates: map[inventory.FindingState]int{inventory.FindingFixed: 0, inventory.FindingOutOfScope: 0},
	}
	err := s.inTenant(ctx, id, func(tx *sqlx.Tx) error {
		if err := sumAssets(ctx, tx, id, &sum); err != nil {
			return err
		}
		if err := countClosed(ctx, tx, id, &sum); err != nil {
			return err
		}
		return tx.QueryRowxContext(ctx, countVulnerabilities, int32(id)).Scan(&sum.Vulnerabilities, &sum.WithExploit)
	})
	if err != nil {
		return inventory.Summary{}, err
	}
	return sum, nil
}

const countVulnerabilities = `
	select count(*), count(*) filter (where v.public_exploit or v.exploit_verified or v.exploit_in_kit)
	from exposure e join vulnerability v on v.id = e.vulnerability_id
	where e.tenant_id = $1 and e.open_assets > 0`

func sumAssets(ctx context.Context, tx *sqlx.Tx, id tenant.ID, sum *inventory.Summary) error {
	const statement = `
		select a.state, a.os_family, count(*) as assets, sum(a.open_critical) as critical, sum(a.open_high) as high,
		       sum(a.open_medium) as medium, sum(a.open_low) as low, sum(a.open_unknown) as unknown
		from asset a
		where a.tenant_id = $1
		group by a.state, a.os_family`
	var groups []struct {
		State    inventory.AssetState `db:"state"`
		OSFamily string               `db:"os_family"`
		Assets   int                  `db:"assets"`
		Critical int                  `db:"critical"`
		High     int                  `db:"high"`
		Medium   int                  `db:"medium"`
		Low      int                  `db:"low"`
		Unknown  int                  `db:"unknown"`
	}
	if err := tx.SelectContext(ctx, &groups, statement, int32(id)); err != nil {
		return err
	}
	for _, g := range groups {
		sum.Assets[g.State] += g.Assets
		switch g.State {
		case inventory.AssetActive, inventory.AssetInactive, inventory.AssetStale:
			sum.OSFamilies[g.OSFamily] += g.Assets
			sum.OpenFindings.Critical += g.Critical
			sum.OpenFindings.High += g.High
			sum.OpenFindings.Medium += g.Medium
			sum.OpenFindings.Low += g.Low
			sum.OpenFindings.Unknown += g.Unknown
		}
	}
	sum.FindingStates[inventory.FindingOpen] = sum.OpenFindings.Total()
	return nil
}

func countClosed(ctx context.Context, tx *sqlx.Tx, id tenant.ID, sum *inventory.Summary) error {
	const statement = `
		select f.state, count(*) as findings
		from finding f
		where f.tenant_id = $1 and f.state in (2, 3)
		group by f.state`
	var groups []struct {
		State    inventory.FindingState `db:"state"`
		Findings int                    `db:"findings"`
	}
	if err := tx.SelectContext(ctx, &groups, statement, int32(id)); err != nil {
		return err
	}
	for _, g := range groups {
		sum.FindingStates[g.State] = g.Findings
	}
	return nil
}
