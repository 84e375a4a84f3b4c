package syncer_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender"
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
