package syncer_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
)

// engine runs the house's queue with its syncer; endings tells how jobs ended.
func (h *house) engine(o job.Options) (e *job.Engine, endings chan string) {
	endings = make(chan string, 100)
	handlers := map[job.Kind]job.Handler{job.Sync: h.syncer, job.Purge: h.syncer}
	o.Poll, o.Holder = 10*time.Millisecond, "engine"
	e = job.NewEngine(h.store, handlers, o, slog.New(slog.DiscardHandler), endingMeter(endings))
	e.Start()
	return e, endings
}

type endingMeter chan string

func (m endingMeter) JobEnded(_ job.Kind, ending string, _ time.Duration) { m <- ending }
func (endingMeter) JobsRunning(int)                                       {}

func (h *house) halt(e *job.Engine) {
	h.t.Helper()
	if err := e.Stop(context.WithoutCancel(h.t.Context())); err != nil {
		h.t.Error(err)
	}
}

func TestARunWhoseWorkersDieIsGivenUpAndTheIntegrationGoesOn(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 4, 2)
	i := h.connect(h.tenant, nil)
	for n := 1; n <= 3; n++ { // three workers that claim, begin and die
		j := h.claim()
		if _, err := h.store.BeginRun(t.Context(), j); err != nil || j.Attempt != n {
			t.Fatalf("attempt %d is called %d, %v", n, j.Attempt, err)
		}
		h.sql(`update job set lease_until = now() - interval '1 second'`)
	}
	e, endings := h.engine(job.Options{MaxAttempts: 3})
	if got := <-endings; got != "buried" {
		t.Errorf("the job ended %s", got)
	}
	h.halt(e)
	mustEnd(t, h.latest(i), syncer.Failed, fault.CodeWorkerLost)
	if depth, err := h.store.Depth(t.Context()); err != nil || depth.Dead != 1 || depth.Waiting+depth.Running != 0 {
		t.Errorf("the queue: %+v, %v", depth, err)
	}
	if now := h.integration(i); now.State != connector.StateDegraded || now.StateReason != fault.CodeWorkerLost || time.Until(now.NextRunAt) > 6*time.Hour {
		t.Errorf("the integration is %s %q, and tried again at %v", now.State, now.StateReason, now.NextRunAt)
	}
	mustSucceed(t, h.again(i, syncer.Full))
	h.mustEqualTruth(h.tenant)
}

func (h *house) latest(i connector.Integration) syncer.Run {
	h.t.Helper()
	runs, _, err := h.store.ListRuns(h.t.Context(), i.Tenant, syncer.RunFilter{Integrations: []uuid.UUID{i.PublicID}}, inventory.PageRequest{Limit: 1})
	if err != nil || len(runs) != 1 {
		h.t.Fatalf("%d runs, %v", len(runs), err)
	}
	return runs[0]
}

func TestAStoppingEngineHandsItsRunBack(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 4, 2)
	i := h.connect(h.tenant, nil)
	id := h.fault(defendersim.Fault{Route: "machines", Hold: true})
	e, endings := h.engine(job.Options{})
	if err := h.sim.AwaitFault(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	h.halt(e)
	if got := <-endings; got != "hand_back" {
		t.Errorf("the job ended %s", got)
	}
	if run := h.latest(i); run.State != syncer.Queued {
		t.Errorf("the run is %s", run.State)
	}
	h.sim.ClearFaults()
	next, endings := h.engine(job.Options{})
	if got := <-endings; got != "done" {
		t.Errorf("the second engine's job ended %s", got)
	}
	h.halt(next)
	mustSucceed(t, h.latest(i))
	h.mustEqualTruth(h.tenant)
}

func TestACancelReachesARunningRunThroughItsHeartbeat(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 4, 2)
	i := h.connect(h.tenant, nil)
	id := h.fault(defendersim.Fault{Route: "machines", Hold: true})
	e, endings := h.engine(job.Options{Heartbeat: 10 * time.Millisecond})
	if err := h.sim.AwaitFault(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := h.store.CancelActiveRun(t.Context(), h.tenant, i.PublicID); err != nil {
		t.Fatal(err)
	}
	if got := <-endings; got != "done" {
		t.Errorf("the job ended %s", got)
	}
	h.halt(e)
	mustEnd(t, h.latest(i), syncer.Cancelled, fault.CodeRunCancelled)
	if n := h.inScope(h.tenant); n != 0 {
		t.Errorf("%d assets of a cancelled first run", n)
	}
}

func TestThePurgeOfARunningIntegrationEndsItsRun(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 4, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	if _, err := h.store.StartRun(t.Context(), h.tenant, i.PublicID, syncer.Full); err != nil {
		t.Fatal(err)
	}
	id := h.fault(defendersim.Fault{Route: "machines", Hold: true})
	e, endings := h.engine(job.Options{Heartbeat: 10 * time.Millisecond})
	if err := h.sim.AwaitFault(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, true); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the sync, and the purge
		<-endings
	}
	h.halt(e)
	if left := h.snapshot(h.tenant); left != "" {
		t.Errorf("left behind: %.200s", left)
	}
	if now := h.integration(i); now.State != connector.StateDisconnected {
		t.Errorf("the integration is %s", now.State)
	}
}
