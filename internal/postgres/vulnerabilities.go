package postgres

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// maxUpdates bounds the recommendations of one vulnerability: there is one for each version of each affected software.
const maxUpdates = 500

const vulnerabilityColumns = `
	v.id, v.name, v.title, v.description, v.severity_word, coalesce(v.score, -1) as score, v.vector, v.attack_vector,
	coalesce(v.epss, -1) as epss, v.public_exploit, v.exploit_verified, v.exploit_in_kit, v.exploit_types,
	v.exploit_uris, v.tags, v.supportability, v.published_at, v.source_updated_at, v.partial, e.severity,
	e.open_assets, e.first_seen_at`

// The catalogue is shared by all tenants; a tenant's exposure says which part of it the tenant may see.
const vulnerabilitySource = `
	from exposure e join vulnerability v on v.id = e.vulnerability_id
	where e.tenant_id = $1`

// vulnerabilitiesExposed is vulnerabilitySource for a page in one of the tenant's own orders: the limit on a unique key makes the planner look
// each entry up.
const vulnerabilitiesExposed = `
	from exposure e join lateral (select v.* from vulnerability v where v.id = e.vulnerability_id limit 1) v on true
	where e.tenant_id = $1`

// vulnerabilitiesListed is vulnerabilitySource for some whose numbers are known. The limits on unique keys make the planner
// look each one up, where it would rather read all exposures.
const vulnerabilitiesListed = `
	from unnest($2::int[]) as listed (id)
	join lateral (select e.* from exposure e where e.tenant_id = $1 and e.vulnerability_id = listed.id limit 1) e on true
	join lateral (select v.* from vulnerability v where v.id = listed.id limit 1) v on true
	where true`

// What is not known counts as lowest: no score below any score, no date before any date.
var vulnerabilityOrder = ordering{
	keys: map[string]column{
		"id":             tied(textColumn("v.name"), intColumn("v.id")),
		"severity":       smallintColumn("e.severity"),
		"epss":           tied(realColumn("coalesce(v.epss, -1)"), intColumn("v.id")),
		"published_at":   tied(timeColumn("coalesce(v.published_at, '-infinity')"), intColumn("v.id")),
		"exposed_assets": intColumn("e.open_assets"),
	},
	usual: inventory.Sort{Key: "severity", Descending: true},
	ties:  []column{intColumn("e.vulnerability_id")},
}

// vulnerabilityRow is what vulnerabilityColumns selects.
type vulnerabilityRow struct {
	ID              int32                  `db:"id"`
	Name            string                 `db:"name"`
	Title           string                 `db:"title"`
	Description     string                 `db:"description"`
	SeverityWord    string                 `db:"severity_word"`
	Score           float64                `db:"score"`
	Vector          string                 `db:"vector"`
	AttackVector    inventory.AttackVector `db:"attack_vector"`
	EPSS            float64                `db:"epss"`
	PublicExploit   bool                   `db:"public_exploit"`
	ExploitVerified bool                   `db:"exploit_verified"`
	ExploitInKit    bool                   `db:"exploit_in_kit"`
	ExploitTypes    pq.StringArray         `db:"exploit_types"`
	ExploitURIs     pq.StringArray         `db:"exploit_uris"`
	Tags            pq.StringArray         `db:"tags"`
	Supportability  string                 `db:"supportability"`
	PublishedAt     sql.NullTime           `db:"published_at"`
	SourceUpdatedAt sql.NullTime           `db:"source_updated_at"`
	Partial         bool                   `db:"partial"`
	Severity        inventory.Severity     `db:"severity"`
	OpenAssets      int                    `db:"open_assets"`
	FirstSeenAt     time.Time              `db:"first_seen_at"`
	SortKey         string                 `db:"sort_key"`
}

// columns are in the order of vulnerabilityColumns.
func (r *vulnerabilityRow) columns() []any {
	return []any{
		&r.ID, &r.Name, &r.Title, &r.Description, &r.SeverityWord, &r.Score, &r.Vector, &r.AttackVector, &r.EPSS, &r.PublicExploit,
		&r.ExploitVerified, &r.ExploitInKit, &r.ExploitTypes, &r.ExploitURIs, &r.Tags, &r.Supportability, &r.PublishedAt, &r.SourceUpdatedAt,
		&r.Partial, &r.Severity, &r.OpenAssets, &r.FirstSeenAt, &r.SortKey,
	}
}

func (r vulnerabilityRow) exposed() inventory.ExposedVulnerability {
	return inventory.ExposedVulnerability{
		Vulnerability: inventory.Vulnerability{
			ID: r.ID, Name: r.Name, Title: r.Title, Description: r.Description, SeverityWord: r.SeverityWord,
			Score: r.Score, Vector: r.Vector, EPSS: r.EPSS, PublicExploit: r.PublicExploit,
			ExploitVerified: r.ExploitVerified, ExploitInKit: r.ExploitInKit, ExploitTypes: r.ExploitTypes,
			ExploitURIs: r.ExploitURIs, Tags: r.Tags, Supportability: r.Supportability,
			PublishedAt: utc(r.PublishedAt), UpdatedAt: utc(r.SourceUpdatedAt), Partial: r.Partial,
		},
		Severity: r.Severity, AttackVector: r.AttackVector, ExposedAssets: r.OpenAssets,
		FirstSeenAt: r.FirstSeenAt.UTC(),
	}
}

// ListVulnerabilities gives a page of the vulnerabilities that the tenant has, or had, findings of, and where it ended.
func (s *Store) ListVulnerabilities(ctx context.Context, id tenant.ID, f inventory.VulnerabilityFilter, page inventory.PageRequest) ([]inventory.ExposedVulnerability, inventory.Position, error) {
	k, err := vulnerabilityOrder.page(page)
	if err != nil {
		return nil, nil, err
	}
	list := func(few shortlist) (string, []any) { return vulnerabilityList(id, f, few, k) }
	rows, err := listRows(ctx, s, id, vulnerabilityProperties(f), list, (*vulnerabilityRow).columns)
	if err != nil {
		return nil, nil, err
	}
	rows, end := cut(rows, k.limit, func(r vulnerabilityRow) inventory.Position { return k.position(r.SortKey, int64(r.ID)) })
	out := make([]inventory.ExposedVulnerability, len(rows))
	for i, r := range rows {
		out[i] = r.exposed()
	}
	return out, end, nil
}

// vulnerabilityList selects a page of all vulnerabilities along its order, or of a few that are known already.
func vulnerabilityList(id tenant.ID, f inventory.VulnerabilityFilter, few shortlist, k keyset) (string, []any) {
	q, source := few.query(id, vulnerabilityProperties(f), vulnerabilitiesListed, vulnerabilitySource)
	vulnerabilityConditions(q, f)
	mark := ""
	if !few.resolved {
		mark = q.marking()
	}
	switch {
	case mark == "":
	case k.columns[0].ties != nil: // an order of the catalogue's: whether to pass through that or to sort what the tenant has depends on how much it has
		mark = parsed
	default:
		source = vulnerabilitiesExposed
	}
	k.resumeIn(q)
	statement := mark + "select" + vulnerabilityColumns + ", " + k.sortKey() + source + q.conditions.String() + k.tail(q)
	return statement, q.args
}

// vulnerabilityProperties are those of the catalogue, which the tenant is exposed to a part of.
func vulnerabilityProperties(f inventory.VulnerabilityFilter) []property {
	terms := storableTerms(f.Text)
	if len(terms) == 0 {
		return nil
	}
	query := wordQuery(terms)
	return []property{{
		find:   "select w.vulnerability_id from vulnerability_words w where w.words @@ $1::tsquery limit $2",
		args:   []any{query},
		holds:  "(select w.words @@ ?::tsquery from vulnerability_words w where w.vulnerability_id = v.id limit 1)",
		values: []any{query},
	}}
}

func vulnerabilityConditions(q *listQuery, f inventory.VulnerabilityFilter) {
	q.andSmallints("e.severity", numbers(f.Severities))
	if len(f.Vectors) > 0 {
		q.and("v.attack_vector = any(?::smallint[])", numbers(f.Vectors))
	}
	if f.Exploit != nil {
		q.and("(v.public_exploit or v.exploit_verified or v.exploit_in_kit) = ?", *f.Exploit)
	}
	// The indexed expressions, because an index of a list's order would otherwise be read from its end.
	if f.EPSSFrom > 0 {
		q.and("coalesce(v.epss, -1) >= ?::real", f.EPSSFrom) // in the column's precision: as a double, 0.9 is above the 0.9 stored
	}
	if !f.PublishedFrom.IsZero() {
		q.and("coalesce(v.published_at, '-infinity') >= ?", f.PublishedFrom)
	}
	if !f.PublishedBefore.IsZero() {
		q.and("coalesce(v.published_at, '-infinity') < ? and v.published_at is not null", f.PublishedBefore)
	}
	if f.Text != "" && len(storableTerms(f.Text)) == 0 {
		q.and("false")
	}
}

// Vulnerability gives one vulnerability with the updates recommended against it. One that the tenant never had a finding
// of is a not_found fault, whether or not the shared catalogue knows it. Names are compared without case.
func (s *Store) Vulnerability(ctx context.Context, id tenant.ID, name string) (inventory.ExposedVulnerability, error) {
	var row vulnerabilityRow
	var updates []updateRow
	err := s.inTenant(ctx, id, func(tx *sqlx.Tx) error {
		q := newListQuery(id)
		q.andText("v.name = any(?::text[])", []string{strings.ToUpper(name)})
		statement := "select" + vulnerabilityColumns + ", '' as sort_key" + vulnerabilitySource + q.conditions.String()
		if err := tx.GetContext(ctx, &row, statement, q.args...); err != nil {
			return notFound(err, "vulnerability")
		}
		return tx.SelectContext(ctx, &updates, updatesOfVulnerability, int32(id), row.ID, maxUpdates)
	})
	if err != nil {
		return inventory.ExposedVulnerability{}, err
	}
	found := row.exposed()
	for _, u := range updates {
		found.Updates = append(found.Updates, inventory.Update(u))
	}
	return found, nil
}

const updatesOfVulnerability = `
	select s.vendor, s.product, s.version, r.update_text, r.update_id, r.update_url, r.update_ready
	from remediation r join software s on s.id = r.software_id
	where r.tenant_id = $1 and r.vulnerability_id = $2
	  and (r.update_text <> '' or r.update_id <> '' or r.update_url <> '' or r.update_ready is not null)
	order by s.vendor, s.product, s.version, s.id
	limit $3`

// updateRow mirrors [inventory.Update] field by field.
type updateRow struct {
	Vendor  string `db:"vendor"`
	Product string `db:"product"`
	Version string `db:"version"`
	Text    string `db:"update_text"`
	ID      string `db:"update_id"`
	URL     string `db:"update_url"`
	Ready   *bool  `db:"update_ready"`
}
