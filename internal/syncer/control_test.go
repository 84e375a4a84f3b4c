package syncer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
)

// held is a run whose worker waits for an answer of the simulator.
type held struct {
	h      *house
	fault  string
	job    job.Job
	end    context.CancelCauseFunc
	ending chan job.Outcome
}

// holdAt claims the next job and works on it until the simulator holds a call of the route.
func (h *house) holdAt(route string) *held {
	h.t.Helper()
	r := &held{h: h, fault: h.fault(defendersim.Fault{Route: route, Hold: true}), job: h.claim(), ending: make(chan job.Outcome, 1)}
	ctx, end := context.WithCancelCause(h.t.Context())
	r.end = end
	go func() { r.ending <- h.syncer.Handle(ctx, r.job) }()
	if err := h.sim.AwaitFault(h.t.Context(), r.fault); err != nil {
		h.t.Fatal(err)
	}
	return r
}

// holdAgainAt has somebody start a run, and holds that.
func (h *house) holdAgainAt(i connector.Integration, route string) *held {
	h.t.Helper()
	if _, err := h.store.StartRun(h.t.Context(), i.Tenant, i.PublicID, syncer.Incremental); err != nil {
		h.t.Fatal(err)
	}
	return h.holdAt(route)
}

// secondRunHeldAt has a link whose first import has ended, and holds a second run of it.
func secondRunHeldAt(t *testing.T, route string) (*house, connector.Integration, *held) {
	t.Helper()
	h := newPlainHouse(t, 2, 1)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	return h, i, h.holdAgainAt(i, route)
}

// release lets the held calls go and waits for the handler; later calls of the route pass.
func (r *held) release() job.Outcome {
	r.h.sim.ReleaseFault(r.fault)
	return <-r.ending
}

// stop ends the process that carries the run out, and hands its job back.
func (r *held) stop() {
	r.h.t.Helper()
	r.end(job.ErrStopping)
	o := <-r.ending
	if o.Ending != job.HandBack {
		r.h.t.Fatalf("the handler ended with %v", o.Ending)
	}
	if err := r.h.store.Finish(r.h.t.Context(), r.job, o); err != nil {
		r.h.t.Fatal(err)
	}
}

func (h *house) run(i connector.Integration, j job.Job) syncer.Run {
	h.t.Helper()
	run, err := h.store.Run(context.WithoutCancel(h.t.Context()), i.Tenant, j.Subject)
	if err != nil {
		h.t.Fatal(err)
	}
	return run
}

// takeOver claims a job whose lease ran out. A claim passes over a row that its holder is just writing under.
func (h *house) takeOver() job.Job {
	h.t.Helper()
	h.sql(`update job set lease_until = now() - interval '1 second'`)
	for {
		jobs, err := h.store.Claim(h.t.Context(), job.Room{Holder: "second", Jobs: 1, PerTenant: 1}, time.Minute)
		if err != nil {
			h.t.Fatal(err)
		}
		if len(jobs) == 1 {
			return jobs[0]
		}
	}
}

// TestTheOldHolderOfAClaimWritesNothing takes a claim over while its worker waits for each of the lists.
func TestTheOldHolderOfAClaimWritesNothing(t *testing.T) {
	t.Parallel()
	for _, route := range []string{"token", "machines", "vulnerabilities", "software_vulnerabilities"} {
		t.Run(route, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 8, 5)
			i := h.connect(h.tenant, nil)
			r := h.holdAt(route)
			second := h.takeOver()
			if second.ID != r.job.ID || second.Fence != r.job.Fence+1 || second.Attempt != 2 {
				t.Fatalf("taken over as %+v from %+v", second, r.job)
			}
			before := h.snapshot(h.tenant)
			if o := r.release(); o.Ending != job.HandBack {
				t.Errorf("the old holder ended with %v", o.Ending)
			}
			if h.snapshot(h.tenant) != before {
				t.Error("the old holder wrote")
			}
			if n := h.number(`select count(*) from pg_class where relname ~ '^finding_t[0-9]+$'`); n != 0 {
				t.Error("the old holder left a table")
			}
			if err := h.store.Finish(t.Context(), r.job, job.Outcome{Ending: job.Done}); !errors.Is(err, job.ErrLeaseLost) {
				t.Errorf("the old holder ends the job: %v", err)
			}
			if _, err := h.store.Extend(t.Context(), r.job, time.Minute); !errors.Is(err, job.ErrLeaseLost) {
				t.Errorf("the old holder extends the lease: %v", err)
			}
			if err := h.store.FinishRun(t.Context(), r.job, h.run(i, r.job), syncer.Consequence{State: connector.StateDegraded}); !errors.Is(err, job.ErrLeaseLost) {
				t.Errorf("the old holder ends the run: %v", err)
			}
			if err := h.store.RequeueRun(t.Context(), r.job, false); !errors.Is(err, job.ErrLeaseLost) {
				t.Errorf("the old holder requeues the run: %v", err)
			}
			if err := h.store.Bury(t.Context(), r.job); !errors.Is(err, job.ErrLeaseLost) {
				t.Errorf("the old holder buries the job: %v", err)
			}
			if now := h.integration(i); now.State != connector.StateActive || !now.LastSuccessAt.IsZero() {
				t.Errorf("the old holder touched the integration: %s, %v", now.State, now.LastSuccessAt)
			}
			if o := h.syncer.Handle(t.Context(), second); o.Ending != job.Done {
				t.Fatalf("the new holder ended with %v", o.Ending)
			}
			mustSucceed(t, h.run(i, second))
			h.mustEqualTruth(h.tenant)
		})
	}
}

func TestAFailureOfAReplacedSecretLeavesTheLinkAlone(t *testing.T) {
	t.Parallel()
	for _, replaced := range []bool{false, true} {
		h := newPlainHouse(t, 3, 2)
		i := h.connect(h.tenant, nil)
		held := h.claim()
		run, err := h.store.BeginRun(t.Context(), held)
		if err != nil {
			t.Fatal(err)
		}
		used := h.integration(i).SecretUpdatedAt
		if replaced {
			_, err := h.store.UpdateIntegration(t.Context(), h.tenant, i.PublicID, 0, func(i *connector.Integration) error {
				i.SecretUpdatedAt = used.Add(time.Second)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		run.State = syncer.Failed
		refused := syncer.Consequence{State: connector.StateActionRequired, Reason: fault.CodeSecretExpired, Failed: true, SecretOf: used}
		if err := h.store.FinishRun(t.Context(), held, run, refused); err != nil {
			t.Fatal(err)
		}
		now := h.integration(i)
		if got := now.State == connector.StateActionRequired; got == replaced {
			t.Errorf("secret replaced %v: the integration is %s", replaced, now.State)
		}
		if replaced && now.NextRunAt.After(time.Now()) {
			t.Errorf("the new secret waits until %v", now.NextRunAt)
		}
	}
}

// TestAStageOfALostClaimAppliesNothing asks the store itself, without the checks on the way there.
func TestAStageOfALostClaimAppliesNothing(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	before := h.snapshot(h.tenant)
	if _, err := h.store.StartRun(t.Context(), h.tenant, i.PublicID, syncer.Full); err != nil {
		t.Fatal(err)
	}
	lost := h.claim()
	stage, err := h.store.NewStage(t.Context(), lost, i, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stage.Close() }()
	h.sql(`update job set lease_until = now() - interval '1 second'`)
	h.claim()
	if _, err := stage.ApplyMachines(t.Context(), syncer.ApplyMachines{Confirm: func(*syncer.MachineChanges) error { return nil }}); !errors.Is(err, job.ErrLeaseLost) {
		t.Errorf("apply machines: %v", err)
	}
	if _, err := stage.ApplyFindings(t.Context(), syncer.ApplyFindings{
		Now: h.now, CloseReason: inventory.ImportVulnerabilitiesOff, Confirm: func(*syncer.FindingChanges) error { return nil },
	}); !errors.Is(err, job.ErrLeaseLost) {
		t.Errorf("apply findings: %v", err)
	}
	if _, _, err := h.store.Purge(t.Context(), lost, i.ID); !errors.Is(err, job.ErrLeaseLost) {
		t.Errorf("purge: %v", err)
	}
	if h.snapshot(h.tenant) != before || h.number(`select count(*) from integration where guard -> 'held' <> '{}'`) != 0 {
		t.Error("a lost claim wrote")
	}
}

func TestACancelledRunInTheQueueEndsAtOnce(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	run, err := h.store.CancelRun(t.Context(), h.tenant, h.integration(i).LastRunID)
	if err != nil {
		t.Fatal(err)
	}
	mustEnd(t, run, syncer.Cancelled, fault.CodeRunCancelled)
	if h.number(`select count(*) from job`) != 0 || h.integration(i).LastRunState != string(syncer.Cancelled) {
		t.Error("the job is still there, or the integration shows the run as it was")
	}
	again, err := h.store.CancelRun(t.Context(), h.tenant, run.PublicID)
	if err != nil || again.State != syncer.Cancelled || !again.FinishedAt.Equal(run.FinishedAt) {
		t.Errorf("cancelled once more: %+v, %v", again, err)
	}
	mustSucceed(t, h.again(i, syncer.Full))
}

func TestACancelledRunRemovesNothing(t *testing.T) {
	t.Parallel()
	for _, route := range []string{"machines", "software_vulnerabilities"} {
		t.Run(route, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 8, 5)
			i := h.connect(h.tenant, nil)
			mustSucceed(t, h.work())
			before := h.integration(i)
			h.change(leave(2))
			if _, err := h.store.StartRun(t.Context(), h.tenant, i.PublicID, syncer.Incremental); err != nil {
				t.Fatal(err)
			}
			r := h.holdAt(route)
			run, err := h.store.CancelRun(t.Context(), h.tenant, r.job.Subject)
			if err != nil || run.State != syncer.Cancelling {
				t.Fatalf("cancelled while it runs: %s, %v", run.State, err)
			}
			cancel, err := h.store.Extend(t.Context(), r.job, time.Minute)
			if err != nil || !cancel {
				t.Fatalf("the worker is not told: %v, %v", cancel, err)
			}
			r.end(job.ErrCancelled)
			if o := <-r.ending; o.Ending != job.Done {
				t.Errorf("the handler ended with %v", o.Ending)
			}
			mustEnd(t, h.run(i, r.job), syncer.Cancelled, fault.CodeRunCancelled)
			if n := h.number(`select count(*) from finding where state = 2`); n != 0 {
				t.Errorf("%d findings count as fixed", n)
			}
			if removed := 8 - h.inScope(h.tenant); route == "machines" && removed != 0 {
				t.Errorf("%d assets were removed", removed)
			}
			if now := h.integration(i); now.State != connector.StateActive || !now.LastSuccessAt.Equal(before.LastSuccessAt) {
				t.Errorf("a cancelled run made the integration %s, last success %v", now.State, now.LastSuccessAt)
			}
			h.mustAudit(h.tenant)
			h.sim.ClearFaults()
			if err := h.store.Finish(t.Context(), r.job, job.Outcome{Ending: job.Done}); err != nil {
				t.Fatal(err)
			}
			mustSucceed(t, h.again(i, syncer.Incremental))
			h.mustEqualTruth(h.tenant)
		})
	}
}

func TestAStoppedRunGoesBackToTheQueue(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 8, 5)
	i := h.connect(h.tenant, nil)
	r := h.holdAt("machines")
	r.stop()
	if run := h.run(i, r.job); run.State != syncer.Queued || len(run.Report.Stages) != 0 {
		t.Errorf("the run is %s at %s", run.State, run.Stage)
	}
	h.sim.ClearFaults()
	second := h.claim()
	if second.Attempt != 1 {
		t.Errorf("being handed back cost an attempt: %d", second.Attempt)
	}
	h.syncer.Handle(t.Context(), second)
	mustSucceed(t, h.run(i, second))
	h.mustEqualTruth(h.tenant)
}

// TestSettingsChangedDuringARunComeNext changes the settings while a run, and then a preview, waits for Microsoft.
func TestSettingsChangedDuringARunComeNext(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 8, 6)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	narrow := func(s *inventory.Settings) { s.MinSeverity = min(s.MinSeverity+1, inventory.SeverityCritical) }
	for name, start := range map[string]func() error{
		"run": func() error {
			_, err := h.store.StartRun(t.Context(), i.Tenant, i.PublicID, syncer.Incremental)
			return err
		},
		"preview": func() error {
			_, err := h.store.StartPreview(t.Context(), i.Tenant, i.PublicID, syncer.Incremental, syncer.Preview{Settings: i.Settings})
			return err
		},
	} {
		must(t, start())
		r := h.holdAt("machines")
		h.set(i, narrow)
		if _, err := h.store.ScheduleDue(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		r.release()
		h.sim.ClearFaults()
		if wait := time.Until(h.integration(i).NextRunAt); wait > time.Minute {
			t.Errorf("%s: the next run comes in %v", name, wait)
		}
		h.sql(`delete from job; update integration set next_run_at = now() + interval '1 day'`)
	}
}
