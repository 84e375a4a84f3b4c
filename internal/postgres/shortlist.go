package postgres

import (
	"context"
	"slices"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
)

// shortlistSize is how many rows a list sorts at most for one page. Of rows that meet a condition and are fewer, all are
// looked up and sorted; where more do, the list is walked along its order, and the page is full before long.
const shortlistSize = 2000

// lookup is a statement that selects the numbers of what meets one condition of a filter. Its last parameter, which is not
// among the arguments, limits them.
type lookup struct {
	statement string
	args      []any
}

// shortlist is what meets one condition of a filter, and so contains all that meets the whole of it.
type shortlist struct {
	resolved bool
	ids      pq.Int64Array
}

// resolveFew tries the conditions one after the other until one is met by few.
func resolveFew(ctx context.Context, tx *sqlx.Tx, by []lookup) (shortlist, error) {
	for _, l := range by {
		found := pq.Int64Array{} // not nil, which would be sent as NULL
		if err := tx.SelectContext(ctx, (*[]int64)(&found), l.statement, append(l.args, shortlistSize+1)...); err != nil {
			return shortlist{}, err
		}
		if len(found) <= shortlistSize {
			slices.Sort(found)
			return shortlist{resolved: true, ids: slices.Compact(found)}, nil
		}
	}
	return shortlist{}, nil
}

// storableTerms are the terms of a search text, the longest first, because it is likely to be met by the fewest. A text
// that no column can hold has none.
func storableTerms(text string) []string {
	if !isStorable(text) {
		return nil
	}
	terms := inventory.SearchTerms(text)
	slices.SortStableFunc(terms, func(a, b string) int { return len(b) - len(a) })
	return terms
}
