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
)

const renewed = "def8Q~D2fH9jL4nP7rT1vX6zB3dG8kM5qSwYa-abcd"

func TestARefusedSecretNeedsSomebodyAndARotationHeals(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 4)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	before, planned := h.snapshot(h.tenant), h.integration(i).NextRunAt
	h.rotateAtMicrosoft(renewed)
	run := h.again(i, syncer.Incremental)
	mustEnd(t, run, syncer.Failed, fault.CodeCredentialsInvalid)
	if !run.Report.Error.Permanent {
		t.Error("a refused secret is called passing")
	}
	broken := h.integration(i)
	if broken.State != connector.StateActionRequired || broken.StateReason != fault.CodeCredentialsInvalid || !broken.NextRunAt.Equal(planned) {
		t.Errorf("the integration is %s %q, next run %v, planned %v", broken.State, broken.StateReason, broken.NextRunAt, planned)
	}
	if h.snapshot(h.tenant) != before {
		t.Error("a refused sign-in changed the inventory")
	}

	// A secret that does not work is not swapped in.
	if _, _, err := h.rotate(i, "ghi8Q~K3yB8nW2vG6hR1jM5cP9xZ4dF7qTsUe-abcd"); !fault.Is(err, fault.CodeCredentialsInvalid) {
		t.Errorf("a wrong secret was taken: %v", err)
	}
	if still := h.integration(i); still.Version != broken.Version || still.SecretHint != broken.SecretHint {
		t.Error("a refused rotation changed the integration")
	}
	healed, _, err := h.rotate(i, renewed)
	if err != nil || healed.State != connector.StateActive || healed.StateReason != "" || !healed.NextRunAt.Equal(h.stored(h.now)) {
		t.Errorf("after the rotation: %s %q, next run %v, %v", healed.State, healed.StateReason, healed.NextRunAt, err)
	}
	mustSucceed(t, h.due())
	h.mustEqualTruth(h.tenant)
}

func (h *house) rotate(i connector.Integration, secret string) (connector.Integration, []connector.Check, error) {
	return h.links.RotateSecret(h.t.Context(), i.Tenant, i.PublicID, connector.Rotation{Credentials: connector.Credentials{Secret: seal.NewSecret(secret)}})
}

// stored is a time as the database keeps it: in microseconds.
func (h *house) stored(at time.Time) time.Time { return at.Round(time.Microsecond).UTC() }

// due carries out the run that the scheduler queues now.
func (h *house) due() syncer.Run {
	h.t.Helper()
	n, err := h.store.ScheduleDue(h.t.Context(), h.now.Add(time.Millisecond))
	if err != nil || n != 1 {
		h.t.Fatalf("%d runs are due, %v", n, err)
	}
	return h.work()
}

func TestValidateTellsAndHeals(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 4)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	fresh := h.integration(i)
	if _, err := h.links.Validate(t.Context(), h.tenant, i.PublicID); err != nil {
		t.Fatal(err)
	}
	if h.integration(i).Version != fresh.Version {
		t.Error("a validation that changes nothing makes everybody's If-Match fail")
	}
	h.rotateAtMicrosoft(renewed)
	checks, err := h.links.Validate(t.Context(), h.tenant, i.PublicID)
	if err != nil || connector.Refusal(checks) == nil {
		t.Fatalf("a refused secret passes: %+v, %v", checks, err)
	}
	if now := h.integration(i); now.State != connector.StateActionRequired || now.StateReason != fault.CodeCredentialsInvalid {
		t.Errorf("found refused: %s %q", now.State, now.StateReason)
	}
	h.rotateAtMicrosoft(secret)
	if _, err := h.links.Validate(t.Context(), h.tenant, i.PublicID); err != nil {
		t.Fatal(err)
	}
	if now := h.integration(i); now.State != connector.StateActive || now.StateReason != "" {
		t.Errorf("found working: %s %q", now.State, now.StateReason)
	}
	mustSucceed(t, h.due())
}

// duringValidation does something while Microsoft is being asked for a token, and tells how the validation ended.
func (h *house) duringValidation(i connector.Integration, do func()) error {
	h.t.Helper()
	id := h.fault(defendersim.Fault{Route: "token", Hold: true})
	done := make(chan error, 1)
	go func() {
		_, err := h.links.Validate(h.t.Context(), h.tenant, i.PublicID)
		done <- err
	}()
	if err := h.sim.AwaitFault(h.t.Context(), id); err != nil {
		h.t.Fatal(err)
	}
	do()
	h.sim.ReleaseFault(id)
	return <-done
}

func TestValidateDoesNotReviveWhatIsDisconnectedMeanwhile(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.rotateAtMicrosoft(renewed)
	_ = h.duringValidation(i, func() {
		if _, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, false); err != nil {
			t.Fatal(err)
		}
	})
	if now := h.integration(i); now.State != connector.StateDisconnected || now.StateReason != "" {
		t.Errorf("the disconnected integration is %s %q", now.State, now.StateReason)
	}
}

// TestAValidationUnderFormerSettingsSaysNothing has vulnerabilities be turned off, whose permission is missing, while they are being asked for.
func TestAValidationUnderFormerSettingsSaysNothing(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.takes(func(a *defendersim.App) { a.Secret, a.Roles = secret, []string{defendersim.RoleMachineRead} })
	if err := h.duringValidation(i, func() { h.set(i, noVulnerabilities) }); err != nil {
		t.Error(err)
	}
	if now := h.integration(i); now.State != connector.StateActive {
		t.Errorf("the integration is %s %q", now.State, now.StateReason)
	}
}

func TestThrottlingIsPassing(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 4)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.fault(defendersim.Fault{Route: "machines", Status: 429, RetryAfter: "7", Times: 2})
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if s := run.Report.StageNamed(syncer.StageAssets); s.Retries != 2 {
		t.Errorf("%d retries, want 2", s.Retries)
	}
	h.sim.ClearFaults()
	h.fault(defendersim.Fault{Route: "machines", Status: 429, RetryAfter: "1200"})
	mustEnd(t, h.again(i, syncer.Incremental), syncer.Failed, fault.CodeUpstreamThrottled)
	if now := h.integration(i); now.State != connector.StateDegraded || now.DueAt().Before(h.now.Add(20*time.Minute).Add(-time.Second)) {
		t.Errorf("%s, retry after %v; Microsoft asked for 20 minutes", now.State, now.NextRunAt.Sub(h.now))
	}
}

func TestALostLicenceKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 4)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	for _, c := range []struct {
		licence defendersim.Licence
		state   syncer.RunState
	}{{defendersim.LicenceMachinesOnly, syncer.PartiallySucceeded}, {defendersim.LicenceInactive, syncer.Failed}} {
		if err := h.sim.SetLicence(directory, c.licence); err != nil {
			t.Fatal(err)
		}
		mustEnd(t, h.again(i, syncer.Incremental), c.state, fault.CodeLicenceMissing)
		if now := h.integration(i); now.State != connector.StateActionRequired || now.StateReason != fault.CodeLicenceMissing {
			t.Errorf("%s: the integration is %s %q", c.licence, now.State, now.StateReason)
		}
		h.mustEqualTruth(h.tenant)
	}
	if err := h.sim.SetLicence(directory, defendersim.LicenceFull); err != nil {
		t.Fatal(err)
	}
	mustSucceed(t, h.again(i, syncer.Incremental))
	if now := h.integration(i); now.State != connector.StateActive {
		t.Errorf("licensed again: %s %q", now.State, now.StateReason)
	}
}

// TestARejectedStatementLeavesNothingHalfWritten makes the database refuse one machine, then one finding.
func TestARejectedStatementLeavesNothingHalfWritten(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 8, 6)
	i := h.connect(h.tenant, nil)
	h.sql(`create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused' using errcode = 'P0001'; end $$`)
	h.sql(`create trigger refuse before insert on asset for each row when (new.source_id = '` + h.machine(3) + `') execute function refuse()`)
	run := h.work()
	mustEnd(t, run, syncer.Failed, fault.CodeInternal)
	if n := h.number(`select count(*) from asset`); n != 0 {
		t.Errorf("%d assets of a failed statement are visible", n)
	}
	h.sql(`drop trigger refuse on asset`)
	h.sql(`create trigger refuse before insert on exposure for each row execute function refuse()`)
	mustEnd(t, h.again(i, syncer.Incremental), syncer.PartiallySucceeded, fault.CodeInternal)
	if n := h.number(`select count(*) from finding`); n != 0 || h.inScope(h.tenant) != 8 {
		t.Errorf("%d findings of a failed transaction are visible, %d assets", n, h.inScope(h.tenant))
	}
	h.sql(`drop trigger refuse on exposure`)
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
}

func TestASecretThatCannotBeOpenedIsTold(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	h.sql(`update integration set secret_box = '\x00'`)
	h.sim.ClearJournal()
	if _, err := h.links.Validate(t.Context(), h.tenant, i.PublicID); !fault.Is(err, fault.CodeSecretUnreadable) {
		t.Errorf("validated: %v", err)
	}
	if now := h.integration(i); now.State != connector.StateActionRequired || now.StateReason != fault.CodeSecretUnreadable {
		t.Errorf("validated, and %s %q", now.State, now.StateReason)
	}
	mustEnd(t, h.work(), syncer.Failed, fault.CodeSecretUnreadable)
	if calls := len(h.sim.Journal(0)); calls != 0 {
		t.Errorf("%d calls without a secret", calls)
	}
}

func TestSettingsOfADisconnectedIntegrationDoNotBringItsSecretBack(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	if _, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, false); err != nil {
		t.Fatal(err)
	}
	if _, err := h.links.Change(t.Context(), h.tenant, i.PublicID, 0, connector.Change{Name: ptr("Former")}); err != nil {
		t.Fatal(err)
	}
	if n := h.number(`select count(*) from integration where secret_box is null and next_run_at is null`); n != 1 {
		t.Error("the secret box is not null after a change of name")
	}
	if _, err := h.store.StartRun(t.Context(), h.tenant, i.PublicID, syncer.Full); !fault.Is(err, fault.CodeConflict) {
		t.Errorf("a disconnected integration starts a run: %v", err)
	}
	if n := len(h.assets(h.tenant, inventory.AssetActive)); n != 3 {
		t.Errorf("%d assets are kept, want 3", n)
	}
}

// TestASuccessRestoresTheSchedule lets a run by hand succeed before the early retry of the failed one is due.
func TestASuccessRestoresTheSchedule(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	regular := h.integration(i).NextRunAt
	mustSucceed(t, h.again(i, syncer.Incremental))
	if now := h.integration(i).NextRunAt; !now.Equal(regular) {
		t.Errorf("a run by hand moved the next one from %v to %v", regular, now)
	}
	h.fault(defendersim.Fault{Route: "machines", Status: 503})
	mustEnd(t, h.again(i, syncer.Incremental), syncer.Failed, fault.CodeUpstreamUnavailable)
	if early := h.integration(i).NextRunAt; early.After(h.now.Add(time.Hour)) {
		t.Fatalf("the retry is not early: %v", early)
	}
	h.sim.ClearFaults()
	mustSucceed(t, h.again(i, syncer.Incremental))
	if now := h.integration(i).NextRunAt; now.Before(h.now.Add(22*time.Hour)) || now.After(h.now.Add(26*time.Hour)) {
		t.Errorf("after the success the next run is in %v, not in a day", now.Sub(h.now))
	}

	// What somebody asks for meanwhile is not lost.
	h.fault(defendersim.Fault{Route: "machines", Status: 503})
	mustEnd(t, h.again(i, syncer.Incremental), syncer.Failed, fault.CodeUpstreamUnavailable)
	h.sim.ClearFaults()
	if _, err := h.store.StartRun(t.Context(), h.tenant, i.PublicID, syncer.Incremental); err != nil {
		t.Fatal(err)
	}
	r := h.holdAt("machines")
	h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh })
	if o := r.release(); o.Ending != job.Done {
		t.Fatalf("the run ended with %v", o.Ending)
	}
	if now := h.integration(i).NextRunAt; now.After(time.Now()) {
		t.Errorf("the run for the new settings was put off until %v", now)
	}
}
