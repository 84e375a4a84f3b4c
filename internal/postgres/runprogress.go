package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// nextRun plans a run one interval ahead, give or take five per cent.
func nextRun(now time.Time, intervalHours int) time.Time {
	interval := time.Duration(intervalHours) * time.Hour
	return now.Add(interval - interval/20 + rand.N(interval/10))
}

// Transactions lock rows in the order integration, job, run: a worker that records something and a person who cancels or
// disconnects at the same moment wait for each other and never in a circle. The large transactions of a stage lock the
// integration and the job only at their end.

// BeginRun marks the run of a claimed job as running and reads it. A run that has ended already is returned as it is.
func (s *Store) BeginRun(ctx context.Context, j job.Job) (run syncer.Run, err error) {
	err = s.inTenant(ctx, j.Tenant, func(tx *sqlx.Tx) error {
		if err := confirmClaim(ctx, tx, j); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
			update run set state = 'running', started_at = coalesce(started_at, now()), updated_at = now()
			where tenant_id = $1 and id = $2 and state in ('queued', 'running')`, j.Tenant, j.RunID)
		if err != nil {
			return err
		}
		run, err = readRun(ctx, tx, j.Tenant, j.Subject)
		return err
	})
	return run, err
}

// SaveProgress stores what a running run tells about itself.
func (s *Store) SaveProgress(ctx context.Context, j job.Job, stage syncer.Stage, report syncer.Report) error {
	body, err := json.Marshal(report)
	if err != nil {
		return err
	}
	return s.inTenant(ctx, j.Tenant, func(tx *sqlx.Tx) error {
		if err := confirmClaim(ctx, tx, j); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
			update run set stage = $3, report = $4::jsonb || `+applied+`, updated_at = now() where tenant_id = $1 and id = $2`, j.Tenant, j.RunID, stage, string(body))
		return err
	})
}

// applied is what a report keeps, whatever it is replaced by: which stage's changes are committed.
const applied = `jsonb_strip_nulls(jsonb_build_object('Applied', report -> 'Applied'))`

// noteApplied keeps with a run that changes of a stage are committed. It is part of their transaction: the report of a worker that
// died or was refused right behind it does not have them, and whoever ends the run then must not say that nothing was changed.
func noteApplied(ctx context.Context, tx *sqlx.Tx, j job.Job, of syncer.Stage) error {
	_, err := tx.ExecContext(ctx, `
		update run set report = report || jsonb_build_object('Applied', $3::text)
		where tenant_id = $1 and id = $2 and report ->> 'Applied' is distinct from $4`, j.Tenant, j.RunID, of, syncer.StageVulnerabilities)
	return err
}

// RequeueRun puts a run whose process is stopping, or has no place for it, back into the queue's state, so that nothing looks busy
// that is not. One that is untouched has stored nothing and counts as never started.
func (s *Store) RequeueRun(ctx context.Context, j job.Job, untouched bool) error {
	return s.inTenant(ctx, j.Tenant, func(tx *sqlx.Tx) error {
		if err := confirmClaim(ctx, tx, j); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
			update run set state = 'queued', stage = 'queued', report = `+applied+`, updated_at = now(),
			               started_at = case when $3 then null else started_at end
			where tenant_id = $1 and id = $2 and state = 'running'`, j.Tenant, j.RunID, untouched)
		return err
	})
}

// readingColumn is a reading as it is stored; nothing for none.
func readingColumn(r *syncer.Reading) (sql.NullString, error) {
	if r == nil {
		return sql.NullString{}, nil
	}
	body, err := json.Marshal(r)
	return sql.NullString{String: string(body), Valid: true}, err
}

// Reading gives what the last runs of an integration remembered of how they read the report.
func (s *Store) Reading(ctx context.Context, t tenant.ID, integration int64) (r syncer.Reading, err error) {
	var body []byte
	err = s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &body, `select reading from integration where tenant_id = $1 and id = $2`, t, integration)
	})
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(body, &r)
}

// FailuresInARow is how many runs of an integration failed since the last success.
func (s *Store) FailuresInARow(ctx context.Context, j job.Job, integration int64) (n int, err error) {
	err = s.inTenant(ctx, j.Tenant, func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &n, `select failures from integration where tenant_id = $1 and id = $2`, j.Tenant, integration)
	})
	return n, err
}

// Estimates gives what the last complete run of an integration fetched, by stage. The catalogue is left out: how much of it
// is read depends on its age.
func (s *Store) Estimates(ctx context.Context, t tenant.ID, integration int64) (map[syncer.Stage]int64, error) {
	var body []byte
	err := s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &body, `
			select report from run where tenant_id = $1 and integration_id = $2 and kind = 'sync' and state = 'succeeded' and preview is null
			order by id desc limit 1`, t, integration)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var report syncer.Report
	if err := json.Unmarshal(body, &report); err != nil {
		return nil, err
	}
	estimates := map[syncer.Stage]int64{}
	for _, stage := range report.Stages {
		if stage.Name != syncer.StageCatalogue {
			estimates[stage.Name] = stage.Counts.Fetched
		}
	}
	return estimates, nil
}
