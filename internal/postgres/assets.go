package postgres

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

const assetColumns = `
	a.id, a.public_id, a.integration_id, i.public_id as integration_public_id, a.source_id, a.hostname, a.hostname_raw,
	a.name_kind, a.previous_hostnames, host(a.primary_ip) as primary_ip, a.addresses,
	coalesce(host(a.egress_ip), '') as egress_ip, a.os_platform, a.os_family, a.os_version, a.os_build,
	a.os_architecture, a.os_processor, a.health, a.onboarding, a.risk_score, a.exposure_level, a.device_value,
	a.group_id, a.group_name, a.tags, a.aad_device_id, a.aad_joined, a.agent_version, a.managed_by,
	a.managed_by_status, a.cloud, a.potential_duplicate, a.warnings, a.first_seen_at, a.last_seen_at, a.state,
	a.state_reason, a.import_state, a.open_critical, a.open_high, a.open_medium, a.open_low, a.open_unknown,
	a.created_at, a.updated_at`

const assetSource = `
	from asset a join integration i on i.tenant_id = $1 and i.id = a.integration_id
	where a.tenant_id = $1`

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
	var rows []assetRow
	err = s.inTenant(ctx, id, func(tx *sqlx.Tx) error {
		statement, args := assetList(id, f, k)
		return tx.SelectContext(ctx, &rows, statement, args...)
	})
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

func assetList(id tenant.ID, f inventory.AssetFilter, k keyset) (string, []any) {
	q := newListQuery(id)
	assetConditions(q, f)
	k.resumeIn(q)
	statement := "select" + assetColumns + ", " + k.sortKey() + assetSource + q.conditions.String() + k.tail(q)
	return statement, q.args
}

func assetConditions(q *listQuery, f inventory.AssetFilter) {
	q.andText("i.public_id = any(?::uuid[])", uuids(f.Integrations))
	q.andText("a.hostname = any(?::text[])", each(f.Hostnames, strings.ToLower))
	q.andText("a.os_family = any(?::text[])", f.OSFamilies)
	q.andText("a.state = any(?::text[])", plain(f.States))
	q.andText("a.tags && ?::text[]", f.Tags)
	q.andText("a.group_name = any(?::text[])", f.DeviceGroups)
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
	q.andContaining(strings.ToLower(f.Text),
		"a.hostname like ?", "a.hostname_raw ilike ?", "host(a.primary_ip) like ?",
		"exists (select from jsonb_array_elements(a.addresses) e where e ->> 'ip' like ?)")
	if f.VulnID != 0 {
		q.and("exists (select from finding f where f.tenant_id = $1 and f.asset_id = a.id and f.vulnerability_id = ? and f.state = ?)",
			f.VulnID, inventory.FindingOpen)
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
