package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/tenant"
)

// appRole is the database role the service acts as: it owns nothing and cannot bypass row-level security. The migrations
// create it.
const appRole = "defender_app"

// Options tune the pool. Requests and workers have a pool each, so that neither can starve the other.
type Options struct {
	MaxConns         int
	StatementTimeout time.Duration // longest a statement may run, and a transaction may sit idle
	LockTimeout      time.Duration
	// WaitFor is the longest wait for a free connection; reading and writing then never outlast the context of a statement either,
	// whatever the database does. 0 waits as long as the context allows, and for the database as long as a statement may run.
	WaitFor         time.Duration
	Serial          bool             // no statement takes processes beside its session's
	ApplicationName string           // shown in pg_stat_activity
	Actor           audit.Actor      // who answers for what is done under a context that names nobody; without, that is refused
	KeySeals        *tenant.KeySeals // make and recognise API keys; without, none can be made or used
	AuditKey        audit.Key        // seals the audit trail; without, its hashes tell accidents only
	Partitions      int              // how many tenants may have a partition of findings to themselves; the others share
	ChangesAtOnce   int64            // how many findings a statement of a run changes at most; by default a million
}

// ForRequests suits statements that answer an API request: waiting for a connection and for a frozen database together take less
// than 5 seconds. Requests share the processors with each other, so none takes several.
func ForRequests() Options {
	return Options{
		MaxConns: 20, StatementTimeout: 3 * time.Second, LockTimeout: 2 * time.Second, WaitFor: time.Second, Serial: true, ApplicationName: "defenderd http",
	}
}

// ForWork suits runs, whose single statements may move millions of rows.
func ForWork() Options {
	return Options{MaxConns: 20, StatementTimeout: 10 * time.Minute, LockTimeout: 10 * time.Second, ApplicationName: "defenderd work", Partitions: 1000}
}

// ForOperator suits commands, some of which read or move all that a tenant has.
func ForOperator() Options {
	o := ForWork()
	o.MaxConns, o.ApplicationName = 2, "defenderd operator"
	return o
}

// Store is the database as the application sees it. Every method that touches a tenant's data takes the tenant first.
type Store struct {
	db            *sqlx.DB
	log           *slog.Logger
	partitions    int
	changesAtOnce int64
	actor         audit.Actor
	auditKey      audit.Key
	keySeals      *tenant.KeySeals
	publicIDs     sync.Map // tenant.ID to uuid.UUID, for good once known
	places        places
	limits        listLimits
}

// Open connects as the application role. dsn is a PostgreSQL URL or key=value string whose user must be a member of that
// role (the one that migrates is). The schema must be migrated already.
func Open(ctx context.Context, dsn string, o Options, log *slog.Logger) (*Store, error) {
	connector, err := newConnector(dsn, o)
	if err != nil {
		return nil, err
	}
	db := sqlx.NewDb(sql.OpenDB(connector), "postgres")
	db.SetMaxOpenConns(o.MaxConns)
	db.SetMaxIdleConns(o.MaxConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("connect to PostgreSQL as role %s: %w", appRole, err)
	}
	return &Store{
		db: db, log: log, partitions: o.Partitions, changesAtOnce: cmp.Or(o.ChangesAtOnce, changesAtOnce), actor: o.Actor, auditKey: o.AuditKey, keySeals: o.KeySeals,
		places: newPlaces(o), limits: usualLimits,
	}, nil
}

// Close ends all connections.
func (s *Store) Close() error { return s.db.Close() }

// DB gives the pool for metrics only.
func (s *Store) DB() *sql.DB { return s.db.DB }

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.db.PingContext(ctx) }

// ReadOnly tells whether the database takes no changes from this store: it is a standby, or set to reading only.
func (s *Store) ReadOnly(ctx context.Context) (readOnly bool, err error) {
	err = s.getRow(ctx, &readOnly, `select current_setting('transaction_read_only')::boolean`)
	return readOnly, classify(ctx, err)
}

// inTenant runs f in a transaction that sees one tenant's rows only.
func (s *Store) inTenant(ctx context.Context, id tenant.ID, f func(*sqlx.Tx) error) error {
	return s.inTx(ctx, tenantScope(id), f)
}

// inSnapshot is inTenant with every statement seeing the same, for reads of which one goes on where another ended.
func (s *Store) inSnapshot(ctx context.Context, id tenant.ID, f func(*sqlx.Tx) error) error {
	return s.inTx(ctx, tenantScope(id)+"; set transaction isolation level repeatable read", f)
}

// tenantScope lets a transaction see one tenant's rows only. The value is a number, so it is safe in the text.
func tenantScope(id tenant.ID) string { return fmt.Sprintf("set local app.tenant_id = '%d'", id) }

// inSystem runs f in a transaction that looks across tenants on the few tables whose policy allows it. Its callers are
// the look-up of API keys, the queue, the scheduler, metrics and the operator's commands.
func (s *Store) inSystem(ctx context.Context, f func(*sqlx.Tx) error) error {
	return s.inTx(ctx, "set local app.system = 'on'", f)
}

func (s *Store) inTx(ctx context.Context, scope string, f func(*sqlx.Tx) error) error {
	leave, err := s.places.take(ctx)
	if err != nil {
		return err
	}
	defer leave() // after the connection has been given back
	tx, err := s.db.BeginTxx(withScope(ctx, scope), nil)
	if err != nil {
		return classify(ctx, err)
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	if err := f(tx); err != nil {
		return classify(ctx, err)
	}
	return classify(ctx, tx.Commit())
}

// getRow reads one row outside of a transaction.
func (s *Store) getRow(ctx context.Context, row any, query string, args ...any) error {
	leave, err := s.places.take(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return s.db.GetContext(ctx, row, query, args...)
}

// exec carries out one statement outside of a transaction.
func (s *Store) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	leave, err := s.places.take(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return s.db.ExecContext(ctx, query, args...)
}

// classify turns what the driver reports into what callers can act on: the context's own error when the context ended
// (the driver reports SQLSTATE 57014 instead), unavailable when the database is away or overloaded, with job.ErrTimedOut when it
// broke the statement off, read_only when it takes no changes, and the error itself otherwise. Faults pass through untouched.
func classify(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	if connectionLost(err) {
		return unavailable(err)
	}
	var pqErr *pq.Error
	if !errors.As(err, &pqErr) {
		return err
	}
	if pqErr.Code == "57014" { // query_canceled, and not by the context
		return unavailable(fmt.Errorf("%w: %w", job.ErrTimedOut, err))
	}
	switch pqErr.Code.Class() {
	case "08", "53", "57", "58": // connection, resources (disk, memory, connections), operator intervention, system
		return unavailable(err)
	}
	switch pqErr.Code {
	case "DK001": // raised by sealed_with_stored_key: the data key was replaced between sealing and storing
		return fault.Wrap(err, fault.CodeUnavailable, "the key that seals secrets was replaced just now")
	case "DK002": // raised by tenant_takes: since then no credential of the tenant is good
		return fault.Wrap(err, fault.CodeUnauthenticated, "the tenant was suspended just now, or is being deleted")
	case "25006": // read_only_sql_transaction: a standby, or a database or role that is set to reading only
		e := fault.Wrap(err, fault.CodeReadOnly, "")
		e.RetryAfter = 30 * time.Second // as long as a promotion may take
		return e
	case "55P03", "40P01", "40001": // lock_not_available, deadlock_detected, serialization_failure: gone at the next try
		return unavailable(err)
	}
	return err
}

// connectionLost recognises errors that carry no SQLSTATE because no server was there to give one.
func connectionLost(err error) bool {
	var netErr net.Error
	var lost lostConnection
	return errors.As(err, &lost) || errors.As(err, &netErr) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func unavailable(err error) error {
	e := fault.Wrap(err, fault.CodeUnavailable, "the database did not answer as it should")
	e.RetryAfter = 5 * time.Second
	return e
}

// violates reports whether err is a unique or exclusion violation of the named constraint or index.
func violates(err error, constraint string) bool {
	var pqErr *pq.Error
	return errors.As(err, &pqErr) && pqErr.Code == "23505" && pqErr.Constraint == constraint
}

// notFound turns the driver's empty result into the fault that callers know.
func notFound(err error, what string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(fault.CodeNotFound, "there is no such "+what)
	}
	return err
}

// nullTime stores the zero time as NULL.
func nullTime(t time.Time) sql.NullTime { return sql.NullTime{Time: t, Valid: !t.IsZero()} }

// utc reads a nullable time back: NULL becomes the zero time.
func utc(t sql.NullTime) time.Time {
	if !t.Valid {
		return time.Time{}
	}
	return t.Time.UTC()
}
