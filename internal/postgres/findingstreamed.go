package postgres

import "github.com/lib/pq"

// streamed is what a batch of a stream is selected from, and in which order. What is before its position is not read again.
func (p *findingPlan) streamed(q *listQuery, k keyset) (source, order string) {
	if p.few != nil && p.few.streamed != nil {
		return p.few.streamed(p, q, k)
	}
	return p.source(q, k), k.orderBy()
}

// ofVulnerabilities reads a batch of each, along the index that goes on with the asset, and merges them.
func ofVulnerabilities(ids pq.Int64Array) func(*findingPlan, *listQuery, keyset) (string, string) {
	return func(p *findingPlan, q *listQuery, k keyset) (source, order string) {
		named := q.bind(ids) + "::int[]"
		k.resumeIn(q)
		p.conditions(q)
		return " from (select f.* from unnest(" + named + ") named (value) cross join lateral (" +
			"select f.* from finding f where f.tenant_id = $1 and f.vulnerability_id = named.value" + q.conditions.String() +
			" order by f.asset_id limit " + q.bind(p.limits.batch) + ") f) f", k.orderBy()
	}
}

// ofAssets reads one after the other along the primary key. The order is told by the numbers that are asked for, so that the server
// sorts the findings of an asset at a time and stops once the batch is full.
func ofAssets(ids pq.Int64Array) func(*findingPlan, *listQuery, keyset) (string, string) {
	return func(p *findingPlan, q *listQuery, k keyset) (source, order string) {
		named := q.bind(ids) + "::bigint[]) v (value) where v.value >= " + q.bind(k.after[0]) + "::bigint"
		k.resumeIn(q)
		p.conditions(q)
		return " from (select v.value from unnest(" + named + " order by v.value) named cross join lateral (" +
				"select f.* from finding f where f.tenant_id = $1 and f.asset_id = named.value" + q.conditions.String() + " offset 0) f",
			" order by named.value, f.vulnerability_id"
	}
}
