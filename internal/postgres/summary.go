package postgres

import (
	"context"

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
	err := s.readAlone(ctx, id, func(q queryer) error {
		if err := sumAssets(ctx, q, id, &sum); err != nil {
			return err
		}
		return sumExposures(ctx, q, id, &sum)
	})
	if err != nil {
		return inventory.Summary{}, err
	}
	return sum, nil
}

func sumAssets(ctx context.Context, q queryer, id tenant.ID, sum *inventory.Summary) error {
	const statement = prepared + `
		select t.state, t.os_family, sum(t.assets) as assets, sum(t.critical) as critical, sum(t.high) as high, sum(t.medium) as medium,
		       sum(t.low) as low, sum(t.unknown) as unknown
		from asset_tally t
		where t.tenant_id = $1 and t.assets > 0
		group by t.state, t.os_family`
	groups, err := collect(ctx, q, (*assetTally).columns, statement, int32(id))
	if err != nil {
		return err
	}
	for _, g := range groups {
		sum.Assets[g.state] += g.assets
		switch g.state {
		case inventory.AssetActive, inventory.AssetInactive, inventory.AssetStale:
			sum.OSFamilies[g.family] += g.assets
			sum.OpenFindings.Critical += g.critical
			sum.OpenFindings.High += g.high
			sum.OpenFindings.Medium += g.medium
			sum.OpenFindings.Low += g.low
			sum.OpenFindings.Unknown += g.unknown
		}
	}
	return nil
}

// assetTally counts assets of one state and family of systems, and their open findings by severity.
type assetTally struct {
	state                                inventory.AssetState
	family                               string
	assets                               int
	critical, high, medium, low, unknown int
}

// columns are in the order of the query in sumAssets.
func (t *assetTally) columns() []any {
	return []any{&t.state, &t.family, &t.assets, &t.critical, &t.high, &t.medium, &t.low, &t.unknown}
}

// sumExposures asks the tally for all but the exploits: the catalogue, which tells them, changes without the tenant. There
// are few vulnerabilities with one.
func sumExposures(ctx context.Context, q queryer, id tenant.ID, sum *inventory.Summary) error {
	// Whether to begin with what the tenant is exposed to or with what is exploited depends on which are fewer.
	const statement = parsed + `
		select coalesce(max(t.vulnerabilities), 0), coalesce(max(t.fixed), 0), coalesce(max(t.out_of_scope), 0),
		       (select count(*) from vulnerability v join exposure e on e.vulnerability_id = v.id
		        where (v.public_exploit or v.exploit_verified or v.exploit_in_kit) and e.tenant_id = $1 and e.open_assets > 0)
		from exposure_tally t
		where t.tenant_id = $1`
	type figures struct{ vulnerabilities, fixed, outside, exploited int }
	all, err := collect(ctx, q, func(f *figures) []any { return []any{&f.vulnerabilities, &f.fixed, &f.outside, &f.exploited} }, statement, int32(id))
	if err != nil {
		return err
	}
	f := all[0] // an aggregate has one row, whatever there is
	sum.Vulnerabilities, sum.WithExploit = f.vulnerabilities, f.exploited
	sum.FindingStates = map[inventory.FindingState]int{
		inventory.FindingOpen: sum.OpenFindings.Total(), inventory.FindingFixed: f.fixed, inventory.FindingOutOfScope: f.outside,
	}
	return nil
}
