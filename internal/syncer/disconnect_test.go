package syncer_test

import (
	"errors"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
)

func TestAPauseCanEndTheRunInProgress(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 4, 2)
	i := h.connect(h.tenant, nil)
	r := h.holdAt("machines")
	paused, err := h.links.Pause(t.Context(), h.tenant, i.PublicID, true)
	if err != nil || paused.State != connector.StatePaused || !paused.NextRunAt.IsZero() {
		t.Fatalf("paused: %s, next run %v, %v", paused.State, paused.NextRunAt, err)
	}
	if cancel, err := h.store.Extend(t.Context(), r.job, time.Minute); err != nil || !cancel {
		t.Errorf("the run is not asked to end: %v, %v", cancel, err)
	}
	r.end(job.ErrCancelled)
	<-r.ending
	mustEnd(t, h.run(i, r.job), syncer.Cancelled, fault.CodeRunCancelled)
	if err := h.store.Finish(t.Context(), r.job, job.Outcome{Ending: job.Done}); err != nil {
		t.Fatal(err)
	}
	h.sim.ClearFaults()
	if _, err := h.store.StartRun(t.Context(), h.tenant, i.PublicID, syncer.Incremental); !fault.Is(err, fault.CodeIntegrationPaused) {
		t.Errorf("a run by hand during the pause: %v", err)
	}
	if now := h.integration(i); now.State != connector.StatePaused || !now.NextRunAt.IsZero() {
		t.Errorf("after the run had ended: %s, next run %v", now.State, now.NextRunAt)
	}
	if resumed, err := h.links.Resume(t.Context(), h.tenant, i.PublicID); err != nil || resumed.State != connector.StateActive {
		t.Errorf("resumed: %s, %v", resumed.State, err)
	}
	mustSucceed(t, h.due())
}

func TestADisconnectionDuringARunIsFinal(t *testing.T) {
	t.Parallel()
	for _, route := range []string{"machines", "software_vulnerabilities"} {
		t.Run(route, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 8, 5)
			i := h.connect(h.tenant, nil)
			r := h.holdAt(route)
			if _, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, false); err != nil {
				t.Fatal(err)
			}
			before := h.snapshot(h.tenant)
			if _, err := h.store.Extend(t.Context(), r.job, time.Minute); !errors.Is(err, job.ErrLeaseLost) {
				t.Errorf("the heartbeat goes on: %v", err)
			}
			if o := r.release(); o.Ending != job.HandBack {
				t.Errorf("the handler ended with %v", o.Ending)
			}
			mustEnd(t, h.run(i, r.job), syncer.Cancelled, fault.CodeRunCancelled)
			if h.snapshot(h.tenant) != before {
				t.Error("the run wrote after the disconnection")
			}
			now := h.integration(i)
			if now.State != connector.StateDisconnected || now.SecretBox != nil || now.SecretHint != "" || !now.NextRunAt.IsZero() {
				t.Errorf("the integration is %s, secret %v, hint %q", now.State, now.SecretBox != nil, now.SecretHint)
			}
			if _, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, false); !fault.Is(err, fault.CodeNotFound) {
				t.Errorf("disconnected twice: %v", err)
			}
			if n := h.number(`select count(*) from job`); n != 0 {
				t.Errorf("%d jobs are left", n)
			}
			// The directory may be connected anew.
			h.sim.ClearFaults()
			h.connect(h.tenant, nil)
			mustSucceed(t, h.work())
		})
	}
}

func TestAPurgeLeavesNothing(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 8, 5)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	id, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	if now := h.integration(i); now.State != connector.StateDisconnecting {
		t.Errorf("the integration is %s", now.State)
	}
	if _, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, true); !fault.Is(err, fault.CodeNotFound) {
		t.Errorf("disconnected twice: %v", err)
	}

	// A purge that somebody cancelled can be asked for again.
	if _, err := h.store.CancelRun(t.Context(), h.tenant, id); err != nil {
		t.Fatal(err)
	}
	if _, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, true); err != nil {
		t.Fatalf("a cancelled purge cannot be started again: %v", err)
	}
	run := h.work()
	mustSucceed(t, run)
	if run.Kind != syncer.KindPurge || run.Report.StageNamed(syncer.StageFinish).Counts.Removed != 8 {
		t.Errorf("the purge: %+v", run.Report)
	}
	if left := h.snapshot(h.tenant); left != "" {
		t.Errorf("left behind: %.300s", left)
	}
	if now := h.integration(i); now.State != connector.StateDisconnected {
		t.Errorf("the integration is %s", now.State)
	}
}
