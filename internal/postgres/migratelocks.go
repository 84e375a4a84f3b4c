package postgres

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4/database"
	migratepg "github.com/golang-migrate/migrate/v4/database/postgres"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/fault"
)

// patience is how a migration waits for locks: for a moment, because whoever wants the table afterwards waits behind it, and often.
type patience struct {
	wait  time.Duration // for one lock
	pause time.Duration // in which everybody else goes on
	tries int
}

// usualPatience waits longer than the server takes to look for a deadlock (1 s), by which an autovacuum in the way is ended, and less
// than requests wait for a lock ([ForRequests]): they are late, and none fails. In all it takes a minute or somewhat more.
var usualPatience = patience{wait: 1500 * time.Millisecond, pause: 2 * time.Second, tries: 20}

// patientDriver carries out migrations without holding anybody up for long. It has the connection of the driver in it.
type patientDriver struct {
	database.Driver
	ctx      context.Context
	conn     *sql.Conn
	patience patience
	clean    int // the version at which the schema stands if the migration under way is undone
}

// newPatientDriver takes a connection of db, which Close gives back.
func newPatientDriver(ctx context.Context, db *sql.DB, p patience) (*patientDriver, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	inner, err := migratepg.WithConnection(ctx, conn, &migratepg.Config{})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the migration table: %w", withoutQuery(err)), conn.Close())
	}
	return &patientDriver{Driver: inner, ctx: ctx, conn: conn, patience: p, clean: database.NilVersion}, nil
}

// Lock waits for other migrations to end, and bounds the waiting for any other lock from then on.
func (d *patientDriver) Lock() error {
	if err := d.Driver.Lock(); err != nil {
		return err
	}
	_, err := d.conn.ExecContext(d.ctx, fmt.Sprintf("set lock_timeout = '%dms'", d.patience.wait.Milliseconds()))
	return err
}

// Version tells where the schema stands.
func (d *patientDriver) Version() (version int, dirty bool, err error) {
	version, dirty, err = d.Driver.Version()
	if err == nil && !dirty {
		d.clean = version
	}
	return version, dirty, err
}

// SetVersion notes where the schema stands.
func (d *patientDriver) SetVersion(version int, dirty bool) error {
	err := d.patiently(func() error { return d.Driver.SetVersion(version, dirty) })
	if lockRefused(err) {
		return d.blocked(err)
	}
	if err == nil && !dirty {
		d.clean = version
	}
	return err
}

// Run carries out a migration. One that does not get its locks is undone by the server as a whole, so it leaves no mark.
func (d *patientDriver) Run(migration io.Reader) error {
	text, err := io.ReadAll(migration)
	if err != nil {
		return err
	}
	err = d.patiently(func() error { return d.Driver.Run(bytes.NewReader(text)) })
	if !lockRefused(err) {
		return err
	}
	told := d.blocked(err)
	if err := d.patiently(func() error { return d.Driver.SetVersion(d.clean, false) }); err != nil {
		return errors.Join(told, withoutQuery(err))
	}
	return told
}

// patiently tries again while a lock is refused.
func (d *patientDriver) patiently(try func() error) (err error) {
	for n := range d.patience.tries {
		if n > 0 {
			select {
			case <-d.ctx.Done():
				return errors.Join(err, d.ctx.Err())
			case <-time.After(d.patience.pause):
			}
		}
		if err = try(); !lockRefused(err) {
			return err
		}
	}
	return err
}

func lockRefused(err error) bool {
	var refused *pq.Error
	return errors.As(withoutQuery(err), &refused) && (refused.Code == "55P03" || refused.Code == "40P01") // lock_not_available, deadlock_detected
}

// blocked says who holds tables of this database, the longest first.
func (d *patientDriver) blocked(err error) error {
	holders, lookErr := d.holders()
	if lookErr != nil {
		err = errors.Join(err, lookErr)
	}
	who := "whoever held them has gone"
	if len(holders) > 0 {
		who = "tables are held by " + strings.Join(holders, ", ")
	}
	e := fault.Wrap(withoutQuery(err), fault.CodeUnavailable, fmt.Sprintf(
		"the schema stays at version %d, because the next migration did not get its locks in %d tries: %s. "+
			"Wait for them or end them (select pg_terminate_backend(PID)), then migrate again", max(d.clean, 0), d.patience.tries, who))
	e.RetryAfter = time.Minute
	return e
}

func (d *patientDriver) holders() (list []string, err error) {
	rows, err := d.conn.QueryContext(d.ctx, `
		select format('process %s (%s, %s, since %s)', a.pid, coalesce(nullif(a.application_name, ''), a.backend_type, 'unnamed'),
		  coalesce(a.usename, 'of the server'), coalesce(to_char(a.xact_start at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'unknown'))
		from pg_stat_activity a
		where a.pid <> pg_backend_pid() and exists (
		  select from pg_locks l join pg_database o on o.oid = l.database
		  where l.pid = a.pid and l.granted and l.locktype = 'relation' and l.relation >= 16384 and o.datname = current_database())
		order by a.xact_start limit 3`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var holder string
		if err := rows.Scan(&holder); err != nil {
			return nil, err
		}
		list = append(list, holder)
	}
	return list, rows.Err()
}
