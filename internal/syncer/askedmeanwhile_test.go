package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/seal"
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
		if _, err := h.store.StartRun(t.Context(), i.Tenant, i.PublicID, syncer.Incremental); err != nil {
			t.Fatal(err)
		}
		r := h.holdAt("software_vulnerabilities")
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

// TestTheLongestWaitCounts has Microsoft ask for two hours and then, of a run that somebody starts, for a minute; and then answer to the end.
func TestTheLongestWaitCounts(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 2, 1)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.hourly(i)
	for _, asks := range []struct{ route, wait string }{{"software_vulnerabilities", "7200"}, {"machines", "400"}} {
		h.fault(defendersim.Fault{Route: asks.route, Status: 503, RetryAfter: asks.wait})
		if run := h.again(i, syncer.Incremental); run.Report.Error == nil || run.Report.Error.Code != fault.CodeUpstreamUnavailable {
			t.Fatalf("the run is %s", run.State)
		}
		if wait := dueAt(h.integration(i)).Sub(h.now); wait < 2*time.Hour-time.Second {
			t.Errorf("the next run comes in %v, two hours are asked for", wait)
		}
		h.sim.ClearFaults()
	}
	if _, err := h.links.Validate(t.Context(), h.tenant, i.PublicID); err != nil {
		t.Fatal(err)
	}
	name := "Renamed"
	if _, err := h.links.Change(t.Context(), h.tenant, i.PublicID, 0, connector.Change{Name: &name}); err != nil {
		t.Fatal(err)
	}
	mustSucceed(t, h.again(i, syncer.Incremental))
	if wait := dueAt(h.integration(i)).Sub(h.now); wait < 30*time.Minute || wait > 90*time.Minute {
		t.Errorf("after a success the next run comes in %v, the schedule is hourly", wait)
	}
}

// TestAWaitIsKeptWhereverItIsMet has Microsoft ask for two hours where tokens are given out, in a validation, and for its own counts behind a
// reading that succeeds.
func TestAWaitIsKeptWhereverItIsMet(t *testing.T) {
	t.Parallel()
	for name, meet := range map[string]func(*house, connector.Integration){
		"token": func(h *house, i connector.Integration) {
			h.fault(defendersim.Fault{Route: "token", Status: 503, RetryAfter: "7200"})
			mustEnd(h.t, h.again(i, syncer.Incremental), syncer.Failed, fault.CodeUpstreamUnavailable)
		},
		"validation": func(h *house, i connector.Integration) {
			h.fault(defendersim.Fault{Route: "machines", Status: 503, RetryAfter: "7200"})
			if _, err := h.links.Validate(h.t.Context(), h.tenant, i.PublicID); err != nil {
				h.t.Fatal(err)
			}
		},
		"counts": func(h *house, i connector.Integration) {
			h.readCatalogue(syncer.DefaultCataloguePolicy())
			h.sql(`update reconciliation set taken_at = taken_at - interval '1 month'`)
			h.fault(defendersim.Fault{Route: "vulnerabilities", Status: 503, RetryAfter: "7200"})
			mustSucceed(h.t, h.again(i, syncer.Full))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 2, 1)
			i := h.connect(h.tenant, nil)
			mustSucceed(t, h.work())
			meet(h, i)
			h.sim.ClearFaults()
			h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh })
			if wait := dueAt(h.integration(i)).Sub(h.now); wait < 2*time.Hour-time.Second {
				t.Errorf("the next run comes in %v", wait)
			}
		})
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

// TestAPreviewIsAskedToWaitForAllRuns has Microsoft ask a preview to wait, which says nothing else of the link.
func TestAPreviewIsAskedToWaitForAllRuns(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 2, 1)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.fault(defendersim.Fault{Route: "machines", Status: 503, RetryAfter: "7200"})
	_, err := h.store.StartPreview(t.Context(), i.Tenant, i.PublicID, syncer.Incremental, syncer.Preview{Settings: i.Settings})
	must(t, err)
	mustEnd(t, h.work(), syncer.Failed, fault.CodeUpstreamUnavailable)
	h.sql(`update integration set next_run_at = now()`)
	if now := h.integration(i); now.State != connector.StateActive || dueAt(now).Before(h.now.Add(2*time.Hour-time.Second)) {
		t.Errorf("%s, the next run comes in %v", now.State, dueAt(now).Sub(h.now))
	}
}

// TestAnotherApplicationDoesNotWait replaces the application that Microsoft asked to wait by one that has quotas of its own.
func TestAnotherApplicationDoesNotWait(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 2, 1)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.sql(`update integration set state = 'degraded', state_reason = $1, wait_until = now() + interval '2 hours'`, fault.CodeUpstreamUnavailable)
	other := spec(directory, 0, 0).Apps[0]
	other.ClientID, other.Secret = "0b9d6c7e-61f4-4f0e-8d3a-2c7b5e9f1a02", renewed
	must(t, h.sim.SetApp(directory, other))
	_, _, err := h.links.RotateSecret(t.Context(), i.Tenant, i.PublicID, connector.Rotation{ClientID: other.ClientID, Credentials: connector.Credentials{Secret: seal.NewSecret(renewed)}})
	must(t, err)
	if wait := dueAt(h.integration(i)).Sub(h.now); wait > time.Millisecond {
		t.Errorf("the next run comes in %v", wait)
	}
	mustSucceed(t, h.due())
}

func (h *house) cancel(i connector.Integration, j job.Job) {
	h.t.Helper()
	if _, err := h.store.CancelRun(h.t.Context(), i.Tenant, j.Subject); err != nil {
		h.t.Fatal(err)
	}
}

// TestNobodyHurriesWhatMicrosoftAsksToWaitFor does all that brings a run soon while a wait of two hours lasts. A run that somebody starts by
// hand is carried out, and ends the wait when it succeeds.
func TestNobodyHurriesWhatMicrosoftAsksToWaitFor(t *testing.T) {
	t.Parallel()
	for name, hurry := range map[string]func(*house, connector.Integration){
		"validated": func(h *house, i connector.Integration) {
			if _, err := h.links.Validate(h.t.Context(), h.tenant, i.PublicID); err != nil {
				h.t.Fatal(err)
			}
		},
		"checked by the service": func(h *house, _ connector.Integration) {
			h.sql(`update integration set recheck_at = now() - interval '1 minute'`)
			h.mustLook("degraded", 0, 1)
		},
		"rotated": func(h *house, i connector.Integration) {
			h.rotateAtMicrosoft(renewed)
			if _, _, err := h.rotate(i, renewed); err != nil {
				h.t.Fatal(err)
			}
		},
		"other settings": func(h *house, i connector.Integration) {
			h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh })
		},
		"suspended and back": func(h *house, i connector.Integration) {
			h.sql(`update integration set next_run_at = now()`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 2, 1)
			i := h.connect(h.tenant, nil)
			mustSucceed(t, h.work())
			h.fault(defendersim.Fault{Route: "software_vulnerabilities", Status: 503, RetryAfter: "7200"})
			mustEnd(t, h.again(i, syncer.Incremental), syncer.PartiallySucceeded, fault.CodeUpstreamUnavailable)
			asked := dueAt(h.integration(i))
			hurry(h, i)
			if next := dueAt(h.integration(i)); next.Before(h.now.Add(2*time.Hour-time.Second)) || next.After(asked.Add(time.Second)) {
				t.Errorf("the next run comes in %v, Microsoft asked for two hours", next.Sub(h.now))
			}
			if n, err := h.store.ScheduleDue(t.Context(), h.now.Add(2*time.Hour-time.Minute)); n != 0 || err != nil {
				t.Errorf("%d runs are queued before, %v", n, err)
			}
			h.sim.ClearFaults()
			mustSucceed(t, h.again(i, syncer.Incremental))
			h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityCritical })
			mustSucceed(t, h.due())
		})
	}
}

func dueAt(i connector.Integration) time.Time { return i.DueAt() }
