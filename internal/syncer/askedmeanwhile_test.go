package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// TestARunThatEndsUnreadLeavesWhatWasAskedFor changes the settings while a run is queued or at work that the scheduler leaves the day's work to,
// and that ends without having read anything: the next one comes at once, unless nobody had asked.
func TestARunThatEndsUnreadLeavesWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(h *house, i connector.Integration, j job.Job){
		"cancelled in the queue": func(h *house, i connector.Integration, j job.Job) {
			must(h.t, h.store.Finish(h.t.Context(), j, job.Outcome{Ending: job.HandBack}))
			h.cancel(i, j)
		},
		"asked before it began, cancelled while its worker died": func(h *house, i connector.Integration, j job.Job) {
			if _, err := h.store.BeginRun(h.t.Context(), j); err != nil {
				h.t.Fatal(err)
			}
			h.cancel(i, j)
			second := h.takeOver()
			must(h.t, h.store.Finish(h.t.Context(), second, h.syncer.Handle(h.t.Context(), second)))
		},
		"cancelled while its worker died": func(h *house, i connector.Integration, j job.Job) {
			h.cancel(i, j)
			second := h.takeOver()
			must(h.t, h.store.Finish(h.t.Context(), second, h.syncer.Handle(h.t.Context(), second)))
		},
	} {
		for _, asked := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				h := newPlainHouse(t, 2, 1)
				i := h.connect(h.tenant, nil)
				mustSucceed(t, h.work())
				if _, err := h.store.StartRun(t.Context(), i.Tenant, i.PublicID, syncer.Incremental); err != nil {
					t.Fatal(err)
				}
				j := h.claim()
				if asked {
					h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh })
					if n, err := h.store.ScheduleDue(t.Context(), h.now.Add(time.Millisecond)); n != 0 || err != nil {
						t.Fatalf("%d runs were queued, %v", n, err)
					}
				}
				end(h, i, j)
				if run := h.run(i, j); run.State != syncer.Cancelled {
					t.Fatalf("the run is %s", run.State)
				}
				wait := time.Until(h.integration(i).NextRunAt)
				if now := wait <= 0; now != asked {
					t.Errorf("asked %t: the next run comes in %v", asked, wait)
				}
			})
		}
	}
}

// TestARunCancelledAtWorkLeavesWhatWasAskedFor replaces the secret of a troubled link while a run reads with the one before, and cancels the run.
func TestARunCancelledAtWorkLeavesWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	for _, asked := range []bool{false, true} {
		h := newPlainHouse(t, 2, 1)
		i := h.connect(h.tenant, nil)
		mustSucceed(t, h.work())
		h.sql(`update integration set state = 'degraded', state_reason = $1`, fault.CodeUpstreamUnavailable)
		r := h.holdAgainAt(i, "software_vulnerabilities")
		if asked {
			h.rotateAtMicrosoft(renewed)
			_, _, err := h.rotate(i, renewed)
			must(t, err)
			n, err := h.store.ScheduleDue(t.Context(), h.now.Add(time.Millisecond))
			if next := h.integration(i).NextRunAt; n != 0 || err != nil || next.Before(h.now.Add(time.Hour)) {
				t.Fatalf("%d runs were queued, %v, the next one comes at %v", n, err, next)
			}
		}
		h.cancel(i, r.job)
		r.end(job.ErrCancelled)
		must(t, h.store.Finish(t.Context(), r.job, <-r.ending))
		if run := h.run(i, r.job); run.State != syncer.Cancelled {
			t.Fatalf("the run is %s", run.State)
		}
		if wait := time.Until(h.integration(i).NextRunAt); (wait <= 0) != asked {
			t.Errorf("asked %t: the next run comes in %v", asked, wait)
		}
	}
}

// TestMoreEntitlementDuringARunComesNext raises the quota while a run works that the scheduler leaves the day's work to.
func TestMoreEntitlementDuringARunComesNext(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 4, 1)
	i := h.connect(h.tenant, nil)
	h.entitle(tenant.Entitlement{InternalAssessments: true, MaxAssets: 2})
	mustSucceed(t, h.work())
	h.askMeanwhile(i, func() {
		h.entitle(tenant.Entitlement{InternalAssessments: true})
		h.pass(time.Minute) // it is planned by the database's clock
	})
	if next := h.integration(i).NextRunAt; next.After(h.now) {
		t.Errorf("the next run comes in %v", next.Sub(h.now))
	}
}

// TestMoreEntitlementBringsARun grants what was lacking, and more assets than before.
func TestMoreEntitlementBringsARun(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before, after tenant.Entitlement
		soon          bool
	}{
		"granted":      {tenant.Entitlement{}, tenant.Entitlement{InternalAssessments: true}, true},
		"more assets":  {tenant.Entitlement{InternalAssessments: true, MaxAssets: 1}, tenant.Entitlement{InternalAssessments: true, MaxAssets: 2}, true},
		"no limit":     {tenant.Entitlement{InternalAssessments: true, MaxAssets: 1}, tenant.Entitlement{InternalAssessments: true}, true},
		"the same":     {tenant.Entitlement{InternalAssessments: true, MaxAssets: 1}, tenant.Entitlement{InternalAssessments: true, MaxAssets: 1}, false},
		"fewer assets": {tenant.Entitlement{InternalAssessments: true}, tenant.Entitlement{InternalAssessments: true, MaxAssets: 1}, false},
		"withdrawn":    {tenant.Entitlement{InternalAssessments: true}, tenant.Entitlement{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 2, 1)
			i := h.connect(h.tenant, nil)
			h.entitle(tc.before)
			mustSucceed(t, h.work())
			h.sql(`update integration set next_run_at = now() + interval '20 hours'`)
			h.entitle(tc.after)
			if wait := time.Until(h.integration(i).NextRunAt); (wait <= 0) != tc.soon {
				t.Errorf("the next run comes in %v", wait)
			}
		})
	}
}

func (h *house) cancel(i connector.Integration, j job.Job) {
	h.t.Helper()
	if _, err := h.store.CancelRun(h.t.Context(), i.Tenant, j.Subject); err != nil {
		h.t.Fatal(err)
	}
}
