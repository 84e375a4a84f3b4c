package postgres

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/tenant"
)

// jobRow is a claimed row of the queue.
type jobRow struct {
	ID       int64     `db:"id"`
	TenantID int32     `db:"tenant_id"`
	Kind     string    `db:"kind"`
	Subject  uuid.UUID `db:"subject"`
	RunID    int64     `db:"run_id"`
	Attempt  int       `db:"attempt"`
	Fence    int64     `db:"fence"`
	Rows     int64     `db:"report_rows"`
	Ended    string    `db:"last_error"`
	Public   uuid.UUID `db:"tenant_public"`
}

func (r jobRow) job(rule job.Large) job.Job {
	return job.Job{
		ID: r.ID, Tenant: tenant.ID(r.TenantID), TenantPublic: r.Public, Kind: job.Kind(r.Kind), Subject: r.Subject, RunID: r.RunID,
		Attempt: r.Attempt, Ended: r.Ended, Fence: r.Fence, Rows: r.Rows, Large: rule,
	}
}

// served tells of a tenant t whether a job of the kind may be carried out for it.
const served = `t.state = case kind when 'offboard' then 'deleting' else 'active' end`

// claimers makes everybody who counts claims wait for each other, so that the counts stay exact; the transaction that calls it
// lasts a few milliseconds. A process that is frozen within it, whose host may answer for it still, holds up the others for no longer
// than five seconds.
const claimers = `select pg_advisory_xact_lock(hashtext('defender job claim')), set_config('idle_in_transaction_session_timeout', '5000', true)`

// heldLarge counts the large jobs, those of more than $2 rows, that a holder $1 has in work.
const heldLarge = `select count(*) from job where state = 'running' and lease_until > now() and holder = $1 and report_rows > $2`

// Claim takes due jobs, oldest first, as many as there is room for.
//
// Candidates are ranked per tenant by what the tenant already has running, so that a tenant with a long queue cannot
// take every worker. Large ones are passed over while as many as the rule permits are in the holder's work. A row that its holder
// is just writing under is skipped, not waited for. Jobs of a tenant that is not active stay in the queue; of one that is being
// deleted only the off-boarding is carried out.
func (s *Store) Claim(ctx context.Context, r job.Room, lease time.Duration) ([]job.Job, error) {
	var rows []jobRow
	ctx = prompt(ctx)
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, claimers); err != nil {
			return err
		}
		return tx.SelectContext(ctx, &rows, `
			with live as (
			  select tenant_id, count(*) as n from job where state = 'running' and lease_until > now() group by tenant_id
			), free as (
			  select $6 - (`+heldLarge+`) as places
			), due as (
			  select id, tenant_id, run_at, report_rows > $2 as large from job
			  where ((state = 'queued' and run_at <= now()) or (state = 'running' and lease_until <= now()))
			    and not exists (select from live l where l.tenant_id = job.tenant_id and l.n >= $3)
			    and (report_rows <= $2 or (select places from free) > 0)
			    and exists (select from tenant t where t.id = tenant_id and `+served+`)
			  order by run_at, id
			  limit 1000
			  for update skip locked
			), ranked as (
			  select d.id, d.run_at, d.large,
			         coalesce(l.n, 0) + row_number() over (partition by d.tenant_id order by d.run_at, d.id) as place
			  from due d left join live l using (tenant_id)
			), admitted as (
			  select id, run_at, large, row_number() over (partition by large order by run_at, id) as turn from ranked where place <= $3
			), chosen as (
			  select id from admitted where not large or turn <= (select places from free) order by run_at, id limit $4
			)
			update job j set state = 'running', holder = $1, fence = fence + 1, attempt = attempt + 1,
			       lease_until = now() + make_interval(secs => $5), last_error = case when j.state = 'running' then '' else j.last_error end
			from chosen c, tenant t where j.id = c.id and t.id = j.tenant_id
			returning j.id, j.tenant_id, j.kind, j.subject, j.run_id, j.attempt, j.last_error, j.fence, j.report_rows, t.public_id as tenant_public`,
			r.Holder, r.Large.Threshold(), r.PerTenant, r.Jobs, lease.Seconds(), r.Large.Places)
	})
	jobs := make([]job.Job, len(rows))
	for i, row := range rows {
		jobs[i] = row.job(r.Large)
	}
	return jobs, err
}

// TakeLargePlace notes that a claimed job turned out to read so many rows, which make it large, and tells whether its holder has
// a place for it. If not, the job has to go back into the queue, where it waits for one.
func (s *Store) TakeLargePlace(ctx context.Context, j job.Job, rows int64) (taken bool, err error) {
	err = s.inSystem(ctx, func(tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, claimers); err != nil {
			return err
		}
		var holder string
		err := tx.GetContext(ctx, &holder, `
			update job set report_rows = $4 where tenant_id = $1 and id = $2 and fence = $3 and state = 'running' returning holder`,
			j.Tenant, j.ID, j.Fence, rows)
		if errors.Is(err, sql.ErrNoRows) {
			return job.ErrLeaseLost
		}
		if err != nil {
			return err
		}
		return tx.GetContext(ctx, &taken, `select (`+heldLarge+`) <= $3`, holder, j.Large.Threshold(), j.Large.Places)
	})
	return taken, err
}

// Extend prolongs the lease of a claim that is still this one.
func (s *Store) Extend(ctx context.Context, j job.Job, lease time.Duration) (cancel bool, err error) {
	ctx = prompt(ctx)
	err = s.inTenant(ctx, j.Tenant, func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &cancel, `
			update job set lease_until = now() + make_interval(secs => $4)
			where tenant_id = $1 and id = $2 and fence = $3 and state = 'running'
			returning cancel_requested`, j.Tenant, j.ID, j.Fence, lease.Seconds())
	})
	if errors.Is(err, sql.ErrNoRows) {
		return false, job.ErrLeaseLost
	}
	return cancel, err
}

// Finish applies the outcome to a claim that is still this one.
func (s *Store) Finish(ctx context.Context, j job.Job, o job.Outcome) error {
	return s.inTenant(ctx, j.Tenant, func(tx *sqlx.Tx) error {
		query, args := `delete from job where tenant_id = $1 and id = $2 and fence = $3`, []any{j.Tenant, j.ID, j.Fence}
		if o.Ending != job.Done {
			kept := 1 // an attempt that was not the job's fault does not count
			if o.Ending == job.Retry {
				kept = 0
			}
			query = `update job set state = 'queued', holder = '', lease_until = null, attempt = attempt - $4, last_error = $5,
			                run_at = now() + make_interval(secs => $6)
			         where tenant_id = $1 and id = $2 and fence = $3 and state = 'running'`
			args = append(args, kept, o.Code, o.After.Seconds())
		}
		return mustAffect(tx.ExecContext(ctx, query, args...))
	})
}

// Bury sets a job aside: it stays visible as dead and is never claimed again.
func (s *Store) Bury(ctx context.Context, j job.Job) error {
	return s.inTenant(ctx, j.Tenant, func(tx *sqlx.Tx) error {
		return mustAffect(tx.ExecContext(ctx, `
			update job set state = 'dead', holder = '', lease_until = null, run_at = now()
			where tenant_id = $1 and id = $2 and fence = $3`, j.Tenant, j.ID, j.Fence))
	})
}

// QueueDepth is how many jobs wait, for how long the oldest that may be claimed has been due, and how many were set aside.
type QueueDepth struct {
	Waiting int           `db:"waiting"`
	Running int           `db:"running"`
	Dead    int           `db:"dead"`
	Oldest  time.Duration `db:"-"`
}

// Depth reads the queue for metrics.
func (s *Store) Depth(ctx context.Context) (QueueDepth, error) {
	var row struct {
		QueueDepth
		OldestSeconds float64 `db:"oldest"`
	}
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &row, `
			select count(*) filter (where state = 'queued') as waiting,
			       count(*) filter (where state = 'running') as running,
			       count(*) filter (where state = 'dead') as dead,
			       coalesce(extract(epoch from now() - min(run_at) filter (where state = 'queued' and run_at <= now()
			         and exists (select from tenant t where t.id = tenant_id and `+served+`))), 0) as oldest
			from job`)
	})
	row.Oldest = time.Duration(row.OldestSeconds * float64(time.Second))
	return row.QueueDepth, err
}

// confirmClaim is the last statement of every transaction that writes for a job: it fails with ErrLeaseLost unless the
// claim is still this one, and locks the job's row so that nobody can take it over before the commit. A worker that was
// stopped for minutes and woken therefore cannot write. The heartbeat is not held up by long transactions, because the
// lock is taken only at their end.
func confirmClaim(ctx context.Context, tx *sqlx.Tx, j job.Job) error {
	var id int64
	err := tx.GetContext(ctx, &id, `
		select id from job where tenant_id = $1 and id = $2 and fence = $3 and state = 'running' for no key update`,
		j.Tenant, j.ID, j.Fence)
	if errors.Is(err, sql.ErrNoRows) {
		return job.ErrLeaseLost
	}
	return err
}

// mustAffect reports a lost lease when a guarded statement met no row.
func mustAffect(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		return job.ErrLeaseLost
	}
	return err
}
