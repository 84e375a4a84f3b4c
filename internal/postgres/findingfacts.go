package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"net/netip"
	"slices"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// facts remembers what findings refer to, for reading many of them. Vulnerabilities, software, places and recommendations
// repeat from asset to asset; findings come in the order of assets, so only those of the batch are kept.
type facts struct {
	assets          map[int64]*assetFacts
	vulnerabilities map[int32]vulnerabilityFacts
	software        map[int32]softwareFacts
	places          map[int64]placeFacts
	remediations    map[installedVulnerability]remediationFacts
}

type assetFacts struct {
	ID          int64         `db:"id"`
	PublicID    uuid.UUID     `db:"public_id"`
	Integration uuid.UUID     `db:"integration_public_id"`
	Hostname    string        `db:"hostname"`
	IP          string        `db:"primary_ip"`
	SeenAt      sql.NullTime  `db:"seen_at"`
	Software    pq.Int64Array `db:"software_ids"`
	Places      pq.Int64Array `db:"location_ids"`
	address     netip.Addr
}

type vulnerabilityFacts struct {
	ID      int32  `db:"id"`
	Name    string `db:"name"`
	Title   string `db:"title"`
	Partial bool   `db:"partial"`
}

type softwareFacts struct {
	ID      int32  `db:"id"`
	Vendor  string `db:"vendor"`
	Product string `db:"product"`
	Version string `db:"version"`
}

type placeFacts struct {
	ID            int64          `db:"id"`
	DiskPaths     pq.StringArray `db:"disk_paths"`
	RegistryPaths pq.StringArray `db:"registry_paths"`
}

type installedVulnerability struct {
	Software      int32 `db:"software_id"`
	Vulnerability int32 `db:"vulnerability_id"`
}

type remediationFacts struct {
	installedVulnerability
	UpdateText  string `db:"update_text"`
	UpdateID    string `db:"update_id"`
	UpdateURL   string `db:"update_url"`
	UpdateReady *bool  `db:"update_ready"`
}

// Bounds of what is kept from batch to batch, of some hundred bytes apiece: 25 MB for a stream at most, by calculation. Recommendations are the
// most by far, since they go by software and vulnerability.
const (
	maxVulnerabilityFacts = 20_000
	maxSoftwareFacts      = 10_000
	maxPlaceFacts         = 10_000
	maxRemediationFacts   = 50_000
)

func newFacts() *facts {
	return &facts{
		vulnerabilities: map[int32]vulnerabilityFacts{}, software: map[int32]softwareFacts{}, places: map[int64]placeFacts{},
		remediations: map[installedVulnerability]remediationFacts{},
	}
}

// learn reads what is not known yet about the rows of a batch, with one statement for each kind.
func (k *facts) learn(ctx context.Context, tx *sqlx.Tx, id tenant.ID, rows []findingRow) error {
	if err := k.learnAssets(ctx, tx, id, rows); err != nil {
		return err
	}
	for _, learn := range []func(context.Context, *sqlx.Tx, tenant.ID, []findingRow) error{
		k.learnVulnerabilities, k.learnSoftware, k.learnPlaces, k.learnRemediations,
	} {
		if err := learn(ctx, tx, id, rows); err != nil {
			return err
		}
	}
	return nil
}

func (k *facts) learnAssets(ctx context.Context, tx *sqlx.Tx, id tenant.ID, rows []findingRow) error {
	var wanted pq.Int64Array
	for i := range rows {
		if n := len(wanted); n == 0 || wanted[n-1] != rows[i].AssetID {
			wanted = append(wanted, rows[i].AssetID)
		}
	}
	k.assets = make(map[int64]*assetFacts, len(wanted))
	var found []*assetFacts
	err := ask(ctx, tx, &found, len(wanted), prepared+`
		select a.id, a.public_id, i.public_id as integration_public_id, coalesce(a.hostname, '') as hostname,
		       coalesce(host(a.primary_ip), '') as primary_ip, coalesce(a.findings_seen_at, a.last_seen_at) as seen_at,
		       coalesce(n.software_ids, '{}') as software_ids, coalesce(n.location_ids, '{}') as location_ids
		from asset a
		join integration i on i.tenant_id = $1 and i.id = a.integration_id
		left join installation n on n.tenant_id = $1 and n.asset_id = a.id
		where a.tenant_id = $1 and a.id = any($2::bigint[])`, int32(id), wanted)
	for _, a := range found {
		if err == nil {
			a.address, err = readAddr(a.IP)
		}
		k.assets[a.ID] = a
	}
	return err
}

func (k *facts) learnVulnerabilities(ctx context.Context, tx *sqlx.Tx, _ tenant.ID, rows []findingRow) error {
	wanted := missing(k.vulnerabilities, maxVulnerabilityFacts, func(want func(int32)) {
		for i := range rows {
			want(rows[i].VulnID)
		}
	})
	var found []vulnerabilityFacts
	err := ask(ctx, tx, &found, len(wanted), prepared+`
		select v.id, v.name, coalesce(v.title, '') as title, v.partial from vulnerability v where v.id = any($1::int[])`, pq.Array(wanted))
	for _, v := range found {
		k.vulnerabilities[v.ID] = v
	}
	return err
}

func (k *facts) learnSoftware(ctx context.Context, tx *sqlx.Tx, _ tenant.ID, rows []findingRow) error {
	wanted := missing(k.software, maxSoftwareFacts, func(want func(int32)) {
		for i := range rows {
			for _, s := range rows[i].SoftwareIDs {
				want(int32(s))
			}
		}
	})
	var found []softwareFacts
	err := ask(ctx, tx, &found, len(wanted), prepared+`
		select s.id, s.vendor, s.product, s.version from software s where s.id = any($1::int[])`, pq.Array(wanted))
	for _, s := range found {
		k.software[s.ID] = s
	}
	return err
}

func (k *facts) learnPlaces(ctx context.Context, tx *sqlx.Tx, id tenant.ID, _ []findingRow) error {
	wanted := missing(k.places, maxPlaceFacts, func(want func(int64)) {
		for _, a := range k.assets {
			for _, place := range a.Places {
				want(place)
			}
		}
	})
	var found []placeFacts
	err := ask(ctx, tx, &found, len(wanted), prepared+`
		select l.id, l.disk_paths, l.registry_paths from location l where l.tenant_id = $1 and l.id = any($2::bigint[])`, int32(id), pq.Array(wanted))
	for _, l := range found {
		k.places[l.ID] = l
	}
	return err
}

func (k *facts) learnRemediations(ctx context.Context, tx *sqlx.Tx, id tenant.ID, rows []findingRow) error {
	wanted := missing(k.remediations, maxRemediationFacts, func(want func(installedVulnerability)) {
		for i := range rows {
			for _, s := range rows[i].SoftwareIDs {
				want(installedVulnerability{int32(s), rows[i].VulnID})
			}
		}
	})
	software, vulnerabilities := make([]int32, len(wanted)), make([]int32, len(wanted))
	for i, w := range wanted {
		software[i], vulnerabilities[i] = w.Software, w.Vulnerability
		k.remediations[w] = remediationFacts{} // none, unless found
	}
	var found []remediationFacts
	err := ask(ctx, tx, &found, len(wanted), prepared+`
		select r.software_id, r.vulnerability_id, r.update_text, r.update_id, r.update_url, r.update_ready
		from unnest($2::int[], $3::int[]) as k (software_id, vulnerability_id)
		cross join lateral (
		  select r.* from remediation r
		  where r.tenant_id = $1 and r.software_id = k.software_id and r.vulnerability_id = k.vulnerability_id limit 1
		) r`, int32(id), pq.Array(software), pq.Array(vulnerabilities))
	for _, r := range found {
		k.remediations[r.installedVulnerability] = r
	}
	return err
}

// missing lists, each once and in order, the keys that are wanted and not known. A memory that has grown too large is
// emptied first.
func missing[K cmp.Ordered | installedVulnerability, V any](known map[K]V, most int, each func(want func(K))) []K {
	if len(known) > most {
		clear(known)
	}
	var list []K
	listed := map[K]struct{}{}
	each(func(key K) {
		if _, ok := known[key]; ok {
			return
		}
		if _, ok := listed[key]; !ok {
			listed[key] = struct{}{}
			list = append(list, key)
		}
	})
	return list
}

// ask runs a statement unless nothing is wanted.
func ask[T any](ctx context.Context, tx *sqlx.Tx, into *[]T, wanted int, statement string, args ...any) error {
	if wanted == 0 {
		return nil
	}
	return tx.SelectContext(ctx, into, statement, args...)
}

// describe makes findings of rows. Findings of assets that are just being purged are left out.
func (k *facts) describe(rows []findingRow) []inventory.Finding {
	findings := make([]inventory.Finding, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		a, known := k.assets[r.AssetID]
		v, named := k.vulnerabilities[r.VulnID]
		if !known || !named {
			continue
		}
		f := r.finding()
		f.AssetID, f.IntegrationPublic, f.Hostname, f.PrimaryIP = a.PublicID, a.Integration, a.Hostname, a.address
		f.Vulnerability, f.Title, f.Partial = v.Name, v.Title, v.Partial
		if r.State == inventory.FindingOpen {
			f.LastSeenAt = utc(a.SeenAt)
		}
		f.Instances = k.instances(a, r)
		findings = append(findings, f)
	}
	return findings
}

func (k *facts) instances(a *assetFacts, r *findingRow) []inventory.Instance {
	list := make([]inventory.Instance, 0, len(r.SoftwareIDs))
	for _, id := range r.SoftwareIDs {
		s, m := k.software[int32(id)], k.remediations[installedVulnerability{int32(id), r.VulnID}]
		n := inventory.Instance{
			SoftwareID: int32(id), Vendor: s.Vendor, Product: s.Product, Version: s.Version,
			UpdateText: m.UpdateText, UpdateID: m.UpdateID, UpdateURL: m.UpdateURL, UpdateReady: m.UpdateReady,
		}
		if at := slices.Index(a.Software, id); at >= 0 && at < len(a.Places) {
			place := k.places[a.Places[at]]
			n.DiskPaths, n.RegistryPaths = place.DiskPaths, place.RegistryPaths
		}
		list = append(list, n)
	}
	slices.SortFunc(list, byName)
	return list
}
