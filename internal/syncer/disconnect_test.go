package syncer_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

func TestAPauseCanEndTheRunInProgress(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 4, 2)
	i := h.connect(h.tenant, nil)
	r := h.holdAt("machines")
	paused, err := h.links.Pause(t.Context(), h.tenant, i.PublicID, 0, true)
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
	if resumed, err := h.links.Resume(t.Context(), h.tenant, i.PublicID, 0); err != nil || resumed.State != connector.StateActive {
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
			run := h.run(i, r.job)
			mustEnd(t, run, syncer.Cancelled, fault.CodeRunCancelled)
			h.mustHaveEnded(run)
			if h.snapshot(h.tenant) != before {
				t.Error("the run wrote after the disconnection")
			}
			now := h.integration(i)
			if now.State != connector.StateDisconnected || now.SecretBox != nil || now.SecretHint != "" || !now.NextRunAt.IsZero() {
				t.Errorf("the integration is %s, secret %v, hint %q", now.State, now.SecretBox != nil, now.SecretHint)
			}
			if _, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, false); !fault.Is(err, fault.CodeConflict) {
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

// mustHaveEnded looks into the audit trail for the end of a run.
func (h *house) mustHaveEnded(run syncer.Run) {
	h.t.Helper()
	f := audit.Filter{Actions: []audit.Action{audit.RunCancelled}, Resources: []string{tenant.PublicText(tenant.RunPrefix, run.PublicID)}}
	events, _, err := h.store.ListAuditEvents(h.t.Context(), h.tenant, f, inventory.PageRequest{Limit: 10})
	must(h.t, err)
	if len(events) != 1 || len(events[0].Changes) != 1 || events[0].Changes[0].After != string(syncer.Cancelled) {
		h.t.Errorf("the end of the run is recorded as %+v", events)
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
	if again, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, true); err != nil || again != id {
		t.Errorf("the purge is %v, asked for again %v, %v", id, again, err)
	}
	if _, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, false); !fault.Is(err, fault.CodeConflict) {
		t.Errorf("retained while it is purged: %v", err)
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

// TestANewConnectionTakesOverWhatWasRetained connects a directory twice in a row, and looks at every moment for what is
// counted twice.
func TestANewConnectionTakesOverWhatWasRetained(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 8)
	old := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	source := h.machine(3)
	cve := h.truthOf(source)[0].CVE
	for _, op := range []string{"remove_findings", "restore_findings"} {
		h.change(world.Change{Op: op, MachineID: source, CVEs: []string{cve}})
		mustSucceed(t, h.again(old, syncer.Incremental))
	}
	before, exposed := h.asset(h.tenant, source), h.number(`select sum(open_assets) from exposure`)
	guard := `select count(*) from integration where id = $1 and guard -> 'rules' ? 'assets' and guard -> 'rules' ? 'findings'`
	if _, err := h.links.Disconnect(t.Context(), h.tenant, old.PublicID, 0, false); err != nil {
		t.Fatal(err)
	}

	link := h.connect(h.tenant, nil)
	taken := h.asset(h.tenant, source)
	if taken.IntegrationPublic != link.PublicID || taken.PublicID != before.PublicID || !taken.CreatedAt.Equal(before.CreatedAt) || open(taken) != open(before) {
		t.Errorf("taken over: %+v\nbefore: %+v", taken, before)
	}
	if first, now := h.integration(old), h.integration(link); first.OpenAssets != 0 || now.OpenAssets != 12 || h.inScope(h.tenant) != 12 {
		t.Errorf("%d assets stayed, %d came, %d are in scope", first.OpenAssets, now.OpenAssets, h.inScope(h.tenant))
	}
	if h.number(guard, link.ID) != 1 {
		t.Error("the removal guard has forgotten what was there")
	}
	run := h.work()
	mustSucceed(t, run)
	if !run.Report.NoChanges {
		t.Errorf("the same directory: %s", run.Report.Summary)
	}
	if f := h.findingsOf(h.tenant, source)[cve]; f.ReopenCount != 1 {
		t.Errorf("the finding was reopened %d times, not once", f.ReopenCount)
	}
	if n := h.number(`select sum(open_assets) from exposure`); n != exposed {
		t.Errorf("%d exposed assets became %d", exposed, n)
	}
	h.mustEqualTruth(h.tenant)
	h.mustAudit(h.tenant)

	// What is left of the old one can be purged, and would not have aged out.
	whole := h.snapshot(h.tenant)
	if n, err := h.store.ScheduleDue(t.Context(), time.Now().Add(inventory.PGPLife+time.Hour)); err != nil || n != 1 || h.work().Kind != syncer.KindSync {
		t.Errorf("%d runs are due, %v", n, err)
	}
	if _, err := h.links.Disconnect(t.Context(), h.tenant, old.PublicID, 0, true); err != nil {
		t.Fatalf("purge while the directory is connected again: %v", err)
	}
	purge := h.work()
	mustSucceed(t, purge)
	if purge.Kind != syncer.KindPurge || h.snapshot(h.tenant) != whole {
		t.Error("the purge of an empty integration took something")
	}
}

// TestWhatIsBeingPurgedIsNotTakenOver connects a directory again before its purge has begun.
func TestWhatIsBeingPurgedIsNotTakenOver(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 8, 5)
	old := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	if _, err := h.links.Disconnect(t.Context(), h.tenant, old.PublicID, 0, true); err != nil {
		t.Fatal(err)
	}
	link := h.connect(h.tenant, nil)
	if purge := h.work(); purge.State != syncer.Succeeded || purge.Report.StageNamed(syncer.StageFinish).Counts.Removed != 8 {
		t.Errorf("the purge: %s, %+v", purge.State, purge.Report)
	}
	run := h.work()
	mustSucceed(t, run)
	if c := assetCounts(t, run); c.Created != 8 || h.integration(link).OpenAssets != 8 {
		t.Errorf("the new import: %+v", c)
	}
	h.mustEqualTruth(h.tenant)
	h.mustAudit(h.tenant)
}

func TestRetainedDataAgeOut(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 8, 5)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	if _, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, false); err != nil {
		t.Fatal(err)
	}
	at := func(later time.Duration) (queued int) {
		t.Helper()
		queued, err := h.store.ScheduleDue(t.Context(), time.Now().Add(later))
		if err != nil {
			t.Fatal(err)
		}
		return queued
	}
	if n := at(inventory.PGPLife - time.Hour); n != 0 {
		t.Fatalf("%d purges before their time", n)
	}
	if n := at(inventory.PGPLife + time.Hour); n != 1 || h.integration(i).State != connector.StateDisconnecting {
		t.Fatalf("%d purges in time, the integration is %s", n, h.integration(i).State)
	}
	// A purge that came to nothing is repeated a day later.
	if _, err := h.store.CancelRun(t.Context(), h.tenant, h.latestPurge(i)); err != nil {
		t.Fatal(err)
	}
	if soon, later := at(inventory.PGPLife+2*time.Hour), at(inventory.PGPLife+26*time.Hour); soon != 0 || later != 1 {
		t.Fatalf("after a purge that failed: %d at once, %d a day later", soon, later)
	}
	purge := h.work()
	mustSucceed(t, purge)
	if purge.Kind != syncer.KindPurge || h.snapshot(h.tenant) != "" || h.integration(i).State != connector.StateDisconnected {
		t.Errorf("the purge: %+v, the integration is %s", purge.Report, h.integration(i).State)
	}
	if n := at(10 * inventory.PGPLife); n != 0 {
		t.Errorf("%d purges of what is gone", n)
	}
}

func (h *house) latestPurge(i connector.Integration) uuid.UUID {
	h.t.Helper()
	runs, _, err := h.store.ListRuns(h.t.Context(), i.Tenant, syncer.RunFilter{Integrations: []uuid.UUID{i.PublicID}, Purges: true}, inventory.PageRequest{Limit: 1})
	if err != nil || len(runs) != 1 {
		h.t.Fatalf("%d purges, %v", len(runs), err)
	}
	return runs[0].PublicID
}

// TestAPauseEndsNoPurge has the integration be disconnected between a pause and what it does to the run in progress.
func TestAPauseEndsNoPurge(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 4, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	_, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, true)
	must(t, err)
	must(t, h.store.CancelActiveRun(t.Context(), h.tenant, i.PublicID))
	if run := h.work(); run.Kind != syncer.KindPurge || run.State != syncer.Succeeded {
		t.Errorf("the purge is %s", run.State)
	}
}
