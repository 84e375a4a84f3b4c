package job_test

import (
	"database/sql"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/tenant"
)

func (y *yard) number(query string, args ...any) (n int) {
	y.t.Helper()
	db, err := sql.Open("postgres", y.url)
	if err != nil {
		y.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(y.t.Context(), query, args...).Scan(&n); err != nil {
		y.t.Fatal(err)
	}
	return n
}

// past gives an integration n finished runs, the first one of them so many days ago and then one each day.
func (y *yard) past(i connector.Integration, n, days int) {
	y.t.Helper()
	y.exec(`
		insert into run (tenant_id, public_id, integration_id, trigger, mode, state, stage, finished_at)
		select $1, gen_random_uuid(), $2, 'schedule', case n when 5 then 'full' else 'incremental' end,
		       case when n in (2, 5, 10) then 'succeeded' else 'failed' end, 'n' || n, now() - make_interval(days => $4::int - n + 1)
		from generate_series(1, $3::int) n`, i.Tenant, i.ID, n, days)
}

func (y *yard) prune() (deleted int64, more bool) {
	y.t.Helper()
	deleted, more, err := y.store.Prune(y.t.Context(), time.Now())
	if err != nil {
		y.t.Fatal(err)
	}
	return deleted, more
}

func TestPruneKeepsWhatIsRecentAndWhatOthersArePlannedBy(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	id := y.tenant()
	daily, seldom := y.add(id), y.add(y.tenant())
	y.past(daily, 120, 120)
	y.past(seldom, 50, 400)
	if deleted, more := y.prune(); deleted != 29 || more {
		t.Errorf("%d runs deleted, more %v", deleted, more)
	}
	left := func(i connector.Integration, which string) int {
		return y.number(`select count(*) from run where integration_id = $1 and `+which, i.ID)
	}
	// Of the first 31, which are too old, the last success and the last full one stay; and the one that has not ended.
	if all, kept, waiting := left(daily, `true`), left(daily, `stage in ('n5', 'n10')`), left(daily, `state = 'queued'`); all != 92 || kept != 2 || waiting != 1 {
		t.Errorf("of a daily integration %d runs are left, %d of them successes, %d waiting", all, kept, waiting)
	}
	if all := left(seldom, `true`); all != 51 {
		t.Errorf("of an integration with few runs %d are left, want all 51", all)
	}
	if deleted, more := y.prune(); deleted != 0 || more {
		t.Errorf("%d more were deleted", deleted)
	}
	y.past(seldom, 600, 900)
	if deleted, more := y.prune(); deleted != 500 || !more {
		t.Errorf("%d of many runs were deleted, more %v", deleted, more)
	}
	if deleted, more := y.prune(); deleted != 98 || more || left(seldom, `true`) != 1+50+2 {
		t.Errorf("%d of many runs were deleted then, more %v, %d are left", deleted, more, left(seldom, `true`))
	}
}

func TestPruneForgetsDeadJobs(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	id := y.tenant()
	y.add(id)
	j := y.claim(1, 1)[0]
	y.exec(`update job set run_at = now() - interval '40 days', created_at = now() - interval '40 days'`)
	if err := y.store.Bury(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	if deleted, _ := y.prune(); deleted != 0 || y.row() != "dead after 1 " {
		t.Errorf("a job that has just been set aside: %d deleted, %q", deleted, y.row())
	}
	y.exec(`update job set run_at = now() - interval '31 days'`)
	if deleted, _ := y.prune(); deleted != 1 || y.row() != "none" {
		t.Errorf("a job that was set aside long ago: %d deleted, %q", deleted, y.row())
	}
}

// TestPruneForgetsWhatFindingsBecame has more old events than a call deletes, and another process delete some at the same time.
func TestPruneForgetsWhatFindingsBecame(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	id := y.tenant()
	add := func(n, days int) {
		y.exec(`insert into finding_event (tenant_id, asset_id, vulnerability_id, run_id, at, change, severity)
			select $1, n, 1, 1, now() - make_interval(days => $3), 1, 1 from generate_series(1, $2::int) n`, id, n, days)
	}
	add(5, 399)
	add(100_007, 401)
	if deleted, more := y.prune(); deleted != 100_000 || !more {
		t.Errorf("%d of many events were deleted, more %v", deleted, more)
	}
	db, err := sql.Open("postgres", y.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	other, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.ExecContext(t.Context(), `select pg_advisory_xact_lock(hashtext('defender event pruning'))`); err != nil {
		t.Fatal(err)
	}
	if deleted, more := y.prune(); deleted != 0 || more {
		t.Errorf("%d were deleted while another process was at it, more %v", deleted, more)
	}
	if err := other.Rollback(); err != nil {
		t.Fatal(err)
	}
	if deleted, more := y.prune(); deleted != 7 || more || y.number(`select count(*) from finding_event`) != 5 {
		t.Errorf("%d were deleted then, more %v", deleted, more)
	}
}

// TestOnlyServedTenantsHaveTheirJobsDone covers also jobs that came in some other way than by a run.
func TestOnlyServedTenantsHaveTheirJobsDone(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	id, other := y.tenant(), y.tenant()
	y.add(id)
	y.add(other)
	if err := y.store.SetTenantState(t.Context(), id, tenant.Suspended); err != nil {
		t.Fatal(err)
	}
	y.exec(`insert into job (tenant_id, kind, subject, run_id, run_at) select $1, kind, gen_random_uuid(), 0, now() - interval '1 hour' from unnest(array['sync', 'offboard']) kind`, id)
	if jobs := y.claim(10, 1); len(jobs) != 1 || jobs[0].Tenant != other {
		t.Errorf("claimed while suspended: %+v", jobs)
	}
	if depth, err := y.store.Depth(t.Context()); err != nil || depth.Waiting != 2 || depth.Oldest != 0 {
		t.Errorf("the queue: %+v, %v", depth, err)
	}
	for state, kind := range map[string]job.Kind{"active": job.Sync, "deleting": job.Offboard} {
		y.exec(`update tenant set state = $2 where id = $1`, id, state)
		jobs := y.claim(10, 2)
		if len(jobs) != 1 || jobs[0].Tenant != id || jobs[0].Kind != kind {
			t.Errorf("claimed while %s: %+v", state, jobs)
		}
	}
	// Also a job whose worker is gone waits.
	y.exec(`update job set lease_until = now() - interval '1 s'`)
	y.exec(`update tenant set state = 'suspended'`)
	if jobs := y.claim(10, 1); len(jobs) != 0 {
		t.Errorf("claimed again while suspended: %+v", jobs)
	}
}
