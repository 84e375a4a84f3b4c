package postgres

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

const assetColumns = `
	a.id, a.public_id, a.integration_id,
	(select i.public_id from integration i where i.tenant_id = $1 and i.id = a.integration_id) as integration_public_id, a.source_id, a.hostname, a.hostname_raw,
	a.name_kind, a.previous_hostnames, host(a.primary_ip) as primary_ip, a.addresses,
	coalesce(host(a.egress_ip), '') as egress_ip, a.os_platform, a.os_family, a.os_version, a.os_build,
	a.os_architecture, a.os_processor, a.health, a.onboarding, a.risk_score, a.exposure_level, a.device_value,
	a.group_id, a.group_name, a.tags, a.aad_device_id, a.aad_joined, a.agent_version, a.managed_by,
	a.managed_by_status, a.cloud, a.potential_duplicate, a.warnings, a.first_seen_at, a.last_seen_at, a.state,
	a.state_reason, a.merged_into, a.missing_since, a.import_state, a.open_critical, a.open_high, a.open_medium, a.open_low, a.open_unknown,
	a.created_at, a.updated_at`

// assetSource is all assets, assetsListed are those whose numbers are known, each looked up.
const (
	assetSource  = ` from asset a where a.tenant_id = $1`
	assetsListed = ` from unnest($2::bigint[]) as listed (id) join asset a on a.tenant_id = $1 and a.id = listed.id where true`
)

// An asset that was never seen counts as seen longest ago. asset_by_last_seen is an index on the same expression; under
// row-level security PostgreSQL does not use one on coalesce, which it cannot tell to be leakproof.
const assetLastSeen = "case when a.last_seen_at is null then '-infinity' else a.last_seen_at end"

var assetOrder = ordering{
	keys: map[string]column{
		"hostname":     textColumn("a.hostname"),
		"last_seen_at": timeColumn(assetLastSeen),
		"created_at":   timeColumn("a.created_at"),
	},
	usual: inventory.Sort{Key: "hostname"},
	ties:  []column{bigintColumn("a.id")},
}

// ListAssets gives a page of the assets that f selects, carriers of findings included, and where it ended.
func (s *Store) ListAssets(ctx context.Context, id tenant.ID, f inventory.AssetFilter, page inventory.PageRequest) ([]inventory.Asset, inventory.Position, error) {
	k, err := assetOrder.page(page)
	if err != nil {
		return nil, nil, err
	}
	list := func(few shortlist) (string, []any) { return assetList(id, f, few, k) }
	rows, err := listRows(ctx, s, id, assetProperties(id, f), list, (*assetRow).columns)
	if err != nil {
		return nil, nil, err
	}
	rows, end := cut(rows, k.limit, func(r assetRow) inventory.Position { return k.position(r.SortKey, r.ID) })
	assets := make([]inventory.Asset, len(rows))
	for i, r := range rows {
		if assets[i], err = r.asset(); err != nil {
			return nil, nil, err
		}
	}
	return assets, end, nil
}

// Asset gives one asset, or a not_found fault.
func (s *Store) Asset(ctx context.Context, id tenant.ID, public uuid.UUID) (inventory.Asset, error) {
	var row assetRow
	err := s.inTenant(ctx, id, func(tx *sqlx.Tx) error {
		const statement = "select" + assetColumns + ", '' as sort_key" + assetSource + " and a.public_id = $2"
		return notFound(tx.GetContext(ctx, &row, statement, int32(id), public), "asset")
	})
	if err != nil {
		return inventory.Asset{}, err
	}
	return row.asset()
}

// assetList selects a page of all assets along its order, or of a few that are known already.
func assetList(id tenant.ID, f inventory.AssetFilter, few shortlist, k keyset) (string, []any) {
	q, source := few.query(id, assetProperties(id, f), assetsListed, assetSource)
	assetConditions(q, f)
	mark := ""
	if !few.resolved {
		mark = q.marking()
	}
	k.resumeIn(q)
	statement := mark + "select" + assetColumns + ", " + k.sortKey() + source + q.conditions.String() + k.tail(q)
	return statement, q.args
}

func assetProperties(id tenant.ID, f inventory.AssetFilter) (properties []property) {
	if f.VulnID != 0 {
		properties = append(properties, property{
			find: `select f.asset_id from finding f
				where f.tenant_id = $1 and f.vulnerability_id = $2 and f.state = 1 order by f.severity, f.asset_id limit $3`,
			args:   []any{int32(id), f.VulnID},
			holds:  "(select true from finding f where f.tenant_id = $1 and f.asset_id = a.id and f.vulnerability_id = ? and f.state = 1 limit 1)",
			values: []any{f.VulnID},
		})
	}
	if len(f.IPs) > 0 {
		wanted := addressTexts(f.IPs)
		properties = append(properties, property{
			// The words of an address are a host name's too, so what they find is no more than a shortlist.
			find: `select w.asset_id from unnest($2::text[]) as wanted (word) cross join lateral (
				  select w.asset_id from asset_word w where w.tenant_id = $1 and w.word = wanted.word order by w.asset_id limit $3
				) w limit $3`,
			args:  []any{int32(id), pq.StringArray(each(wanted, addressWord))},
			holds: "true",
		})
	}
	for _, term := range storableTerms(f.Text) {
		properties = append(properties, property{
			find: `select w.asset_id from asset_word w
				where w.tenant_id = $1 and w.word >= $2 and w.word < $3 order by w.word, w.asset_id limit $4`,
			args:   []any{int32(id), term, term + beyond},
			holds:  "(select true from asset_word w where w.tenant_id = $1 and w.asset_id = a.id and w.word >= ? and w.word < ? limit 1)",
			values: []any{term, term + beyond},
		})
	}
	return properties
}

func assetConditions(q *listQuery, f inventory.AssetFilter) {
	q.andText("a.integration_id = any(array(select i.id from integration i where i.tenant_id = $1 and i.public_id = any(?::uuid[])))", uuids(f.Integrations))
	q.andText("a.hostname = any(?::text[])", each(f.Hostnames, strings.ToLower))
	q.andText("a.os_family = any(?::text[])", f.OSFamilies)
	q.andText("a.state = any(?::text[])", plain(f.States))
	// Both sides lowered by the database, which may know other letters than Go.
	q.andText("(select true from unnest(a.tags) t where lower(t) = any(array(select lower(n) from unnest(?::text[]) n)) limit 1)", f.Tags)
	q.andText("lower(a.group_name) = any(array(select lower(n) from unnest(?::text[]) n))", f.DeviceGroups)
	if len(f.IPs) > 0 {
		wanted := addressTexts(f.IPs)
		q.and("a.primary_ip = any(?::inet[]) or exists (select from jsonb_array_elements(a.addresses) e where e ->> 'ip' = any(?::text[]))", wanted, wanted)
	}
	if !f.LastSeenFrom.IsZero() {
		q.and("("+assetLastSeen+") >= ?", f.LastSeenFrom)
	}
	if !f.LastSeenBefore.IsZero() {
		q.and(assetLastSeen+" < ? and a.last_seen_at is not null", f.LastSeenBefore)
	}
	if len(f.Severities) > 0 {
		q.and(openOfSeverity(f.Severities))
	}
	if f.Text != "" && len(storableTerms(f.Text)) == 0 {
		q.and("false")
	}
}

// openOfSeverity asks the counters; a severity that does not exist matches nothing.
func openOfSeverity(severities []inventory.Severity) string {
	condition := "false"
	for _, s := range severities {
		switch s {
		case inventory.SeverityCritical:
			condition += " or a.open_critical > 0"
		case inventory.SeverityHigh:
			condition += " or a.open_high > 0"
		case inventory.SeverityMedium:
			condition += " or a.open_medium > 0"
		case inventory.SeverityLow:
			condition += " or a.open_low > 0"
		case inventory.SeverityUnknown:
			condition += " or a.open_unknown > 0"
		}
	}
	return condition
}
