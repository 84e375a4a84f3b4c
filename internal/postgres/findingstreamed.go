package postgres

import "github.com/lib/pq"

// streamed is what a batch of a stream is selected from, and in which order. What is before its position is not read again.
func (p *findingPlan) streamed(q *listQuery, k keyset) (source, order string) {
	if p.few != nil && p.few.streamed != nil {
		return p.few.streamed(p, q, k)
	}
	return p.source(q, k), k.orderBy()
}

// streamedVulnerabilities reads a batch of each and of each severity, along the index that goes on with the asset, and merges them.
func streamedVulnerabilities(ids pq.Int64Array) func(*findingPlan, *listQuery, keyset) (string, string) {
	return func(p *findingPlan, q *listQuery, k keyset) (source, order string) {
		named := q.bind(ids) + "::int[]"
		k.resumeIn(q)
		p.conditions(q)
		return " from (select f.* from unnest(" + named + ") named (value) cross join generate_series(0, 4) rated (severity) cross join lateral (" +
			"select f.* from finding f where f.tenant_id = $1 and f.vulnerability_id = named.value and f.severity = rated.severity" + q.conditions.String() +
			" order by f.asset_id limit " + q.bind(p.limits.batch) + ") f) f", k.orderBy()
	}
}

// pagedVulnerabilities reads a page of each, along the index that goes on with severity and asset, and merges them.
func pagedVulnerabilities(ids pq.Int64Array) func(*findingPlan, *listQuery, keyset) string {
	return func(p *findingPlan, q *listQuery, k keyset) string {
		named := q.bind(ids) + "::int[]"
		k.resumeIn(q)
		p.conditions(q)
		return " from (select f.* from unnest(" + named + ") named (value) cross join lateral (" +
			"select f.* from finding f where f.tenant_id = $1 and f.vulnerability_id = named.value" + q.conditions.String() +
			k.tail(q) + ") f) f where true"
	}
}

// streamedAssets reads one after the other along the primary key. The order is told by the numbers that are asked for, so that the server
// sorts the findings of an asset at a time and stops once the batch is full.
func streamedAssets(ids pq.Int64Array) func(*findingPlan, *listQuery, keyset) (string, string) {
	return func(p *findingPlan, q *listQuery, k keyset) (source, order string) {
		named := q.bind(ids) + "::bigint[]) v (value) where v.value >= " + q.bind(k.after[0]) + "::bigint"
		k.resumeIn(q)
		p.conditions(q)
		return " from (select v.value from unnest(" + named + " order by v.value) named cross join lateral (" +
				"select f.* from finding f where f.tenant_id = $1 and f.asset_id = named.value" + q.conditions.String() + " offset 0) f",
			" order by named.value, f.vulnerability_id"
	}
}
