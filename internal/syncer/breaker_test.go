package syncer_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/syncer"
)

func TestARunThatMeetsAnOpenBreakerFailsAsPassing(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	asleep := func(ctx context.Context, d time.Duration) error { h.now = h.now.Add(d); return ctx.Err() }
	h.wire(defender.Config{Budget: defender.NewSharedBudget(h.store).Simulated(h.clock, asleep)})
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.fault(defendersim.Fault{PathPrefix: "/api", Status: 503})
	mustEnd(t, h.again(i, syncer.Incremental), syncer.Failed, fault.CodeUpstreamUnavailable)
	mustEnd(t, h.again(i, syncer.Incremental), syncer.Failed, fault.CodeUpstreamUnavailable) // the fifth failure opens it
	h.sim.ClearJournal()
	run := h.again(i, syncer.Incremental)
	mustEnd(t, run, syncer.Failed, fault.CodeUpstreamUnavailable)
	if !strings.Contains(run.Report.Error.Detail, "next try") {
		t.Errorf("the run tells %q", run.Report.Error.Detail)
	}
	if calls := h.sim.Journal(0); len(calls) > 0 {
		t.Errorf("%d calls were made", len(calls))
	}
	if now := h.integration(i); now.State != connector.StateDegraded || !now.NextRunAt.After(h.now) || !now.WaitUntil.IsZero() { // Microsoft did not ask for that
		t.Errorf("%s, next run at %v, waits until %v", now.State, now.NextRunAt, now.WaitUntil)
	}
	h.sim.ClearFaults()
	h.now = h.now.Add(time.Minute)
	mustSucceed(t, h.again(i, syncer.Incremental))
	if now := h.integration(i); now.State != connector.StateActive {
		t.Errorf("healed, and %s", now.State)
	}
}
