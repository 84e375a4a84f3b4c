package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"
)

// A worker that was frozen, or cut off from the database, keeps what its session has locked: no timeout of PostgreSQL ends a
// COPY that waits for its client. So the session of a stage carries the name of its claim, and whoever holds the claim after it
// ends that session before opening a stage.

// importing begins the names of stages' sessions: with the numbers of tenant, job and claim they are seen in pg_stat_activity.
const importing = "defenderd import "

// endWithin bounds the wait for one session's end, in milliseconds. It is the time of a rollback, which undoes nothing.
const endWithin = 5000

// claimed names the session after its claim and ends those of claims that the tenant has lost. The name comes first: who is
// stopped before it finds its own claim lost afterwards, who is stopped behind it is found. It fails with ErrLeaseLost unless
// the claim is still this one, so that a worker that wakes up late ends nobody.
func (st *stage) claimed(ctx context.Context) error {
	name := fmt.Sprintf("%s%d/%d/%d", importing, st.job.Tenant, st.job.ID, st.job.Fence)
	if _, err := st.conn.ExecContext(ctx, `select set_config('application_name', $1, false)`, name); err != nil {
		return err
	}
	tx, err := st.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	if err := confirmClaim(ctx, tx, st.job); err != nil {
		return err
	}
	lost, err := st.lostSessions(ctx, tx)
	if err != nil || len(lost) == 0 {
		return errors.Join(err, tx.Commit())
	}
	// To end a session takes the rights of the role that signed in, which is the same for all processes of an installation.
	if _, err := tx.ExecContext(ctx, `set local role none`); err != nil {
		return err
	}
	for _, s := range lost {
		if err := st.end(ctx, tx, s); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// lostSession is a session of a claim that is not held any more.
type lostSession struct {
	PID  int    `db:"pid"`
	Name string `db:"name"`
}

func (st *stage) lostSessions(ctx context.Context, tx *sqlx.Tx) (lost []lostSession, err error) {
	err = tx.SelectContext(ctx, &lost, `
		select s.pid, s.application_name as name
		from pg_stat_activity s, regexp_match(s.application_name, '^' || $2::text || '/(\d{1,18})/(\d{1,18})$') claim
		where s.datname = current_database() and s.pid <> pg_backend_pid() and claim is not null and not exists (
		  select from job j where j.tenant_id = $1 and j.id = claim[1]::bigint and j.fence = claim[2]::bigint and j.state = 'running')`,
		st.job.Tenant, fmt.Sprintf("%s%d", importing, st.job.Tenant))
	return lost, err
}

// end ends one session and says so. It looks for the name again, because another session may have got the number meanwhile.
// What may not be ended is left to an operator: the run goes on, and tells if that session is in its way.
func (st *stage) end(ctx context.Context, tx *sqlx.Tx, s lostSession) error {
	log := st.job.Named(st.store.log).With("pid", s.PID, "session", s.Name)
	var outcome string
	err := tx.GetContext(ctx, &outcome, `
		select case when not pg_has_role(usesysid, 'usage') then 'forbidden' when pg_terminate_backend(pid, $3) then 'ended' else 'pending' end
		from pg_stat_activity where pid = $1 and application_name = $2 and datname = current_database()`, s.PID, s.Name, endWithin)
	switch {
	case errors.Is(err, sql.ErrNoRows): // it has ended by itself
		return nil
	case err != nil:
		return err
	case outcome == "ended":
		log.Warn("ended the database session of a worker that lost its claim: it was stopped, or cut off from the database")
	case outcome == "pending":
		log.Warn("the database session of a worker that lost its claim does not end yet; what it holds may hold up this run")
	default:
		log.Error("the database session of a worker that lost its claim was signed in by another user and may not be ended; what it holds may hold up this run")
	}
	return nil
}
