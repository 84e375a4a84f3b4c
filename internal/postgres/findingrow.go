package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// findingRow is what the finding table itself knows, the times as they are shown.
type findingRow struct {
	AssetID        int64                    `db:"asset_id"`
	VulnID         int32                    `db:"vulnerability_id"`
	SoftwareIDs    pq.Int64Array            `db:"software_ids"`
	Severity       inventory.Severity       `db:"severity"`
	SeveritySource inventory.SeveritySource `db:"severity_source"`
	AttackVector   inventory.AttackVector   `db:"attack_vector"`
	State          inventory.FindingState   `db:"state"`
	ReopenCount    int                      `db:"reopen_count"`
	StateReason    string                   `db:"state_reason"`
	FirstSeenAt    time.Time                `db:"first_seen_at"`
	LastSeenAt     sql.NullTime             `db:"last_seen_at"`
	FixedAt        sql.NullTime             `db:"fixed_at"`
	ReopenedAt     sql.NullTime             `db:"reopened_at"`
	CreatedAt      time.Time                `db:"created_at"`
	UpdatedAt      time.Time                `db:"updated_at"`
}

func (r *findingRow) finding() inventory.Finding {
	return inventory.Finding{
		VulnID: r.VulnID, Severity: r.Severity, Source: r.SeveritySource, AttackVector: r.AttackVector, State: r.State, StateReason: r.StateReason,
		FirstSeenAt: r.FirstSeenAt.UTC(), LastSeenAt: utc(r.LastSeenAt), FixedAt: utc(r.FixedAt),
		ReopenedAt: utc(r.ReopenedAt), ReopenCount: r.ReopenCount, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

// describedRow is what describedFinding selects.
type describedRow struct {
	findingRow
	SortKey             string         `db:"sort_key"`
	AssetPublicID       uuid.NullUUID  `db:"asset_public_id"` // null while its asset is being purged
	IntegrationPublicID uuid.NullUUID  `db:"integration_public_id"`
	Hostname            string         `db:"hostname"`
	PrimaryIP           string         `db:"primary_ip"`
	Name                sql.NullString `db:"name"`
	Title               string         `db:"title"`
	Partial             bool           `db:"partial"`
}

// columns are in the order of describedFinding.
func (r *describedRow) columns() []any {
	return []any{
		&r.AssetID, &r.VulnID, &r.SoftwareIDs, &r.Severity, &r.SeveritySource, &r.AttackVector, &r.State, &r.ReopenCount, &r.StateReason,
		&r.FirstSeenAt, &r.LastSeenAt, &r.FixedAt, &r.ReopenedAt, &r.CreatedAt, &r.UpdatedAt, &r.SortKey,
		&r.AssetPublicID, &r.IntegrationPublicID, &r.Hostname, &r.PrimaryIP, &r.Name, &r.Title, &r.Partial,
	}
}

// described tells whether the asset and the vulnerability of the finding are there.
func (r *describedRow) described() bool { return r.AssetPublicID.Valid && r.Name.Valid }

func (r *describedRow) finding() (inventory.Finding, error) {
	f := r.findingRow.finding()
	f.AssetID, f.IntegrationPublic, f.Hostname = r.AssetPublicID.UUID, r.IntegrationPublicID.UUID, r.Hostname
	f.Vulnerability, f.Title, f.Partial = r.Name.String, r.Title, r.Partial
	var err error
	if f.PrimaryIP, err = readAddr(r.PrimaryIP); err != nil {
		return inventory.Finding{}, fmt.Errorf("read asset %s: %w", f.AssetID, err)
	}
	return f, nil
}

// assemble makes findings of a page's rows, each with its instances.
func assemble(ctx context.Context, q queryer, id tenant.ID, rows []describedRow) ([]inventory.Finding, error) {
	findings := make([]inventory.Finding, 0, len(rows))
	var wanted instanceKeys
	for i := range rows {
		r := &rows[i]
		if !r.described() {
			continue
		}
		f, err := r.finding()
		if err != nil {
			return nil, err
		}
		wanted.add(len(findings), &r.findingRow)
		findings = append(findings, f)
	}
	if len(wanted.finding) == 0 {
		return findings, nil
	}
	instances, err := collect(ctx, q, (*instanceRow).columns, instancesOfPage, int32(id), wanted.finding, wanted.asset, wanted.vulnerability, wanted.software)
	if err != nil {
		return nil, err
	}
	for _, i := range instances {
		f := &findings[i.Finding]
		f.Instances = append(f.Instances, i.instance())
	}
	for i := range findings {
		slices.SortFunc(findings[i].Instances, byName)
	}
	return findings, nil
}

// byName orders instances the same on every server, whatever its collation.
func byName(x, y inventory.Instance) int {
	return cmp.Or(cmp.Compare(x.Vendor, y.Vendor), cmp.Compare(x.Product, y.Product), cmp.Compare(x.Version, y.Version), cmp.Compare(x.SoftwareID, y.SoftwareID))
}

// instanceKeys are the instances of a page as parallel arrays, one element each.
type instanceKeys struct {
	finding, asset, vulnerability, software pq.Int64Array // finding is the place in the page
}

func (k *instanceKeys) add(place int, r *findingRow) {
	for _, s := range r.SoftwareIDs {
		k.finding = append(k.finding, int64(place))
		k.asset = append(k.asset, r.AssetID)
		k.vulnerability = append(k.vulnerability, int64(r.VulnID))
		k.software = append(k.software, s)
	}
}

// The limits on unique keys make the planner look each of these up.
const instancesOfPage = prepared + `
	select k.finding, s.id, s.vendor, s.product, s.version, l.disk_paths, l.registry_paths,
	       coalesce(r.update_text, '') as update_text, coalesce(r.update_id, '') as update_id,
	       coalesce(r.update_url, '') as update_url, r.update_ready
	from unnest($2::int[], $3::bigint[], $4::int[], $5::int[]) as k (finding, asset_id, vulnerability_id, software_id)
	join lateral (select s.* from software s where s.id = k.software_id limit 1) s on true
	left join lateral (select i.* from installation i where i.tenant_id = $1 and i.asset_id = k.asset_id limit 1) i on true
	left join lateral (
	  select l.disk_paths, l.registry_paths from location l
	  where l.tenant_id = $1 and l.id = i.location_ids[array_position(i.software_ids, k.software_id)] limit 1
	) l on true
	left join lateral (
	  select r.* from remediation r where r.tenant_id = $1 and r.software_id = k.software_id and r.vulnerability_id = k.vulnerability_id limit 1
	) r on true
	order by k.finding`

type instanceRow struct {
	Finding       int            `db:"finding"`
	SoftwareID    int32          `db:"id"`
	Vendor        string         `db:"vendor"`
	Product       string         `db:"product"`
	Version       string         `db:"version"`
	DiskPaths     pq.StringArray `db:"disk_paths"`
	RegistryPaths pq.StringArray `db:"registry_paths"`
	UpdateText    string         `db:"update_text"`
	UpdateID      string         `db:"update_id"`
	UpdateURL     string         `db:"update_url"`
	UpdateReady   *bool          `db:"update_ready"`
}

// columns are in the order of instancesOfPage.
func (r *instanceRow) columns() []any {
	return []any{
		&r.Finding, &r.SoftwareID, &r.Vendor, &r.Product, &r.Version, &r.DiskPaths, &r.RegistryPaths,
		&r.UpdateText, &r.UpdateID, &r.UpdateURL, &r.UpdateReady,
	}
}

func (r instanceRow) instance() inventory.Instance {
	return inventory.Instance{
		SoftwareID: r.SoftwareID, Vendor: r.Vendor, Product: r.Product, Version: r.Version,
		DiskPaths: r.DiskPaths, RegistryPaths: r.RegistryPaths,
		UpdateText: r.UpdateText, UpdateID: r.UpdateID, UpdateURL: r.UpdateURL, UpdateReady: r.UpdateReady,
	}
}
