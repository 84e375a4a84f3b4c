package postgres

import (
	"context"
	"slices"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// shortlistSize is how many rows a list sorts at most for one page. If fewer meet a condition, all of them are looked up
// and sorted; if more do, the list is walked along its order, and the page is full before long.
const shortlistSize = 5000

// property is a condition that an index answers with numbers of rows, and that can be asked of one row as well.
type property struct {
	find   string // selects the numbers; its last parameter, the limit, is not among the arguments
	args   []any
	holds  string // with a ? for each value; a subquery in it ends with "limit", so that it is asked row by row
	values []any
}

// shortlist holds the numbers of all rows that have one property.
type shortlist struct {
	resolved bool
	ids      pq.Int64Array
	by       int // the property
}

// resolveFew tries one property after the other until it finds one that few have.
func resolveFew(ctx context.Context, tx *sqlx.Tx, properties []property) (shortlist, error) {
	for i, p := range properties {
		found := pq.Int64Array{} // not nil, which would be sent as NULL
		if err := tx.SelectContext(ctx, (*[]int64)(&found), p.find, append(slices.Clone(p.args), shortlistSize+1)...); err != nil {
			return shortlist{}, err
		}
		if len(found) <= shortlistSize {
			slices.Sort(found)
			return shortlist{resolved: true, ids: slices.Compact(found), by: i}, nil
		}
	}
	return shortlist{}, nil
}

// listRows reads the rows of a page: alone if nothing is to be found before and nothing is filtered.
func listRows[R any](ctx context.Context, s *Store, id tenant.ID, properties []property, list func(shortlist) (string, []any), columns func(*R) []any) (rows []R, err error) {
	if statement, args := list(shortlist{}); len(properties) == 0 && planning(statement) != "" {
		err = s.readAlone(ctx, id, func(q queryer) (err error) {
			rows, err = collect(ctx, q, columns, statement, args...)
			return err
		})
		return rows, err
	}
	err = s.inTenant(ctx, id, func(tx *sqlx.Tx) error {
		few, err := resolveFew(ctx, tx, properties)
		if err != nil {
			return err
		}
		statement, args := list(few)
		rows, err = collect(ctx, tx, columns, statement, args...)
		return err
	})
	return rows, err
}

// query begins a list: of what is on the shortlist, if there is one, else of everything; with all properties that the
// shortlist does not stand for.
func (few shortlist) query(id tenant.ID, properties []property, listed, everything string) (*listQuery, string) {
	q, source := newListQuery(id), everything
	if few.resolved {
		q.bind(few.ids)
		source = listed
	}
	for i, p := range properties {
		if !few.resolved || i != few.by {
			q.and(p.holds, p.values...)
		}
	}
	return q, source
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
