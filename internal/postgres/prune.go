package postgres

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/repeat"
)

// How long what has ended stays to be looked at.
const (
	keepRunsFor  = 90 * 24 * time.Hour
	keepRuns     = 50 // of each integration, however old
	keepDeadFor  = 30 * 24 * time.Hour
	keepCallsFor = 7 * 24 * time.Hour // what is counted of calls, after the last of them
	keepEvents   = 400 * 24 * time.Hour
	pruneBatch   = 500 // rows that one call deletes of each kind
)

// Prune deletes a batch of old runs, of dead jobs, of what was counted of calls long ago, and of requests that nobody may repeat
// any more, and reports whether there may be more. The last run of an integration that succeeded and the last full one stay whatever their age, because later runs are
// planned and estimated by them.
func (s *Store) Prune(ctx context.Context, now time.Time) (deleted int64, more bool, err error) {
	err = s.inSystem(ctx, func(tx *sqlx.Tx) error {
		runs, err := affected(ctx, tx, pruneRuns, now.Add(-keepRunsFor), keepRuns-1, pruneBatch)
		if err != nil {
			return err
		}
		jobs, err := affected(ctx, tx, `
			with old as (
			  select tenant_id, id from job where state = 'dead' and run_at < $1 order by run_at limit $2 for update skip locked
			)
			delete from job j using old where j.tenant_id = old.tenant_id and j.id = old.id`, now.Add(-keepDeadFor), pruneBatch)
		if err != nil {
			return err
		}
		quotas, err := affected(ctx, tx, pruneCalls, now.Add(-keepCallsFor), pruneBatch)
		if err != nil {
			return err
		}
		events, err := affected(ctx, tx, `
			delete from finding_event e using (
			  select tenant_id, asset_id, vulnerability_id, id from finding_event where at < $1 limit $2
			) old
			where e.tenant_id = old.tenant_id and e.asset_id = old.asset_id and e.vulnerability_id = old.vulnerability_id and e.id = old.id`,
			now.Add(-keepEvents), pruneBatch)
		if err != nil {
			return err
		}
		requests, err := affected(ctx, tx, pruneRequests, now.Add(-repeat.KeepFor), pruneBatch)
		deleted, more = runs+jobs+quotas+events+requests, max(runs, jobs, quotas, events, requests) == pruneBatch
		return err
	})
	return deleted, more, err
}

// pruneRuns walks the runs of each integration in the order of run_by_integration, from the oldest one that is kept for
// being recent.
const pruneRuns = `
	with old as (
	  select r.tenant_id, r.id
	  from integration i
	  cross join lateral (
	    select id from run where tenant_id = i.tenant_id and integration_id = i.id order by id desc offset $2 limit 1
	  ) edge
	  join run r on r.tenant_id = i.tenant_id and r.integration_id = i.id and r.id < edge.id
	  where r.finished_at < $1
	    and r.id is distinct from (
	      select id from run where tenant_id = r.tenant_id and integration_id = r.integration_id and kind = 'sync' and state = 'succeeded' and preview is null
	      order by id desc limit 1)
	    and r.id is distinct from (
	      select id from run where tenant_id = r.tenant_id and integration_id = r.integration_id and kind = 'sync' and state = 'succeeded' and preview is null and mode = 'full'
	      order by id desc limit 1)
	  limit $3
	  for update of r skip locked
	)
	delete from run r using old where r.tenant_id = old.tenant_id and r.id = old.id`

// pruneRequests leaves alone what is being taken by a repetition just now.
const pruneRequests = `
	with old as (
	  select tenant_id, name from idempotency where created_at < $1 order by created_at limit $2 for update skip locked
	)
	delete from idempotency i using old where i.tenant_id = old.tenant_id and i.name = old.name`
