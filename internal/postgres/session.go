package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lib/pq"
)

// prepared marks a statement that is worth preparing on each connection: one whose best plan does not depend on its
// arguments. The database then parses and plans it once. All others are planned for the values at hand, which for lists
// with filters, and for tables with a partition per tenant, makes the better plan.
const prepared = "/* prepared */ "

// parsed marks a statement that is parsed once on each connection, and planned for the values at hand each time it runs [alone]. It is
// for tables with a partition per tenant: a plan for any tenant, which PostgreSQL makes to compare when it meets a statement for the
// sixth time, opens and locks the partitions of all. With a thousand of them that took 2.4 s, and more than a statement may.
const parsed = "/* parsed */ "

// sessions makes connections with what lib/pq lacks; see session.
type sessions struct {
	*pq.Connector
	bounded bool // statements never outlast their context; see Options.WaitFor
}

func (s sessions) Connect(ctx context.Context) (driver.Conn, error) {
	var wire *deadlineConn
	c, err := s.Connector.Connect(context.WithValue(ctx, dialedKey{}, &wire))
	if err != nil {
		return nil, wire.blame(err)
	}
	wire.bound(time.Time{})
	inner, ok := c.(connection)
	if !ok {
		return nil, errors.Join(fmt.Errorf("driver connection %T is not what it used to be", c), c.Close())
	}
	return &session{connection: inner, statements: map[string]driver.Stmt{}, calls: map[string]string{}, wire: wire, bounded: s.bounded}, nil
}

// connection is what database/sql and this package use of a lib/pq connection.
type connection interface {
	driver.Conn
	driver.Tx
	driver.ConnPrepareContext
	driver.QueryerContext
	driver.ExecerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
	driver.NamedValueChecker
}

// session is a connection that keeps the statements marked as prepared, and opens a transaction together with its settings
// in one round trip.
type session struct {
	connection
	statements map[string]driver.Stmt
	calls      map[string]string // statements that queryAlone calls, and their names
	prepared   int               // how many names there were
	wire       *deadlineConn
	bounded    bool // statements do not outlast their context
}

// giveUpBefore is how long before its context ends a statement is given up. Once it has ended, the driver asks the server on a
// further connection to cancel, and waits for that; a frozen one does not answer there either.
const giveUpBefore = 200 * time.Millisecond

type promptKey struct{}

// prompt has statements end before their context does, also on connections whose statements are not bounded.
func prompt(ctx context.Context) context.Context { return context.WithValue(ctx, promptKey{}, true) }

// bound lets everything that follows end before the context does, if it has to.
func (s *session) bound(ctx context.Context) {
	until, ok := ctx.Deadline()
	if !ok || !s.bounded && ctx.Value(promptKey{}) == nil {
		s.wire.bound(time.Time{})
		return
	}
	s.wire.bound(until.Add(-giveUpBefore))
}

// ExecContext carries out a statement.
func (s *session) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s.bound(ctx)
	result, err := s.connection.ExecContext(ctx, query, args)
	return result, s.wire.blame(err)
}

// PrepareContext prepares a statement.
func (s *session) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s.bound(ctx)
	stmt, err := s.connection.PrepareContext(ctx, query)
	return stmt, s.wire.blame(err)
}

// IsValid tells whether the connection can serve another statement: what went wrong on the wire leaves it in the middle of something.
func (s *session) IsValid() bool { return !s.wire.broken.Load() && s.connection.IsValid() }

// Close takes leave of the server within a second, whatever the time of the last statement was.
func (s *session) Close() error {
	s.wire.bound(time.Now().Add(time.Second))
	return s.connection.Close()
}

// Ping asks whether the server answers.
func (s *session) Ping(ctx context.Context) error {
	s.bound(ctx)
	return s.connection.Ping(ctx)
}

type scopeKey struct{}

// withScope makes the next transaction, or the next query outside of one, begin with a statement without arguments.
func withScope(ctx context.Context, statement string) context.Context {
	return context.WithValue(ctx, scopeKey{}, statement)
}

// BeginTx opens a transaction of the server's usual kind.
func (s *session) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if o != (driver.TxOptions{}) {
		return nil, fmt.Errorf("postgres: transactions with options %+v are not provided for", o)
	}
	statement := "begin"
	if scope, ok := ctx.Value(scopeKey{}).(string); ok {
		statement += "; " + scope
	}
	if _, err := s.ExecContext(ctx, statement, nil); err != nil {
		// The begin may have been carried out all the same; whoever gets the connection next must not be inside. Where
		// this fails, the driver holds the connection for broken.
		_, _ = s.ExecContext(context.WithoutCancel(ctx), "rollback", nil)
		return nil, err
	}
	return s, nil
}

// Commit ends a transaction.
func (s *session) Commit() error { return s.wire.blame(s.connection.Commit()) }

// QueryContext runs a query, alone if the context says for whom, and gives its rows in whole if it says so.
func (s *session) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := s.query(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return inWhole(ctx, rows), nil
}

func (s *session) query(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s.bound(ctx)
	scope, alone := ctx.Value(scopeKey{}).(string)
	if alone {
		scope += planning(query)
	}
	if tell, ok := ctx.Value(recorderKey{}).(func(Statement)); ok {
		tell(statementOf(scope, query, args))
	}
	if alone {
		return s.queryAlone(ctx, scope, query, args)
	}
	if !strings.HasPrefix(query, prepared) {
		rows, err := s.connection.QueryContext(ctx, query, args)
		return rows, s.wire.blame(err)
	}
	stmt, err := s.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	s.forgetStale(query, err)
	return rows, s.wire.blame(err)
}

func (s *session) statement(ctx context.Context, query string) (driver.Stmt, error) {
	if stmt, ok := s.statements[query]; ok {
		return stmt, nil
	}
	stmt, err := s.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	// Marked statements are constants of this package, some with a handful of variants: they need no bound.
	s.statements[query] = stmt
	return stmt, nil
}

// forgetStale drops a statement that a change of the schema has made unusable; the next use prepares it afresh.
func (s *session) forgetStale(query string, err error) {
	var told *pq.Error
	if errors.As(err, &told) && (told.Code == "0A000" || told.Code == "26000") {
		delete(s.statements, query)
		delete(s.calls, query)
	}
}
