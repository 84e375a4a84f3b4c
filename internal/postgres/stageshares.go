package postgres

import (
	"context"
	"math"

	"github.com/jmoiron/sqlx"
)

// changesAtOnce is about how many findings a statement changes at most: all of an asset's are in one. 523,443 of them took 115 s with their
// history on two cores, for all statements together, of which each may take 600: a run can change any number of findings.
const changesAtOnce = 1_000_000

// share is a part of the assets by their numbers: behind after, up to last.
type share struct{ after, last int64 }

// inSetsOf is [inSets] for each share.
func inSetsOf(ctx context.Context, tx *sqlx.Tx, f func(share) error) func(share) error {
	return func(of share) error { return inSets(ctx, tx, func() error { return f(of) }) }
}

// eachShare has f change findings of one share of the assets after the other. weighed is a query for the asset_id of all that may change, and n,
// how many findings of each, which may be off; its arguments follow. Where it gives no asset, nothing is done.
func (st *stage) eachShare(ctx context.Context, tx *sqlx.Tx, f func(share) error, weighed string, args ...any) error {
	q := listQuery{args: args}
	var ends []int64
	err := tx.SelectContext(ctx, &ends, `
		with weighed as (`+weighed+`), counted as (
		  select asset_id, ((sum(n) over (order by asset_id))::bigint - 1) / `+q.bind(st.store.changesAtOnce)+` as share from weighed
		)
		select asset_id from (select asset_id, share, lead(share) over (order by asset_id) as next from counted) c where next is distinct from share order by asset_id`, q.args...)
	if err != nil {
		return err
	}
	after := int64(math.MinInt64)
	for i, last := range ends {
		if i == len(ends)-1 {
			last = math.MaxInt64
		}
		if err := f(share{after, last}); err != nil {
			return err
		}
		after = last
	}
	return nil
}
