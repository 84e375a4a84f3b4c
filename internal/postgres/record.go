package postgres

import (
	"context"
	"database/sql/driver"
)

// Statement is a query as it was sent: its text, and its arguments in the form that the driver takes.
type Statement struct {
	Text  string
	Args  []any  // int64, float64, bool, string, []byte, time.Time or nil
	Scope string // statements that went before it, in the same message and transaction
}

type recorderKey struct{}

// Recording lets tell see every query that is made under the context it returns, so that a measurement can run the same by
// other means and needs no copy of the text.
func Recording(ctx context.Context, tell func(Statement)) context.Context {
	return context.WithValue(ctx, recorderKey{}, tell)
}

func statementOf(scope, query string, args []driver.NamedValue) Statement {
	st := Statement{Text: query, Scope: scope}
	for _, a := range args {
		st.Args = append(st.Args, a.Value)
	}
	return st
}
