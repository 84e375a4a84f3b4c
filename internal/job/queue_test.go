package job_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

func (y *yard) claim(n, perTenant int) []job.Job {
	y.t.Helper()
	jobs, err := y.store.Claim(y.t.Context(), job.Room{Holder: "test", Jobs: n, PerTenant: perTenant}, time.Minute)
	if err != nil {
		y.t.Fatal(err)
	}
	return jobs
}

func TestClaimKeepsTheCapPerTenantAndTheOrder(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	first, second := y.tenant(), y.tenant()
	for range 3 {
		y.add(first)
	}
	y.add(second)
	perTenant := map[tenant.ID]int{}
	for _, j := range y.claim(10, 2) {
		perTenant[j.Tenant]++
	}
	if perTenant[first] != 2 || perTenant[second] != 1 {
		t.Errorf("claimed per tenant: %v", perTenant)
	}
	if more := y.claim(10, 2); len(more) != 0 {
		t.Errorf("%d more than the cap", len(more))
	}
	// An expired lease makes room, and is claimed itself.
	y.exec(`update job set lease_until = now() - interval '1 s' where tenant_id = $1`, first)
	if again := y.claim(10, 2); len(again) != 2 {
		t.Errorf("%d claimed after the leases ran out, want 2", len(again))
	}
}

func TestATenantWithALongQueueDoesNotBlockOthers(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	long, short := y.tenant(), y.tenant()
	y.add(long)
	// More waiting jobs than one claim looks at.
	y.exec(`insert into job (tenant_id, kind, subject, run_id, run_at)
		select $1, 'sync', gen_random_uuid(), 0, now() - interval '1 h' from generate_series(1, 1200)`, long)
	y.add(short)
	if jobs := y.claim(1, 1); len(jobs) != 1 || jobs[0].Tenant != long {
		t.Fatalf("claimed %+v", jobs)
	}
	if jobs := y.claim(1, 1); len(jobs) != 1 || jobs[0].Tenant != short {
		t.Errorf("the short queue waits behind the long one: %+v", jobs)
	}
}

func TestRacingClaimersGetEachJobOnce(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	const jobs = 20
	id := y.tenant()
	for range jobs {
		y.add(id)
	}
	var mu sync.Mutex
	seen := map[int64]int{}
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			for range jobs {
				claimed, err := y.store.Claim(t.Context(), job.Room{Holder: fmt.Sprint(n), Jobs: 1, PerTenant: jobs}, time.Minute)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				for _, j := range claimed {
					seen[j.ID]++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	for id, n := range seen {
		if n != 1 {
			t.Errorf("job %d was claimed %d times", id, n)
		}
	}
	if len(seen) != jobs {
		t.Errorf("%d jobs were claimed, want %d", len(seen), jobs)
	}
}

func TestAttemptsCountOnlyWhatTheJobIsToBlameFor(t *testing.T) {
	t.Parallel()
	for ending, attempts := range map[job.Ending]int{job.HandBack: 0, job.Snooze: 0, job.Retry: 1} {
		t.Run(ending.String(), func(t *testing.T) {
			t.Parallel()
			y := newYard(t)
			y.add(y.tenant())
			j := y.claim(1, 1)[0]
			if j.Attempt != 1 {
				t.Errorf("first claimed at attempt %d", j.Attempt)
			}
			if err := y.store.Finish(t.Context(), j, job.Outcome{Ending: ending, After: time.Hour}); err != nil {
				t.Fatal(err)
			}
			if got, want := y.row(), fmt.Sprintf("queued after %d ", attempts); got != want {
				t.Errorf("the job is %s, want %s", got, want)
			}
			if jobs := y.claim(1, 1); len(jobs) != 0 {
				t.Error("claimed before its time")
			}
			if err := y.store.Finish(t.Context(), j, job.Outcome{Ending: job.Retry}); !errors.Is(err, job.ErrLeaseLost) {
				t.Errorf("ended twice: %v", err)
			}
		})
	}
}

// TestAHundredStartsMakeOneRun needs an integration without a run, so the first one is cancelled.
func TestAHundredStartsMakeOneRun(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	id := y.tenant()
	i := y.add(id)
	if err := y.store.CancelActiveRun(t.Context(), id, i.PublicID); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	started, refused := map[uuid.UUID]int{}, map[uuid.UUID]int{}
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			run, err := y.store.StartRun(t.Context(), id, i.PublicID, syncer.Incremental)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				started[run.PublicID]++
			case fault.Is(err, fault.CodeRunInProgress):
				active, _ := fault.As(err).Data.(uuid.UUID)
				refused[active]++
			default:
				t.Error(err)
			}
		})
	}
	group.Wait()
	if len(started) != 1 || len(refused) != 1 {
		t.Fatalf("started %v, refused %v", started, refused)
	}
	for run := range started {
		if refused[run] != 99 {
			t.Errorf("the others were told of %v, not of %s", refused, run)
		}
	}
	if jobs := y.claim(10, 10); len(jobs) != 1 {
		t.Errorf("%d jobs", len(jobs))
	}
}

func TestTheScheduleQueuesOnceAndOnlyWhatMayRun(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	due, suspended := y.tenant(), y.tenant()
	var all []connector.Integration
	for range 5 {
		all = append(all, y.add(due))
	}
	y.add(suspended)
	if err := y.store.SetTenantState(t.Context(), suspended, tenant.Suspended); err != nil {
		t.Fatal(err)
	}
	y.exec(`delete from job`)
	y.exec(`update run set state = 'succeeded'`)
	now := time.Now()
	y.exec(`update integration set next_run_at = $1::timestamptz - interval '1 minute'`, now)
	y.exec(`update integration set state = 'paused', next_run_at = null where public_id = $1`, all[0].PublicID)
	y.exec(`update integration set state = 'disconnected', secret_box = null where public_id = $1`, all[1].PublicID)
	y.exec(`update integration set next_run_at = $2::timestamptz + interval '1 minute' where public_id = $1`, all[2].PublicID, now)
	y.exec(`update integration set state = 'action_required' where public_id = $1`, all[3].PublicID)

	var mu sync.Mutex
	total := 0
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			n, err := y.store.ScheduleDue(t.Context(), now)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			total += n
			mu.Unlock()
		})
	}
	group.Wait()
	if total != 2 {
		t.Errorf("%d runs were queued, want 2", total)
	}
	if jobs := y.claim(10, 10); len(jobs) != 2 || jobs[0].Tenant != due {
		t.Errorf("queued: %+v", jobs)
	}
	for _, i := range all[3:] {
		stored, err := y.store.Integration(t.Context(), due, i.PublicID)
		if err != nil {
			t.Fatal(err)
		}
		const day, jitter = 24 * time.Hour, 24 * time.Hour / 20
		if wait := stored.NextRunAt.Sub(now); wait < day-jitter-time.Second || wait > day+jitter+time.Second {
			t.Errorf("planned in %v, want a day give or take a twentieth", wait)
		}
	}
}

// TestRecordsOfARunAndCancelsNeverDeadlock lets a worker record progress while people cancel and disconnect.
func TestRecordsOfARunAndCancelsNeverDeadlock(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	id := y.tenant()
	i := y.add(id)
	j := y.claim(1, 1)[0]
	var group sync.WaitGroup
	check := func(err error) {
		if err != nil && !errors.Is(err, job.ErrLeaseLost) && !fault.Is(err, fault.CodeNotFound) && !fault.Is(err, fault.CodeConflict) {
			t.Error(err)
		}
	}
	for _, f := range []func(ctx context.Context) error{
		func(ctx context.Context) error {
			return y.store.SaveProgress(ctx, j, syncer.StageAssets, syncer.Report{})
		},
		func(ctx context.Context) error { _, err := y.store.BeginRun(ctx, j); return err },
		func(ctx context.Context) error { _, err := y.store.CancelRun(ctx, id, j.Subject); return err },
		func(ctx context.Context) error { return y.store.CancelActiveRun(ctx, id, i.PublicID) },
		func(ctx context.Context) error {
			_, err := y.store.UpdateIntegration(ctx, id, i.PublicID, 0, func(i *connector.Integration) error { i.Name += "x"; return nil })
			return err
		},
		func(ctx context.Context) error { _, err := y.store.Extend(ctx, j, time.Minute); return err },
	} {
		group.Go(func() {
			for range 40 {
				check(f(t.Context()))
			}
		})
	}
	group.Wait()
	group.Go(func() {
		run, err := y.store.BeginRun(t.Context(), j)
		check(err)
		run.State = syncer.Cancelled
		check(y.store.FinishRun(t.Context(), j, run, syncer.Consequence{}))
	})
	group.Go(func() {
		_, err := y.store.Disconnect(t.Context(), id, i.PublicID, 0, false)
		check(err)
	})
	group.Wait()
}

// TestFinishingARunWhoseIntegrationIsGoneIsALostClaim covers a tenant that is deleted under a worker: its integrations,
// runs and jobs go with it.
func TestFinishingARunWhoseIntegrationIsGoneIsALostClaim(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	id := y.tenant()
	y.add(id)
	j := y.claim(1, 1)[0]
	run, err := y.store.BeginRun(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	run.State, run.IntegrationID = syncer.Cancelled, run.IntegrationID+1
	if err := y.store.FinishRun(t.Context(), j, run, syncer.Consequence{}); !errors.Is(err, job.ErrLeaseLost) {
		t.Fatalf("got %v, want a lost claim", err)
	}
}
