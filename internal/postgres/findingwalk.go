package postgres

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// listLimits bound what a page of findings or of events under a filter costs, whatever is asked for: no index knows every combination of
// filters, and what meets one may be rare among ten million.
type listLimits struct {
	walk   int // findings that a page passes over
	few    int // that are sorted for a page where an index tells which
	named  int // the same for those of vulnerabilities and integrations: they lie together, and a walk would pass over all others first
	events int // of the audit trail that a page passes over
	batch  int // findings of a stream that are read in one transaction: some megabytes with what belongs to them
}

// usualLimits are those of the service; tests have smaller ones.
var usualLimits = listLimits{walk: 50_000, few: shortlistSize, named: 200_000, events: 20_000, batch: 4000}

const (
	streamWalks = 2    // how many times as many a batch of a stream passes over, in the order they lie in
	fewAssets   = 1000 // up to how many assets stand in for the integrations that a filter names
)

// findingPlan is how a list of findings under a filter is read, so that no page passes over or sorts more than the limits allow.
type findingPlan struct {
	filter inventory.FindingFilter
	names  names
	few    *narrowing // the findings that are looked up and sorted
	walks  bool       // without few: a stretch of the list is walked along its order
	limits listLimits
}

// narrowing is a condition that an index answers.
type narrowing struct {
	condition string
	values    []any
	most      int // up to how many are sorted for a page; 0 for few whatever is named

	// along selects what meets it, in the order of the index and no more than most and one, so that counting reads no more.
	along func(*listQuery) string

	// paged is what a page in the order of severities is selected from, where the index goes on with it; nil for what is sorted.
	paged func(*findingPlan, *listQuery, keyset) string

	// streamed is what a batch of a stream is selected from, and in which order; nil for what is so little that each batch may sort it.
	streamed func(*findingPlan, *listQuery, keyset) (source, order string)
}

// anyOf narrows to a column with one of several numbers, of an index that goes on with the columns of then.
func anyOf(column, sqlType string, values pq.Int64Array, then string, most int) narrowing {
	return narrowing{
		condition: column + " = any(?::" + sqlType + "[])", values: []any{values}, most: most,
		along: func(q *listQuery) string {
			named, limit := q.bind(values)+"::"+sqlType+"[]", " limit "+q.bind(most+1)
			return "select from unnest(" + named + ") named (value) cross join lateral (select from finding f where f.tenant_id = $1 and " + column +
				" = named.value order by " + then + limit + ") f" + limit
		},
	}
}

// firstSeenIn narrows to a time.
func firstSeenIn(condition string, values []any, most int) narrowing {
	return narrowing{condition: condition, values: values, most: most, along: func(q *listQuery) string {
		q.and(condition, values...)
		return "select from finding f where f.tenant_id = $1" + q.conditions.String() + " order by f.first_seen_at limit " + q.bind(most+1)
	}}
}

// planFindings looks what few findings meet, before a list is read in the order of k.
func (s *Store) planFindings(ctx context.Context, tx *sqlx.Tx, id tenant.ID, f inventory.FindingFilter, k keyset) (findingPlan, error) {
	named, err := resolveNames(ctx, tx, id, f)
	if err != nil {
		return findingPlan{}, err
	}
	p := findingPlan{filter: f, names: named, limits: s.limits}
	if f.Empty() {
		return p, nil
	}
	for _, n := range p.narrowings(k) {
		few, err := n.met(ctx, tx, id)
		if err != nil {
			return findingPlan{}, err
		}
		if few {
			p.few = &n
			return p, nil
		}
	}
	p.walks = true
	return p, nil
}

// met counts, up to where counting tells enough.
func (n narrowing) met(ctx context.Context, tx *sqlx.Tx, id tenant.ID) (bool, error) {
	if n.most == 0 {
		return true, nil
	}
	q := newListQuery(id)
	statement := "select count(*) from (" + n.along(q) + ") f"
	var found int
	err := tx.GetContext(ctx, &found, statement, q.args...)
	return found <= n.most, err
}

func (p *findingPlan) narrowings(k keyset) (few []narrowing) {
	f := &p.filter
	switch {
	case p.nobody():
		return []narrowing{{condition: "false"}}
	case len(f.Assets) > 0: // which are few in a request
		return []narrowing{{condition: "f.asset_id = any(?::bigint[])", values: []any{p.names.assets}, streamed: streamedAssets(p.names.assets)}}
	}
	if len(f.Vulnerabilities) > 0 {
		n := anyOf("f.vulnerability_id", "int", p.names.vulnerabilities, "f.severity, f.asset_id", p.limits.named)
		n.paged, n.streamed = pagedVulnerabilities(p.names.vulnerabilities), streamedVulnerabilities(p.names.vulnerabilities)
		if p.namesVulnerabilitiesOnly() && bySeverity(k) {
			n.most = 0 // nothing is passed over, however many there are
		}
		few = append(few, n)
	}
	if len(f.Integrations) > 0 && len(p.names.integrationAssets) <= fewAssets {
		n := anyOf("f.asset_id", "bigint", p.names.integrationAssets, "f.vulnerability_id", p.limits.named)
		n.streamed = streamedAssets(p.names.integrationAssets)
		few = append(few, n)
	}
	if len(f.States) > 0 && !slices.Contains(f.States, inventory.FindingOpen) {
		few = append(few, anyOf("f.state <> 1 and f.state", "smallint", numbers(f.States), "f.asset_id, f.vulnerability_id", p.limits.few))
	}
	if c, values := p.firstSeen(); c != "" {
		few = append(few, firstSeenIn(c, values, p.limits.few))
	}
	if s := numbers(f.Severities); len(s) > 0 {
		few = append(few, anyOf("f.severity", "smallint", s, "f.asset_id, f.vulnerability_id", p.limits.few))
	}
	return few
}

func (p *findingPlan) namesVulnerabilitiesOnly() bool {
	rest := p.filter
	rest.Vulnerabilities = nil
	return rest.Empty()
}

func bySeverity(k keyset) bool { return k.columns[0].expr == "f.severity" }

// nobody tells whether the filter names only what is not known.
func (p *findingPlan) nobody() bool {
	f, n := &p.filter, &p.names
	return len(f.Assets) > 0 && len(n.assets) == 0 || len(f.Vulnerabilities) > 0 && len(n.vulnerabilities) == 0 ||
		len(f.Integrations) > 0 && len(n.integrationAssets) == 0 || len(f.Products) > 0 && len(n.software) == 0
}

func (p *findingPlan) firstSeen() (condition string, values []any) {
	f := &p.filter
	switch {
	case !f.FirstSeenFrom.IsZero() && !f.FirstSeenBefore.IsZero():
		return "f.first_seen_at >= ? and f.first_seen_at < ?", []any{f.FirstSeenFrom, f.FirstSeenBefore}
	case !f.FirstSeenFrom.IsZero():
		return "f.first_seen_at >= ?", []any{f.FirstSeenFrom}
	case !f.FirstSeenBefore.IsZero():
		return "f.first_seen_at < ?", []any{f.FirstSeenBefore}
	}
	return "", nil
}

// everything tells whether nothing is filtered, so that an index has each page ready.
func (p *findingPlan) everything() bool { return p.few == nil && !p.walks }

// source is what a page is selected from, after the position of k, with all conditions. The offset keeps the planner from
// walking along an order for few.
func (p *findingPlan) source(q *listQuery, k keyset) string {
	const all = " from finding f where f.tenant_id = $1"
	switch {
	case p.everything():
		k.resumeIn(q)
		return all + q.conditions.String()
	case p.few != nil && p.few.paged != nil && bySeverity(k):
		return p.few.paged(p, q, k)
	}
	inner := ""
	if p.few != nil {
		q.and(p.few.condition, p.few.values...)
		inner = all + q.conditions.String() + " offset 0"
	} else {
		p.stretch(q, k)
		inner = all + q.conditions.String() + k.orderBy() + " limit " + q.bind(p.limits.walk)
	}
	q.conditions.Reset()
	p.conditions(q)
	if p.few != nil {
		k.resumeIn(q)
	}
	return " from (select *" + inner + ") f where true" + q.conditions.String()
}

// stretch adds the conditions that the order of the list answers: a walk begins and ends with them.
func (p *findingPlan) stretch(q *listQuery, k keyset) {
	k.resumeIn(q)
	switch k.columns[0].expr {
	case "f.first_seen_at":
		if c, values := p.firstSeen(); c != "" {
			q.and(c, values...)
		}
	case "f.severity":
		if s := numbers(p.filter.Severities); len(s) > 0 {
			q.and("f.severity between ?::smallint and ?::smallint", slices.Min(s), slices.Max(s))
		}
	}
}

// inOrder has the planner take no way around the order of an index while read works. It takes what a cursor and a filter say of one column for
// independent of each other, and so expects fewer findings behind them than there are: too few to pass over less by a walk than by sorting all.
// What is to be sorted stands behind an "offset 0", so that there is no other way. Nor does it read a table from end to end, which was small when a
// plan was made that the connection keeps.
func inOrder(ctx context.Context, tx *sqlx.Tx, read func() error) error {
	var now string
	if err := tx.GetContext(ctx, &now, `select set_config('enable_sort', 'off', true) || set_config('enable_seqscan', 'off', true)`); err != nil {
		return err
	}
	if err := read(); err != nil {
		return err
	}
	return tx.GetContext(ctx, &now, `select set_config('enable_sort', 'on', true) || set_config('enable_seqscan', 'on', true)`)
}

// walkEnd is where the walk of a page that was not filled ended; nil at the end of the list. It must see what the page saw.
func (p *findingPlan) walkEnd(ctx context.Context, tx *sqlx.Tx, id tenant.ID, k keyset) (*walkedTo, error) {
	if !p.walks {
		return nil, nil
	}
	q := newListQuery(id)
	p.stretch(q, k)
	statement := "select " + k.sortKey() + ", f.asset_id, f.vulnerability_id from finding f where f.tenant_id = $1" + q.conditions.String() +
		k.orderBy() + " offset " + q.bind(p.limits.walk-1) + " limit 1"
	var end walkedTo
	err := tx.GetContext(ctx, &end, statement, q.args...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &end, err
}

// walkedTo is the last finding that a walk passed over.
type walkedTo struct {
	SortKey string `db:"sort_key"`
	AssetID int64  `db:"asset_id"`
	VulnID  int32  `db:"vulnerability_id"`
}
