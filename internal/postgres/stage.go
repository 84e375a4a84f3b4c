package postgres

import (
	"context"
	"database/sql/driver"
	"errors"

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
	asked       bool         // whether findings may be loaded; see beginLoad
	load        *load        // of the tenant's first findings
	doubt       string       // raised by the running transaction: why the next reading has to be whole
	relist      bool         // and whether the next list of machines has to be
	remember    *remembrance // what the running transaction has to write for the removal guard
	preview     bool         // everything is taken back at the end
	whole       *sqlx.Tx     // of a preview: from when all is read to the end
	again       *replay      // of a preview: what its transaction begins with
}

// stageTables lists what the stage creates; see stagemachines.go and stagefindings.go for their columns. What is looked up by assets has an index: the
// planner may know next to nothing of how many assets the tenant has; see inSets.
const stageTables = `
	create temp table stage_machine (idx int not null, seq bigint not null, source_id text not null, reason text not null, survivor text not null,
	  public_id uuid, ` + sourceColumnTypes + `, words text[]);
	create temp table changed_asset (asset_id bigint not null, hash bytea not null, parts int not null, open_unknown int not null, open_low int not null,
	  open_medium int not null, open_high int not null, open_critical int not null);
	create temp table incoming_finding (asset_id bigint not null, vulnerability_id int not null, software_ids int[] not null,
	  severity smallint not null, source smallint not null, attack_vector smallint not null, first_seen_at timestamptz not null);
	create temp table incoming_change (asset_id bigint not null, vulnerability_id int not null, software_ids int[] not null, severity smallint not null,
	  source smallint not null, attack_vector smallint not null, first_seen_at timestamptz not null, gone int[] not null, reason smallint not null);
	create temp table rejected (asset_id bigint not null, vulnerability_id int not null, reason smallint not null);
	create temp table stage_installation (asset_id bigint not null, software_ids int[] not null, location_ids bigint[] not null);
	create temp table stage_location (id bigint not null, disk_paths text[] not null, registry_paths text[] not null);
	create temp table stage_remediation (software_id int not null, vulnerability_id int not null, update_text text not null, update_id text not null,
	  update_url text not null, update_ready boolean, exploitability text not null, changed_at bigint not null);
	create temp table stage_seen (asset_id bigint not null, seen_at timestamptz not null);
	create index on changed_asset (asset_id);
	create index on stage_seen (asset_id);
	create index on stage_installation (asset_id);
	create temp table renewed (asset_id bigint not null, words text[] not null);
	create index on renewed (asset_id);
	create temp table kept_asset (asset_id bigint not null, why text not null);
	create temp table withheld (asset_id bigint not null, vulnerability_id int not null, refused boolean not null, gone boolean not null,
	  since timestamptz not null, held_as smallint not null, known boolean not null);
	create index on kept_asset (asset_id);
	create index on withheld (asset_id, vulnerability_id);`

// NewStage takes one connection out of the pool until Close, and ends the session of a worker that held the claim before. It
// fails with job.ErrLeaseLost if the claim is not held any more.
func (s *Store) NewStage(ctx context.Context, j job.Job, i connector.Integration, preview bool) (syncer.DataStage, error) {
	conn, err := s.db.Connx(ctx)
	if err != nil {
		return nil, classify(ctx, err)
	}
	st := &stage{store: s, conn: conn, job: j, integration: i, preview: preview}
	if err := st.claimed(ctx); err != nil {
		return nil, errors.Join(classify(ctx, err), st.Close())
	}
	if _, err := conn.ExecContext(ctx, stageTables); err != nil {
		return nil, errors.Join(classify(ctx, err), st.Close())
	}
	return st, nil
}

// Close ends the session: a connection that held temporary tables is not handed to anybody else.
func (st *stage) Close() error {
	if st.load != nil {
		_ = st.load.tx.Rollback() // ending the session does the same
		st.load = nil
	}
	if st.whole != nil {
		_ = st.whole.Rollback() // ending the session does the same
		st.whole = nil
	}
	err := st.conn.Raw(func(any) error { return driver.ErrBadConn }) // it makes the pool drop the connection
	return errors.Join(ignoreDone(err), ignoreDone(st.conn.Close()))
}

func ignoreDone(err error) error {
	if errors.Is(err, driver.ErrBadConn) || connectionLost(err) {
		return nil
	}
	return err
}

// begin opens a transaction of the stage's session as the tenant. A preview has one for all, which is never committed.
func (st *stage) begin(ctx context.Context) (tx *sqlx.Tx, err error) {
	if !st.preview {
		return st.open(ctx)
	}
	if st.whole == nil {
		err = st.beginWhole(ctx)
	}
	return st.whole, err
}

func (st *stage) open(ctx context.Context) (*sqlx.Tx, error) {
	return st.conn.BeginTxx(withScope(ctx, tenantScope(st.job.Tenant)), nil)
}

// apply runs f in a transaction, the one of a load if there is any, and commits only while the job's claim is held. With the
// changes the run has of which stage they are.
func (st *stage) apply(ctx context.Context, of syncer.Stage, f func(*sqlx.Tx) error) error {
	settle := st.rememberReading
	if st.load != nil {
		settle = st.attachTable
	}
	tx, err := st.transaction(ctx)
	if err != nil {
		return classify(ctx, err)
	}
	if st.preview { // no claim is needed to write nothing, and its row would stay locked
		return classify(ctx, f(tx))
	}
	defer func() { _ = tx.Rollback() }()
	st.remember, st.doubt, st.relist = nil, "", false
	for _, step := range []func() error{
		func() error { return f(tx) },
		func() error { return settle(ctx, tx) },
		func() error { return confirmClaim(ctx, tx, st.job) },
		func() error { return noteApplied(ctx, tx, st.job, of) },
	} {
		if err := step(); err != nil {
			return classify(ctx, err)
		}
	}
	return classify(ctx, tx.Commit())
}

// transaction gives the one of the running load, which ends with it, or a new one.
func (st *stage) transaction(ctx context.Context) (*sqlx.Tx, error) {
	if st.load == nil {
		return st.begin(ctx)
	}
	tx := st.load.tx
	st.load = nil
	return tx, nil
}

// copy runs one COPY, in the load's transaction or in its own.
func (st *stage) copy(ctx context.Context, target string, write func(*copyWriter)) error {
	if st.load != nil || st.whole != nil {
		return classify(ctx, copyInside(ctx, st.conn, "copy "+target+" from stdin", write))
	}
	return classify(ctx, copyRows(ctx, st.conn, target, write))
}

// inSets has the planner join by hashes and merges while write works, which goes through all or many of the tenant's assets. Of a tenant whose assets have
// come since the statistics were made it expects a single one, and would look through the others, or through what was staged, once for each: 2,000
// machines in the shared partitions took 12 s to recount, and 6,000 took 92 s.
func inSets(ctx context.Context, tx *sqlx.Tx, write func() error) error {
	if _, err := tx.ExecContext(ctx, `set local enable_nestloop = 'off'`); err != nil {
		return err
	}
	if err := write(); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `set local enable_nestloop = 'on'`)
	return err
}

// lookupTable makes a table of a query, until the transaction ends, and tells how many rows it has. They are looked up by one column, which has the
// only index there is: of a tenant for which a single asset or finding is expected all indexes of the tenant's own tables seem alike to the planner, and
// it goes through one by other columns, or through the table, for each.
func lookupTable(ctx context.Context, tx *sqlx.Tx, name, column, query string, args ...any) (int64, error) {
	rows, err := affected(ctx, tx, "create temp table "+name+" on commit drop as "+query, args...)
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, "create index on "+name+" ("+column+"); analyze "+name)
	return rows, err
}

// affected runs a statement and says how many rows it met.
func affected(ctx context.Context, tx *sqlx.Tx, query string, args ...any) (int64, error) {
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}
