package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	"github.com/lib/pq"

	"pgp.internal/defender/cmd/defenderbench/internal/proc"
	"pgp.internal/defender/cmd/defenderbench/internal/report"
)

// server is the database server that everything happens on.
type server struct {
	url string
	db  *sql.DB
	pid int // of its first process; 0 when it runs on another machine
}

func openServer(ctx context.Context, address string) (*server, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return nil, errors.New("DATABASE_URL must be set, and be a URL such as postgres://user@host:5432/database; \"make bench\" brings a server along")
	}
	s := &server{url: address}
	if s.db, err = sql.Open("postgres", address); err != nil {
		return nil, errors.New("DATABASE_URL cannot be read")
	}
	return s, s.look(ctx)
}

// look makes sure that the account may do what is needed, and finds the server's process.
func (s *server) look(ctx context.Context) error {
	var super bool
	var backend int
	err := s.db.QueryRowContext(ctx, "select rolsuper, pg_backend_pid() from pg_roles where rolname = current_user").Scan(&super, &backend)
	switch {
	case err != nil:
		return fmt.Errorf("the database of DATABASE_URL does not answer: %w", err)
	case !super:
		return errors.New("the user of DATABASE_URL must be a superuser: the limits are measured without row-level security, and checkpoints are ordered")
	}
	// On another machine the number is of no process here, or of one with another name.
	if p, err := proc.Read(backend); err == nil && p.Name == "postgres" {
		s.pid = p.Parent
	}
	return nil
}

// settingsShown are the server settings that such figures depend on.
var settingsShown = []string{
	"fsync", "synchronous_commit", "full_page_writes", "wal_level", "wal_compression", "shared_buffers", "max_wal_size", "checkpoint_timeout", "work_mem",
	"maintenance_work_mem", "effective_cache_size", "max_worker_processes", "max_parallel_workers_per_gather", "jit", "shared_preload_libraries",
}

func (s *server) describe(ctx context.Context) (version string, settings []report.Setting, err error) {
	if err := s.db.QueryRowContext(ctx, "show server_version").Scan(&version); err != nil {
		return "", nil, err
	}
	for _, name := range settingsShown {
		var value string
		if err := s.db.QueryRowContext(ctx, "select current_setting($1)", name).Scan(&value); err != nil {
			return "", nil, err
		}
		settings = append(settings, report.Setting{Name: name, Value: value})
	}
	return version, settings, nil
}

// database is one that was made for a part of the benchmark.
type database struct {
	*server
	name string
	url  string
	db   *sql.DB
}

// create makes a fresh database; one that an earlier run left behind is dropped.
func (s *server) create(ctx context.Context, name string) (*database, error) {
	if err := s.drop(ctx, name); err != nil {
		return nil, err
	}
	if _, err := s.db.ExecContext(ctx, "create database "+pq.QuoteIdentifier(name)); err != nil {
		return nil, fmt.Errorf("create a database: %w", err)
	}
	u, err := url.Parse(s.url)
	if err != nil {
		return nil, err
	}
	u.Path = "/" + name
	d := &database{server: s, name: name, url: u.String()}
	d.db, err = sql.Open("postgres", d.url)
	return d, err
}

func (s *server) drop(ctx context.Context, name string) error {
	if _, err := s.db.ExecContext(ctx, "drop database if exists "+pq.QuoteIdentifier(name)+" with (force)"); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}

// remove drops the database, also after an interruption.
func (d *database) remove(ctx context.Context, keep bool) error {
	err := d.db.Close()
	if keep {
		return err
	}
	return errors.Join(err, d.drop(context.WithoutCancel(ctx), d.name))
}

// settle does now what the server would do by itself at some moment: clean up, count for the planner, write out.
func (d *database) settle(ctx context.Context) error {
	for _, statement := range []string{"vacuum (analyze)", "checkpoint"} {
		if _, err := d.db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// wal is the server's position, in bytes.
func (d *database) wal(ctx context.Context) (n int64, err error) {
	err = d.db.QueryRowContext(ctx, "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").Scan(&n)
	return n, err
}

// transaction is a number below that of every later transaction.
func (d *database) transaction(ctx context.Context) (n int64, err error) {
	err = d.db.QueryRowContext(ctx, "select pg_current_xact_id()::text::bigint & 4294967295").Scan(&n)
	return n, err
}

// findings counts the open findings of a tenant, and all those that were written after a transaction.
func (d *database) findings(ctx context.Context, tenant int32, after int64) (open, written int64, err error) {
	err = d.db.QueryRowContext(ctx, `
		select count(*) filter (where f.state = 1), count(*) filter (where f.xmin::text::bigint > $2) from finding f where f.tenant_id = $1`, tenant, after).
		Scan(&open, &written)
	return open, written, err
}

// weighed is how many rows the queue takes a tenant's import to have; 0 when it is none of the large ones, which leave a worker to others.
func (d *database) weighed(ctx context.Context, tenant int32) (rows int64, err error) {
	err = d.db.QueryRowContext(ctx, "select coalesce(max(report_rows), 0) from job where tenant_id = $1", tenant).Scan(&rows)
	return rows, err
}

// relations tells how much place the tables take, the largest first. Partitions without findings are left out.
func (d *database) relations(ctx context.Context) ([]report.Relation, error) {
	rows, err := d.db.QueryContext(ctx, `
		select c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid)
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = 'public' and c.relkind = 'r' and pg_table_size(c.oid) >= 1000000
		order by pg_total_relation_size(c.oid) desc`)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // its error is that of Err
	var list []report.Relation
	for rows.Next() {
		var r report.Relation
		if err := rows.Scan(&r.Name, &r.TableBytes, &r.IndexBytes); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}
