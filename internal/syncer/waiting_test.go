package syncer_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
)

// TestAWaitForTheQuotaShowsWhileItLasts holds a directory's quota of machines, and looks at the run that waits for it.
func TestAWaitForTheQuotaShowsWhileItLasts(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 4, 2)
	over := make(chan struct{})
	clock := func() time.Time {
		select {
		case <-over:
			return h.now.Add(2 * time.Minute)
		default:
			return h.now
		}
	}
	wait := func(ctx context.Context, _ time.Duration) error {
		select {
		case <-over:
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	budget := defender.NewSharedBudget(h.store).Simulated(clock, wait)
	h.wire(defender.Config{Budget: budget})
	i := h.connect(h.tenant, nil)
	must(t, budget.Hold(t.Context(), defender.BudgetKey{DirectoryID: directory, ClientID: client, Family: defender.FamilyMachines}, time.Minute))
	j, ending := h.claim(), make(chan job.Outcome, 1)
	go func() { ending <- h.syncer.Handle(t.Context(), j) }()
	shown := func() *syncer.StageReport {
		run := h.run(i, j)
		return run.Report.StageNamed(syncer.StageAssets)
	}
	for late := time.Now().Add(20 * time.Second); shown() == nil || shown().Throttled < 30*time.Second; runtime.Gosched() {
		if time.Now().After(late) {
			t.Errorf("while it waits the run shows %+v", shown())
			break
		}
	}
	if s := shown(); s.State != syncer.Running || time.Until(s.WaitsUntil) < 20*time.Second || time.Until(s.WaitsUntil) > time.Minute {
		t.Errorf("the stage is %s and waits until %v", s.State, s.WaitsUntil)
	}
	close(over)
	if o := <-ending; o.Ending != job.Done {
		t.Fatalf("the job ended with %v", o)
	}
	mustSucceed(t, h.run(i, j))
	if s := shown(); s.Throttled < 30*time.Second || s.Throttled > time.Minute || !s.WaitsUntil.IsZero() {
		t.Errorf("it waited %v once, until %v", s.Throttled, s.WaitsUntil)
	}
}

// TestARunThatMeetsALongHoldEndsAtOnce holds a directory's quota of machines for most of an hour: no worker waits for that.
func TestARunThatMeetsALongHoldEndsAtOnce(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 4, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	budget := defender.NewSharedBudget(h.store).Simulated(h.clock, func(_ context.Context, d time.Duration) error { return fmt.Errorf("a worker waits for %v", d) })
	key := defender.BudgetKey{DirectoryID: directory, ClientID: client, Family: defender.FamilyMachines}
	if _, err := budget.Take(t.Context(), key, defender.Caller{}); err != nil {
		t.Fatal(err)
	}
	must(t, budget.Hold(t.Context(), key, 50*time.Minute))
	h.wire(defender.Config{Budget: budget})
	h.hourly(i)
	h.sim.ClearJournal()
	mustEnd(t, h.again(i, syncer.Incremental), syncer.Failed, fault.CodeUpstreamThrottled)
	if wait := h.integration(i).NextRunAt.Sub(h.now); wait < 50*time.Minute-time.Second {
		t.Errorf("the next run comes in %v", wait)
	}
	for _, e := range h.sim.Journal(100) {
		if e.Route == "machines" {
			t.Error("a call was made")
		}
	}
}
