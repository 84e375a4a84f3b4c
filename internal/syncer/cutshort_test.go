package syncer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
)

// heldComparing is a run that has fixed the findings of a machine and waits for Microsoft's own counts.
func heldComparing(t *testing.T) (*house, connector.Integration, *held) {
	t.Helper()
	h := newPlainHouse(t, 6, 12)
	// No run but the first reads the catalogue, so that the counts alone are held; and no progress is stored just because time passes.
	h.syncer = syncer.New(h.store, h.links, syncer.Options{SpoolDir: t.TempDir(), ProgressEvery: time.Hour}, h.logger(), silence{}, h.clock)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.sql(`update reconciliation set taken_at = taken_at - interval '1 month'`) // due again
	h.change(world.Change{Op: "remove_findings", Machine: ptr(1)})
	_, err := h.store.StartRun(t.Context(), h.tenant, i.PublicID, syncer.Incremental)
	must(t, err)
	r := h.holdAt("vulnerabilities")
	if h.number(`select count(*) from finding where state = 2`) == 0 {
		t.Fatal("nothing is fixed yet")
	}
	return h, i, r
}

// mustTellFixed fails unless a run that was cut short tells that findings were fixed, and how many.
func mustTellFixed(t *testing.T, h *house, run syncer.Run, begin string) {
	t.Helper()
	s := run.Report.StageNamed(syncer.StageVulnerabilities)
	fixed := h.number(`select count(*) from finding where state = 2`)
	if s == nil || fixed == 0 || s.Counts.Fixed != fixed || s.State == syncer.Running {
		t.Fatalf("the stage of the vulnerabilities: %+v", s)
	}
	for _, want := range []string{begin, "Assets: 0 created, 0 updated, 6 unchanged", "Findings: 0 created, ", fmt.Sprintf(" %d fixed", fixed)} {
		if !strings.Contains(run.Report.Summary, want) {
			t.Errorf("it does not say %q: %s", want, run.Report.Summary)
		}
	}
}

const cancelledBehind = "Cancelled after assets and vulnerabilities were brought up to date."

func TestARunThatIsCancelledBehindItsFindingsTellsOfThem(t *testing.T) {
	t.Parallel()
	h, i, r := heldComparing(t)
	_, err := h.store.CancelRun(t.Context(), h.tenant, r.job.Subject)
	must(t, err)
	r.end(job.ErrCancelled)
	<-r.ending
	run := h.run(i, r.job)
	mustEnd(t, run, syncer.Cancelled, fault.CodeRunCancelled)
	mustTellFixed(t, h, run, cancelledBehind)
}

func TestADisconnectionBehindTheFindingsTellsOfThem(t *testing.T) {
	t.Parallel()
	h, i, r := heldComparing(t)
	_, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, false)
	must(t, err)
	run := h.run(i, r.job)
	mustEnd(t, run, syncer.Cancelled, fault.CodeRunCancelled)
	mustTellFixed(t, h, run, cancelledBehind)
	r.release()
	mustTellFixed(t, h, h.run(i, r.job), cancelledBehind)
}

// TestACancelledRunDoesNotForgetWhatAnAttemptStored cancels a run in the queue after its process stopped behind the findings.
func TestACancelledRunDoesNotForgetWhatAnAttemptStored(t *testing.T) {
	t.Parallel()
	h, _, r := heldComparing(t)
	r.stop()
	run, err := h.store.CancelRun(t.Context(), h.tenant, r.job.Subject)
	must(t, err)
	mustEnd(t, run, syncer.Cancelled, fault.CodeRunCancelled)
	if want := cancelledBehind + " There are no figures of the vulnerabilities."; run.Report.Summary != want {
		t.Errorf("it says %s", run.Report.Summary)
	}
}

// unadding is a stage that cannot add up what is stored.
type unadding struct{ syncer.DataStage }

func (unadding) Holdings(context.Context) (syncer.Holdings, error) {
	return syncer.Holdings{}, errors.New("a statement failed")
}

func TestAFailureBehindTheFindingsTellsOfThem(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 12)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.change(world.Change{Op: "remove_findings", Machine: ptr(1)})
	h.sql(`update reconciliation set taken_at = taken_at - interval '1 month'`) // due again
	failing := leaky{h.store, func(s syncer.DataStage) syncer.DataStage { return unadding{s} }}
	h.syncer = syncer.New(failing, h.links, syncer.Options{SpoolDir: t.TempDir()}, h.logger(), silence{}, h.clock)
	run := h.again(i, syncer.Incremental)
	mustEnd(t, run, syncer.PartiallySucceeded, fault.CodeInternal)
	mustTellFixed(t, h, run, "Assets and vulnerabilities were imported, but the run did not come to its end: ")
}

// TestACancelledPurgeTellsWhatItDeleted ends a purge between two batches.
func TestACancelledPurgeTellsWhatItDeleted(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 12)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	_, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, true)
	must(t, err)
	ctx, end := context.WithCancelCause(t.Context())
	h.syncer = syncer.New(onceDeleting{h.store, end}, h.links, syncer.Options{}, h.logger(), silence{}, h.clock)
	run := h.workUnder(ctx)
	mustEnd(t, run, syncer.Cancelled, fault.CodeRunCancelled)
	if want := "Cancelled. 6 assets had been deleted by then, with everything that belonged to them."; run.Report.Summary != want || run.Report.Totals().Removed != 6 {
		t.Errorf("it says %s", run.Report.Summary)
	}
}

// onceDeleting is a store whose first batch of a purge is followed by a cancellation.
type onceDeleting struct {
	syncer.Store
	end context.CancelCauseFunc
}

func (s onceDeleting) Purge(ctx context.Context, j job.Job, integration int64) (int64, bool, error) {
	if err := context.Cause(ctx); err != nil {
		return 0, false, err
	}
	deleted, _, err := s.Store.Purge(ctx, j, integration)
	s.end(job.ErrCancelled)
	return deleted, true, err
}
