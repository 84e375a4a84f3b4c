package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
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

// FinishRun records the end of a run and what it means for its integration, in one transaction.
func (s *Store) FinishRun(ctx context.Context, j job.Job, run syncer.Run, c syncer.Consequence) error {
	body, err := json.Marshal(run.Report)
	if err != nil {
		return err
	}
	reading, err := readingColumn(c.Reading)
	if err != nil {
		return err
	}
	return s.inTenant(ctx, j.Tenant, func(tx *sqlx.Tx) error {
		// A pause or a disconnection that came meanwhile is stronger than what the run found. A secret that was replaced
		// meanwhile had been tried: what the old one met is no finding about the link, and the new one gets its run soon.
		var replaced bool
		var interval int
		var held guardColumn
		var before struct{ state, reason string }
		err := tx.QueryRowxContext(ctx, `
			select secret_updated_at > $3::timestamptz, interval_hours, guard, state, state_reason from integration where tenant_id = $1 and id = $2 for no key update`,
			j.Tenant, run.IntegrationID, c.SecretOf).Scan(&replaced, &interval, &held, &before.state, &before.reason)
		if errors.Is(err, sql.ErrNoRows) { // gone with its tenant, and the job with it
			return job.ErrLeaseLost
		}
		if err != nil {
			return err
		}
		if replaced && c.Failed && !c.SecretOf.IsZero() {
			c = syncer.Consequence{RetryAt: time.Now()}
		}
		// A success takes back the early retry that a failure before it had planned; what is due already was asked for. So was what the scheduler
		// has put off since, because it met this run: by other settings, or by an approval that this run did not know and has not gone through with. Microsoft is not asked sooner than it wants for any of that.
		var after struct{ state, reason string }
		err = tx.QueryRowxContext(ctx, `
			update integration set
			  state = case when state in ('paused', 'disconnecting', 'disconnected') or $3 = '' then state else $3 end,
			  state_reason = case when state in ('paused', 'disconnecting', 'disconnected') or $3 = '' then state_reason else $4 end,
			  state_notice = case when state in ('paused', 'disconnecting', 'disconnected') or $3 = '' then state_notice else $13 end,
			  secret_expired_at = case when $4 = $10 then coalesce(secret_expired_at, now()) when $14 then null else secret_expired_at end,
			  secret_warned = case when $14 and $4 <> $10 and secret_expired_at is not null then null else secret_warned end,
			  recheck_at = case when $3 = 'action_required' then least(recheck_at, now() + `+recheckBroken+`) else recheck_at end,
			  reading = coalesce($9, reading),
			  failures = case when $5 then failures + 1 when $6 then 0 else failures end,
			  last_success_at = case when $6 then now() else last_success_at end,
			  next_run_at = case when next_run_at is null then null
			    when $12::jsonb is not null and settings <> $12::jsonb or $15 and coalesce(nullif($3, ''), state) in ('active', 'degraded') then greatest(least(next_run_at, now()), $16::timestamptz)
			    when $6 and failures > 0 and next_run_at > now() then $8::timestamptz
			    when next_run_at > now() then greatest(least(next_run_at, $7::timestamptz), $11::timestamptz, $16::timestamptz)
			    else greatest(least(next_run_at, $7::timestamptz), $16::timestamptz) end
			where tenant_id = $1 and id = $2
			returning state, state_reason`,
			j.Tenant, run.IntegrationID, c.State, c.Reason, c.Failed || c.Unfinished, c.Succeeded, nullTime(c.RetryAt), nextRun(time.Now(), interval), reading,
			fault.CodeSecretExpired, nullTime(c.NotBefore), judgedBy(c.JudgedBy), noticeColumn(run.Report.Told(c.Reason)), run.Report.SignedIn() && !replaced,
			c.JudgedBy != nil && held.approvedSince(c.Held), nullTime(c.WaitUntil)).Scan(&after.state, &after.reason)
		if err != nil {
			return err
		}
		if err := confirmClaim(ctx, tx, j); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			update run set state = $3, stage = $4, report = $5, finished_at = now(), updated_at = now()
			where tenant_id = $1 and id = $2`, j.Tenant, run.ID, run.State, run.Stage, string(body))
		if err != nil {
			return err
		}
		if err := keepReconciliation(ctx, tx, &run, c.Reconciled); err != nil {
			return err
		}
		if err := keepSkipped(ctx, tx, &run, c.Skipped); err != nil || before == after {
			return err
		}
		return s.record(ctx, tx, j.Tenant, stateDeed(run.IntegrationPublic, before, after))
	})
}

// judgedBy is a run's settings as they are stored; nothing for none.
func judgedBy(s *inventory.Settings) any {
	if s == nil {
		return nil
	}
	return settingsColumn(*s)
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
