package syncer_test

import (
	"errors"
	"testing"
	"time"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// TestASuspensionEndsRunsAtOnce suspends a tenant while one run is in progress and another one waits.
func TestASuspensionEndsRunsAtOnce(t *testing.T) {
	t.Parallel()
	for _, route := range []string{"machines", "software_vulnerabilities"} {
		t.Run(route, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 8, 5)
			h.addDirectory(seeded(twin, "fabrikam.example", 77))
			i, waiting := h.connect(h.tenant, nil), h.connectTo(h.tenant, twin, nil)
			r := h.holdAt(route)
			must(t, h.store.SetTenantState(t.Context(), h.tenant, tenant.Suspended))
			before := h.snapshot(h.tenant)
			mustEnd(t, h.run(i, r.job), syncer.Cancelled, fault.CodeRunCancelled)
			mustEnd(t, h.latest(waiting), syncer.Cancelled, fault.CodeRunCancelled)
			h.mustHaveEnded(h.run(i, r.job))
			h.mustHaveEnded(h.latest(waiting))
			if _, err := h.store.Extend(t.Context(), r.job, time.Minute); !errors.Is(err, job.ErrLeaseLost) {
				t.Errorf("the heartbeat goes on: %v", err)
			}
			if o := r.release(); o.Ending != job.HandBack {
				t.Errorf("the handler ended with %v", o.Ending)
			}
			if h.snapshot(h.tenant) != before || h.number(`select count(*) from job`) != 0 {
				t.Error("the run wrote after the suspension, or a job is left")
			}
			// Somebody who was let in just before it starts nothing any more.
			if _, err := h.store.StartRun(t.Context(), h.tenant, i.PublicID, syncer.Full); !fault.Is(err, fault.CodeUnauthenticated) {
				t.Errorf("a run by hand: %v", err)
			}
			if n, err := h.store.ScheduleDue(t.Context(), time.Now().AddDate(0, 0, 30)); err != nil || n != 0 {
				t.Errorf("%d runs by the schedule, %v", n, err)
			}
			h.sim.ClearFaults()
			must(t, h.store.SetTenantState(t.Context(), h.tenant, tenant.Active))
			if n, err := h.store.ScheduleDue(t.Context(), time.Now()); err != nil || n != 2 {
				t.Fatalf("%d runs are due when the tenant is let back in, %v", n, err)
			}
			mustSucceed(t, h.work())
			mustSucceed(t, h.work())
			h.mustAudit(h.tenant)
		})
	}
}
