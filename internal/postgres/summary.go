package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// Summary tells the tenant's inventory in figures, from the tallies that every run keeps: its cost does not grow with the
// inventory. Operating systems and open findings count over the assets whose findings can be open, stale ones included.
// Every state has an entry.
func (s *Store) Summary(ctx context.Context, id tenant.ID) (inventory.Summary, error) {
	sum := inventory.Summary{
		Assets: map[inventory.AssetState]int{
			inventory.AssetActive: 0, inventory.AssetInactive: 0, inventory.AssetStale: 0,
			inventory.AssetOutOfScope: 0, inventory.AssetMerged: 0, inventory.AssetRemoved: 0,
		},
		OSFamilies: map[string]int{},
	}
	err := s.inTenant(ctx, id, func(tx *sqlx.Tx) error {
		if err := sumAssets(ctx, tx, id, &sum); err != nil {
			return err
		}
		return sumExposures(ctx, tx, id, &sum)
	})
	if err != nil {
		return inventory.Summary{}, err
	}
	return sum, nil
}

func sumAssets(ctx context.Context, tx *sqlx.Tx, id tenant.ID, sum *inventory.Summary) error {
	const statement = prepared + `
		select t.state, t.os_family, sum(t.assets) as assets, sum(t.critical) as critical, sum(t.high) as high, sum(t.medium) as medium,
		       sum(t.low) as low, sum(t.unknown) as unknown
		from asset_tally t
		where t.tenant_id = $1 and t.assets > 0
		group by t.state, t.os_family`
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
	return nil
}

// sumExposures asks the tally for all but the exploits: the catalogue, which tells them, changes without the tenant. There
// are few vulnerabilities with one.
func sumExposures(ctx context.Context, tx *sqlx.Tx, id tenant.ID, sum *inventory.Summary) error {
	const statement = prepared + `
		select coalesce(max(t.vulnerabilities), 0), coalesce(max(t.fixed), 0), coalesce(max(t.out_of_scope), 0),
		       (select count(*) from vulnerability v join exposure e on e.vulnerability_id = v.id
		        where (v.public_exploit or v.exploit_verified or v.exploit_in_kit) and e.tenant_id = $1 and e.open_assets > 0)
		from exposure_tally t
		where t.tenant_id = $1`
	var fixed, outside int
	err := tx.QueryRowxContext(ctx, statement, int32(id)).Scan(&sum.Vulnerabilities, &fixed, &outside, &sum.WithExploit)
	sum.FindingStates = map[inventory.FindingState]int{
		inventory.FindingOpen: sum.OpenFindings.Total(), inventory.FindingFixed: fixed, inventory.FindingOutOfScope: outside,
	}
	return err
}
