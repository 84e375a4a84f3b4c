package postgres

import "context"

// usualPage is how many rows are read for a page of the usual length.
const usualPage = 50 + 1

// collect reads all rows of a query. columns gives where each column goes, in the order of the query; it is asked once, for
// a row that is copied from then on. A page has thousands of values, and finding the place of each by its name, as sqlx
// does, costs as much as reading it.
func collect[R any](ctx context.Context, q queryer, columns func(*R) []any, query string, args ...any) ([]R, error) {
	rows, err := q.QueryContext(withWholeRows(ctx), query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var list []R
	var row, empty R
	into := wholeRow(columns(&row))
	for rows.Next() {
		if list == nil {
			list = make([]R, 0, usualPage)
		}
		row = empty // slices are read into memory of their own
		if err := rows.Scan(into); err != nil {
			return nil, err
		}
		list = append(list, row)
	}
	return list, rows.Err()
}
