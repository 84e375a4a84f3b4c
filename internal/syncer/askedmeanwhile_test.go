package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
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
			asked := h.integration(i).NextRunAt
			hurry(h, i)
			if next := h.integration(i).NextRunAt; next.Before(h.now.Add(2*time.Hour-time.Second)) || next.After(asked.Add(time.Second)) {
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
