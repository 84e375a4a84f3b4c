package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/tenant"
)

// queryer runs queries: a transaction, or [alone].
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// alone runs queries that are marked as prepared or as parsed, each in a transaction of its own that sees one tenant's rows only, and in
// one round trip where a transaction takes three. What one query saw may have changed when the next one looks.
type alone struct {
	db *sqlx.DB
	id tenant.ID
}

// QueryContext runs one query.
func (a alone) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return a.db.QueryContext(withScope(ctx, tenantScope(a.id)), query, args...)
}

// readAlone runs f, whose queries need no transaction together.
func (s *Store) readAlone(ctx context.Context, id tenant.ID, f func(queryer) error) error {
	leave, err := s.places.take(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return classify(ctx, f(alone{db: s.db, id: id}))
}

// alongIndexes are settings under which a plan goes along the order of a list, and looks up what belongs to it.
const alongIndexes = "; set local enable_sort = 'off'; set local enable_seqscan = 'off'"

// planning is how the plan of a query that runs alone is made; PostgreSQL would choose worse. It takes a limit that it does not know for a tenth
// of the table, holds the plan for any arguments for the dearer one therefore, and so plans each page anew, which took it as long as
// reading 50 assets. That plan goes along the order of the list all the same, as it may not sort, and uses the indexes, even if it was made when there
// was next to nothing in the tables.
func planning(query string) string {
	switch {
	case strings.HasPrefix(query, parsed):
		return "; set local plan_cache_mode = 'force_custom_plan'"
	case strings.HasPrefix(query, prepared):
		return "; set local plan_cache_mode = 'force_generic_plan'" + alongIndexes
	}
	return ""
}

// queryAlone sends settings and the call of a prepared statement as one message, which the server carries out as one transaction. A
// call has its arguments in its text; they are texts there, which the server reads as what the statement wants them to be, as it does
// with those that travel apart.
func (s *session) queryAlone(ctx context.Context, scope, query string, args []driver.NamedValue) (driver.Rows, error) {
	if planning(query) == "" {
		return nil, errors.New("postgres: only statements that are marked can run alone")
	}
	name, err := s.callable(ctx, query)
	if err != nil {
		return nil, err
	}
	list := make([]string, len(args))
	for i, a := range args {
		if list[i], err = quoted(a.Value); err != nil {
			return nil, err
		}
	}
	call := scope + "; execute " + name
	if len(list) > 0 {
		call += "(" + strings.Join(list, ", ") + ")"
	}
	rows, err := s.connection.QueryContext(ctx, call, nil)
	s.forgetStale(query, err)
	return rows, s.wire.blame(err)
}

// callable gives the name under which a query can be called, and prepares it the first time.
func (s *session) callable(ctx context.Context, query string) (string, error) {
	if name, ok := s.calls[query]; ok {
		return name, nil
	}
	s.prepared++
	name := "call_" + strconv.Itoa(s.prepared)
	if _, err := s.connection.ExecContext(ctx, "prepare "+name+" as "+query, nil); err != nil {
		return "", s.wire.blame(err)
	}
	s.calls[query] = name
	return name, nil
}

// quoted writes an argument into a statement.
func quoted(value driver.Value) (string, error) {
	switch v := value.(type) {
	case nil:
		return "null", nil
	case int64:
		return "'" + strconv.FormatInt(v, 10) + "'", nil
	case float64:
		return "'" + strconv.FormatFloat(v, 'g', -1, 64) + "'", nil
	case bool:
		return "'" + strconv.FormatBool(v) + "'", nil
	case time.Time:
		return "'" + string(pq.FormatTimestamp(v)) + "'", nil
	case []byte:
		return fmt.Sprintf(`'\x%x'`, v), nil
	case string:
		if strings.ContainsRune(v, 0) { // it would end the message
			return "", errors.New("postgres: a text with the character 0 is no argument")
		}
		return pq.QuoteLiteral(v), nil
	}
	return "", fmt.Errorf("postgres: an argument cannot be a %T", value)
}
