package postgres

import (
	"context"
	"database/sql"
	"strings"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

const findingColumns = `
	f.asset_id, f.vulnerability_id, f.software_ids, f.severity, f.severity_source, f.attack_vector, f.state,
	f.reopen_count, f.state_reason, f.first_seen_at, f.last_seen_at, f.closed_at, f.reopened_at, f.created_at,
	f.updated_at`

var findingOrder = ordering{
	keys: map[string]column{
		"severity":      smallintColumn("f.severity"),
		"first_seen_at": timeColumn("f.first_seen_at"),
	},
	usual: inventory.Sort{Key: "severity", Descending: true},
	ties:  []column{bigintColumn("f.asset_id"), intColumn("f.vulnerability_id")},
}

// describedFinding selects the columns of findingRow from the findings that stand between its two halves. The left joins
// keep a finding whose asset is being purged in the page, so that the page's end is still known; see described. The limits
// on unique keys make the planner look each row up, where it would rather hash a whole table for the sake of one page.
const (
	describedFinding = `
	select f.asset_id, f.vulnerability_id, f.software_ids, f.severity, f.severity_source, f.attack_vector, f.state,
	       f.reopen_count, coalesce(f.state_reason, '') as state_reason, f.first_seen_at,
	       case when f.state = 1 then coalesce(a.findings_seen_at, a.last_seen_at) else f.last_seen_at end as last_seen_at,
	       case when f.state = 2 then f.closed_at end as fixed_at,
	       f.reopened_at, f.created_at, f.updated_at, f.sort_key,
	       a.public_id as asset_public_id, a.integration_public_id, coalesce(a.hostname, '') as hostname,
	       coalesce(host(a.primary_ip), '') as primary_ip,
	       v.name, coalesce(v.title, '') as title, coalesce(v.partial, false) as partial
	from (`
	describedFindingJoins = `) f
	left join lateral (
	  select a.public_id, a.hostname, a.primary_ip, a.findings_seen_at, a.last_seen_at,
	    (select i.public_id from integration i where i.tenant_id = $1 and i.id = a.integration_id) as integration_public_id
	  from asset a where a.tenant_id = $1 and a.id = f.asset_id limit 1
	) a on true
	left join lateral (
	  select v.name, v.title, v.partial from vulnerability v where v.id = f.vulnerability_id limit 1
	) v on true`
)

// ListFindings gives a page of the findings that f selects, of every state unless f names some, and where it ended. It
// may be shorter than asked for and still have a successor.
func (s *Store) ListFindings(ctx context.Context, id tenant.ID, f inventory.FindingFilter, page inventory.PageRequest) ([]inventory.Finding, inventory.Position, error) {
	k, err := findingOrder.page(page)
	if err != nil {
		return nil, nil, err
	}
	if f.Empty() {
		return s.listAllFindings(ctx, id, k)
	}
	var findings []inventory.Finding
	var end inventory.Position
	err = s.inSnapshot(ctx, id, func(tx *sqlx.Tx) error {
		return inOrder(ctx, tx, func() error {
			plan, err := s.planFindings(ctx, tx, id, f, k)
			if err != nil {
				return err
			}
			rows, ended, err := plan.page(ctx, tx, id, k)
			if err != nil {
				return err
			}
			end = ended
			findings, err = assemble(ctx, tx, id, rows)
			return err
		})
	})
	if err != nil {
		return nil, nil, err
	}
	return findings, end, nil
}

// page reads a page, and where the next one begins: behind its last finding, or where its walk ended before the page was full.
func (p *findingPlan) page(ctx context.Context, tx *sqlx.Tx, id tenant.ID, k keyset) (rows []describedRow, end inventory.Position, err error) {
	statement, args := p.list(id, k)
	if rows, err = collect(ctx, tx, (*describedRow).columns, statement, args...); err != nil {
		return nil, nil, err
	}
	rows, end = cut(rows, k.limit, func(r describedRow) inventory.Position { return k.position(r.SortKey, r.AssetID, int64(r.VulnID)) })
	if end != nil {
		return rows, end, nil
	}
	walked, err := p.walkEnd(ctx, tx, id, k)
	if err == nil && walked != nil {
		end = k.position(walked.SortKey, walked.AssetID, int64(walked.VulnID))
	}
	return rows, end, err
}

// listAllFindings gives a page without a filter: one query for the findings, one for their instances.
func (s *Store) listAllFindings(ctx context.Context, id tenant.ID, k keyset) (findings []inventory.Finding, end inventory.Position, err error) {
	statement, args := (&findingPlan{limits: s.limits}).list(id, k)
	err = s.readAlone(ctx, id, func(q queryer) error {
		rows, err := collect(ctx, q, (*describedRow).columns, statement, args...)
		if err != nil {
			return err
		}
		rows, end = cut(rows, k.limit, func(r describedRow) inventory.Position { return k.position(r.SortKey, r.AssetID, int64(r.VulnID)) })
		findings, err = assemble(ctx, q, id, rows)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return findings, end, nil
}

// Finding gives one finding, or a not_found fault.
func (s *Store) Finding(ctx context.Context, id tenant.ID, asset uuid.UUID, vulnID int32) (inventory.Finding, error) {
	const statement = describedFinding + "select" + findingColumns + `, '' as sort_key
		from finding f
		where f.tenant_id = $1 and f.vulnerability_id = $3
		  and f.asset_id = (select a.id from asset a where a.tenant_id = $1 and a.public_id = $2)` + describedFindingJoins
	var found inventory.Finding
	err := s.inTx(ctx, tenantScope(id)+alongIndexes, func(tx *sqlx.Tx) error {
		var row describedRow
		if err := tx.GetContext(ctx, &row, statement, int32(id), asset, vulnID); err != nil {
			return notFound(err, "finding")
		}
		findings, err := assemble(ctx, tx, id, []describedRow{row})
		if err != nil {
			return err
		}
		if len(findings) == 0 {
			return notFound(sql.ErrNoRows, "finding")
		}
		found = findings[0]
		return nil
	})
	return found, err
}

// list selects the page on the finding table alone and describes only what the page holds.
func (p *findingPlan) list(id tenant.ID, k keyset) (string, []any) {
	q := newListQuery(id)
	mark := ""
	if p.everything() {
		mark = parsed
	}
	source := p.source(q, k)
	page := "select" + findingColumns + ", " + k.sortKey() + source + k.tail(q)
	return mark + describedFinding + page + describedFindingJoins + k.orderBy(), q.args
}

// fewVersions is up to how many versions of products are compared with each instance one by one, as && does. More are
// hashed first, which takes longer to begin with.
const fewVersions = 8

func (p *findingPlan) conditions(q *listQuery) {
	f, named := &p.filter, &p.names
	if len(f.States) > 0 {
		q.and("f.state = any(?::smallint[])", numbers(f.States))
	}
	q.andSmallints("f.severity", numbers(f.Severities))
	if len(f.Assets) > 0 {
		q.and("f.asset_id = any(?::bigint[])", named.assets)
	}
	if len(f.Vulnerabilities) > 0 {
		q.and("f.vulnerability_id = any(?::int[])", named.vulnerabilities)
	}
	if len(f.Integrations) > 0 {
		q.and("(select true from asset a where a.tenant_id = $1 and a.id = f.asset_id and a.integration_id = any(?::bigint[]) limit 1)", named.integrations)
	}
	switch n := len(named.software); {
	case len(f.Products) == 0:
	case n == 0:
		q.and("false") // rather than to look into every finding
	case n <= fewVersions:
		q.and("f.software_ids && ?::int[]", named.software)
	default:
		q.and("exists (select from unnest(f.software_ids) s (id) where s.id = any(?::int[]))", named.software)
	}
	if f.FixAvailable != nil {
		q.and("exists (select from remediation r where r.tenant_id = $1 and r.vulnerability_id = f.vulnerability_id and r.software_id = any(f.software_ids) and (r.update_ready or r.update_id <> '' or r.update_text <> '')) = ?", *f.FixAvailable)
	}
	if !f.FirstSeenFrom.IsZero() {
		q.and("f.first_seen_at >= ?", f.FirstSeenFrom)
	}
	if !f.FirstSeenBefore.IsZero() {
		q.and("f.first_seen_at < ?", f.FirstSeenBefore)
	}
}

// names are the numbers behind what a filter calls by name. They are looked up first, because the planner chooses an
// index by the values it is given and not by a subquery it cannot see into.
type names struct {
	assets, vulnerabilities, integrations, software pq.Int64Array

	integrationAssets pq.Int64Array // assets of the integrations: all, or more than [fewAssets] of them
}

func resolveNames(ctx context.Context, tx *sqlx.Tx, id tenant.ID, f inventory.FindingFilter) (n names, err error) {
	look := func(into *pq.Int64Array, statement string, values pq.StringArray, args ...any) {
		if err != nil || len(values) == 0 {
			return
		}
		*into = pq.Int64Array{}
		err = tx.SelectContext(ctx, (*[]int64)(into), statement, append(args, values)...)
	}
	none := pq.Int64Array{} // not nil, which would be sent as NULL
	n = names{none, none, none, none, none}
	look(&n.assets, "select a.id from asset a where a.tenant_id = $1 and a.public_id = any($2::uuid[])", uuids(f.Assets), int32(id))
	look(&n.integrations, "select i.id from integration i where i.tenant_id = $1 and i.public_id = any($2::uuid[])", uuids(f.Integrations), int32(id))
	if err == nil && len(n.integrations) > 0 {
		n.integrationAssets = pq.Int64Array{}
		err = tx.SelectContext(ctx, (*[]int64)(&n.integrationAssets),
			"select a.id from asset a where a.tenant_id = $1 and a.integration_id = any($2::bigint[]) limit $3", int32(id), n.integrations, fewAssets+1)
	}
	look(&n.vulnerabilities, "select v.id from vulnerability v where v.name = any($1::text[])", storable(each(f.Vulnerabilities, strings.ToUpper)))
	look(&n.software, softwareByProduct, storable(f.Products))
	return n, err
}

// softwareByProduct finds software called "product" or "vendor/product". Its first condition is implied by the second and
// names the indexed expression.
const softwareByProduct = `
	with wanted as (select lower(n) as name from unnest($1::text[]) n)
	select s.id from software s
	where lower(s.product) in (select name from wanted union select substr(name, strpos(name, '/') + 1) from wanted)
	  and (lower(s.product) in (select name from wanted) or lower(s.vendor || '/' || s.product) in (select name from wanted))`
