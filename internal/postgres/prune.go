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

	// Of events every import with changes writes some, up to one for each finding: one call deletes so many batches, all of which took less than two seconds.
	eventBatch   = 5000
	eventBatches = 20
)

// Prune deletes old runs, dead jobs, what was counted of calls long ago, requests that nobody may repeat any more, and old history of
// findings, some of each, and reports whether there may be more. The last run of an integration that succeeded and the last full one stay whatever
// their age, because later runs are planned and estimated by them.
func (s *Store) Prune(ctx context.Context, now time.Time) (deleted int64, more bool, err error) {
	if deleted, more, err = s.pruneFew(ctx, now); err != nil {
		return deleted, more, err
	}
	for range eventBatches {
		events, err := s.pruneEvents(ctx, now.Add(-keepEvents))
		deleted += events
		if err != nil || events < eventBatch {
			return deleted, more, err
		}
	}
	return deleted, true, nil
}

// pruneFew is for what there is little of.
func (s *Store) pruneFew(ctx context.Context, now time.Time) (deleted int64, more bool, err error) {
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
		requests, err := affected(ctx, tx, pruneRequests, now.Add(-repeat.KeepFor), pruneBatch)
		deleted, more = runs+jobs+quotas+requests, max(runs, jobs, quotas, requests) == pruneBatch
		return err
	})
	return deleted, more, err
}

// pruneEvents deletes a batch of what findings became before a time. While another process is at it, it leaves the work to that one: both would
// take the same rows, and one would wait for the other.
func (s *Store) pruneEvents(ctx context.Context, before time.Time) (deleted int64, err error) {
	err = s.inSystem(ctx, func(tx *sqlx.Tx) error {
		var alone bool
		if err := tx.GetContext(ctx, &alone, `select pg_try_advisory_xact_lock(hashtext('defender event pruning'))`); err != nil || !alone {
			return err
		}
		deleted, err = affected(ctx, tx, pruneOldEvents, before, eventBatch)
		return err
	})
	return deleted, err
}

// pruneOldEvents finds rows by where they lie: nobody changes them, so they are there still.
const pruneOldEvents = `delete from finding_event where ctid = any(array(select ctid from finding_event where at < $1 order by at limit $2))`

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
