package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/syncer"
)

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
	least := map[string]time.Duration{"token": 2 * time.Hour, "validation": 2 * time.Hour, "counts": time.Hour}
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
			if wait := dueAt(h.integration(i)).Sub(h.now); wait < least[name]-time.Second || wait > least[name]+time.Second {
				t.Errorf("the next run comes in %v, want %v", wait, least[name])
			}
		})
	}
}

// TestAValidationThatIsAskedToWaitMovesNoVersion meets the same wait twice.
func TestAValidationThatIsAskedToWaitMovesNoVersion(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 2, 1)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	before := h.integration(i)
	h.fault(defendersim.Fault{Route: "machines", Status: 503, RetryAfter: "7200"})
	for range 2 {
		h.pass(time.Minute)
		if _, err := h.links.Validate(t.Context(), h.tenant, i.PublicID); err != nil {
			t.Fatal(err)
		}
	}
	if now := h.integration(i); now.Version != before.Version || now.WaitUntil.Before(h.now.Add(2*time.Hour-time.Second)) {
		t.Errorf("version %d, was %d; waits until %v", now.Version, before.Version, now.WaitUntil)
	}
}

// TestARunOfAnotherApplicationLeavesNoWait replaces the application while a run with the one before is asked to wait.
func TestARunOfAnotherApplicationLeavesNoWait(t *testing.T) {
	t.Parallel()
	h, i, r := secondRunHeldAt(t, "machines")
	h.sql(`update integration set client_id = '0b9d6c7e-61f4-4f0e-8d3a-2c7b5e9f1a02', secret_updated_at = now() + interval '1 second'`)
	h.fault(defendersim.Fault{Route: "software_vulnerabilities", Status: 503, RetryAfter: "7200"})
	must(t, h.store.Finish(t.Context(), r.job, r.release()))
	mustEnd(t, h.run(i, r.job), syncer.PartiallySucceeded, fault.CodeUpstreamUnavailable)
	if now := h.integration(i); !now.WaitUntil.IsZero() || time.Until(dueAt(now)) > 0 {
		t.Errorf("the next run waits until %v, and comes at %v", now.WaitUntil, dueAt(now))
	}
}

// TestARunOfAnotherApplicationEndsNoWait replaces the application while a run with the one before works, and has Microsoft ask the new one to wait
// before that run succeeds.
func TestARunOfAnotherApplicationEndsNoWait(t *testing.T) {
	t.Parallel()
	h, i, r := secondRunHeldAt(t, "machines")
	h.sql(`update integration set client_id = '0b9d6c7e-61f4-4f0e-8d3a-2c7b5e9f1a02', wait_until = now() + interval '2 hours'`)
	must(t, h.store.Finish(t.Context(), r.job, r.release()))
	mustSucceed(t, h.run(i, r.job))
	if wait := time.Until(dueAt(h.integration(i))); wait < time.Hour {
		t.Errorf("the next run comes in %v", wait)
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
