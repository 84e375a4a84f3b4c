package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
)

// stage is the working area of one run: temporary tables of one database session. They are invisible to everybody else
// and vanish with the session, so a killed process leaves nothing behind.
type stage struct {
	store       *Store
	conn        *sqlx.Conn
	job         job.Job
	integration connector.Integration
	sequence    int64
	remember    *guardDocument // what the running transaction has to write for the removal guard
}

// stageTables lists what the stage creates; see stagemachines.go and stagefindings.go for their columns.
const stageTables = `
	create temp table stage_machine (idx int not null, seq bigint not null, source_id text not null, reason text not null, survivor text not null,
	  public_id uuid, ` + sourceColumnTypes + `);
	create temp table changed_asset (asset_id bigint not null, hash bytea not null);
	create temp table stage_row (asset_id bigint not null, vulnerability_id int not null, software_id int not null, severity smallint not null,
	  source smallint not null, attack_vector smallint not null, reason smallint not null, first_seen bigint not null);
	create temp table stage_installation (asset_id bigint not null, software_id int not null, disk_paths text[] not null, registry_paths text[] not null);
	create temp table stage_remediation (software_id int not null, vulnerability_id int not null, update_text text not null, update_id text not null,
	  update_url text not null, update_ready boolean, exploitability text not null);
	create temp table stage_seen (asset_id bigint not null, seen_at timestamptz not null);`

// NewStage takes one connection out of the pool until Close.
func (s *Store) NewStage(ctx context.Context, j job.Job, i connector.Integration) (syncer.DataStage, error) {
	conn, err := s.db.Connx(ctx)
	if err != nil {
		return nil, classify(ctx, err)
	}
	st := &stage{store: s, conn: conn, job: j, integration: i}
	if _, err := conn.ExecContext(ctx, stageTables); err != nil {
		return nil, errors.Join(classify(ctx, err), st.Close())
	}
	return st, nil
}

// Close ends the session: a connection that held temporary tables is not handed to anybody else.
func (st *stage) Close() error {
	err := st.conn.Raw(func(any) error { return driver.ErrBadConn })
	if errors.Is(err, driver.ErrBadConn) {
		err = nil // asked for: it makes the pool drop the connection
	}
	return errors.Join(err, ignoreDone(st.conn.Close()))
}

func ignoreDone(err error) error {
	if errors.Is(err, driver.ErrBadConn) || connectionLost(err) {
		return nil
	}
	return err
}

// apply runs f in a transaction of the stage's session as the tenant, and commits only while the job's claim is held.
func (st *stage) apply(ctx context.Context, f func(*sqlx.Tx) error) error {
	tx, err := st.conn.BeginTxx(ctx, nil)
	if err != nil {
		return classify(ctx, err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("set local app.tenant_id = '%d'", st.job.Tenant)); err != nil {
		return classify(ctx, err)
	}
	st.remember = nil
	for _, step := range []func() error{
		func() error { return f(tx) },
		func() error { return st.writeGuard(ctx, tx) },
		func() error { return confirmClaim(ctx, tx, st.job) },
	} {
		if err := step(); err != nil {
			return classify(ctx, err)
		}
	}
	return classify(ctx, tx.Commit())
}

func (st *stage) copy(ctx context.Context, target string, write func(*copyWriter)) error {
	return classify(ctx, copyRows(ctx, st.conn, target, write))
}

// affected runs a statement and says how many rows it met.
func affected(ctx context.Context, tx *sqlx.Tx, query string, args ...any) (int64, error) {
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}
