package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// CancelRun ends a queued run at once and asks a running one to end; a finished one is left as it is.
func (s *Store) CancelRun(ctx context.Context, t tenant.ID, id uuid.UUID) (run syncer.Run, err error) {
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		if run, err = readRun(ctx, tx, t, id); err != nil {
			return err
		}
		if run.State.Final() {
			return nil
		}
		link, err := lockLink(ctx, tx, t, run.IntegrationID)
		if err != nil {
			return notFound(err, "run")
		}
		if run, err = readRun(ctx, tx, t, id); err != nil || run.State.Final() { // it may have ended while the link was waited for
			return err
		}
		before := run.State
		if err := cancelRun(ctx, tx, t, run.ID); err != nil {
			return err
		}
		if run, err = readRun(ctx, tx, t, id); err != nil {
			return err
		}
		if run.State == syncer.Cancelled && link.askedMeanwhile(&run, &syncer.Consequence{}) {
			_, err := tx.ExecContext(ctx, `update integration set next_run_at = least(next_run_at, now()) where tenant_id = $1 and id = $2 and next_run_at is not null`, t, run.IntegrationID)
			if err != nil {
				return err
			}
		}
		return s.recordCancel(ctx, tx, t, before, &run)
	})
	return run, err
}

// CancelActiveRun is CancelRun for the import an integration has in progress, if any. A purge goes on.
func (s *Store) CancelActiveRun(ctx context.Context, t tenant.ID, integration uuid.UUID) error {
	return s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		var link int64 // as CancelRun, it waits for a run that is just ending
		err := tx.GetContext(ctx, &link, `select id from integration where tenant_id = $1 and public_id = $2 for no key update`, t, integration)
		var active activeRun
		if err == nil {
			err = tx.GetContext(ctx, &active, `
				select id, public_id, state from run
				where tenant_id = $1 and integration_id = $2 and kind = 'sync' and state in ('queued', 'running', 'cancelling')`, t, link)
		}
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := cancelRun(ctx, tx, t, active.ID); err != nil {
			return err
		}
		run, err := readRun(ctx, tx, t, active.PublicID)
		if err != nil {
			return err
		}
		return s.recordCancel(ctx, tx, t, syncer.RunState(active.State), &run)
	})
}

// recordCancel notes that a run was cancelled, unless it had been before.
func (s *Store) recordCancel(ctx context.Context, tx *sqlx.Tx, t tenant.ID, before syncer.RunState, run *syncer.Run) error {
	if run.State == before {
		return nil
	}
	return s.record(ctx, tx, t, deed{
		action: audit.RunCancelled, resource: on(tenant.RunPrefix, run.PublicID), changes: audit.Diff(nil, "state", before, run.State),
	})
}

func cancelRun(ctx context.Context, tx *sqlx.Tx, t tenant.ID, id int64) error {
	// The job's row decides the race with a worker that is just claiming it.
	waiting, err := affected(ctx, tx, `delete from job where tenant_id = $1 and run_id = $2 and state = 'queued'`, t, id)
	if err != nil {
		return err
	}
	if waiting > 0 {
		return endRunCancelled(ctx, tx, t, id)
	}
	if _, err := tx.ExecContext(ctx, `update job set cancel_requested = true where tenant_id = $1 and run_id = $2`, t, id); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		update run set state = 'cancelling', updated_at = now()
		where tenant_id = $1 and id = $2 and state in ('queued', 'running')`, t, id)
	return err
}

// endRunCancelled records the end of a run that no worker will record, by what the last one told and committed.
func endRunCancelled(ctx context.Context, tx *sqlx.Tx, t tenant.ID, id int64) error {
	var row runRow
	if err := tx.GetContext(ctx, &row, runQuery+` where r.tenant_id = $1 and r.id = $2 for no key update of r`, t, id); err != nil {
		return err
	}
	run, err := row.run()
	if err != nil {
		return err
	}
	run.Cancel()
	report, err := json.Marshal(run.Report)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		update run set state = 'cancelled', finished_at = now(), updated_at = now(), report = $3
		where tenant_id = $1 and id = $2 and state in ('queued', 'running', 'cancelling')`, t, id, string(report))
	return err
}

// endActiveRun ends a run at once, whatever its worker does: without its job row the worker can no longer write. It gives what is to
// be recorded of that, if there was one.
func endActiveRun(ctx context.Context, tx *sqlx.Tx, t tenant.ID, integration int64) (ended []deed, err error) {
	var run activeRun
	err = tx.GetContext(ctx, &run, `
		select id, public_id, state from run where tenant_id = $1 and integration_id = $2 and state in ('queued', 'running', 'cancelling')`, t, integration)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, `delete from job where tenant_id = $1 and run_id = $2 and kind = $3`, t, run.ID, job.Sync); err != nil {
		return nil, err
	}
	return []deed{run.ended()}, endRunCancelled(ctx, tx, t, run.ID)
}

// activeRun is a run that is still to end.
type activeRun struct {
	ID       int64     `db:"id"`
	PublicID uuid.UUID `db:"public_id"`
	State    string    `db:"state"`
}

// ended is that it was ended together with what it belongs to.
func (r *activeRun) ended() deed {
	return deed{
		action: audit.RunCancelled, resource: on(tenant.RunPrefix, r.PublicID), changes: audit.Diff(nil, "state", r.State, string(syncer.Cancelled)),
	}
}
