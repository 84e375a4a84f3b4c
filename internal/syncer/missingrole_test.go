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

// roles makes Microsoft grant these and no others; the secret stays.
func roles(granted ...string) func(*defendersim.App) {
	return func(a *defendersim.App) { a.Secret, a.Roles = secret, granted }
}

// changed is the integration after a change of its settings.
func (h *house) changed(i connector.Integration, change func(*inventory.Settings)) connector.Integration {
	h.t.Helper()
	h.set(i, change)
	return h.integration(i)
}

func noVulnerabilities(s *inventory.Settings) { s.ImportVulnerabilities = false }

// TestTurningOffWhatLacksItsRoleIsEnough has a run or a check find that a role is missing, and the import that needs it turned
// off. Nobody asks Microsoft in between.
func TestTurningOffWhatLacksItsRoleIsEnough(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"run", "validate"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 3, 2)
			i := h.connect(h.tenant, nil)
			mustSucceed(t, h.work())
			h.takes(roles(defendersim.RoleMachineRead))
			h.mustMeet(i, by, fault.CodePermissionMissing)
			if now := h.changed(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh }); now.State != connector.StateActionRequired {
				t.Fatalf("after a change of something else: %s", now.State)
			}
			h.sim.ClearJournal()
			now := h.changed(i, noVulnerabilities)
			if now.State != connector.StateActive || now.StateReason != "" || now.StateNotice.Code != "" || now.NextRunAt.After(h.now.Add(time.Millisecond)) {
				t.Errorf("%s %q, next run %v, now %v", now.State, now.StateReason, now.NextRunAt, h.now)
			}
			if calls := h.sim.Journal(0); len(calls) != 0 {
				t.Errorf("%d calls to Microsoft", len(calls))
			}
			mustSucceed(t, h.due())
		})
	}
}

// TestARoleThatIsNeededAnywayStaysMissing lacks the role for machines, which either import needs.
func TestARoleThatIsNeededAnywayStaysMissing(t *testing.T) {
	t.Parallel()
	for name, granted := range map[string][]string{"one of two": {defendersim.RoleVulnerabilityRead}, "both": {"Alert.Read.All"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 3, 2)
			i := h.connect(h.tenant, nil)
			mustSucceed(t, h.work())
			h.takes(roles(granted...))
			h.mustMeet(i, "validate", fault.CodePermissionMissing)
			if now := h.changed(i, noVulnerabilities); now.State != connector.StateActionRequired || now.StateReason != fault.CodePermissionMissing {
				t.Errorf("%s %q", now.State, now.StateReason)
			}
		})
	}
}

// TestSettingsThatMayMendALinkAreTriedSoon keeps a state that does not say which role is missing.
func TestSettingsThatMayMendALinkAreTriedSoon(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.takes(roles(defendersim.RoleMachineRead))
	h.mustMeet(i, "validate", fault.CodePermissionMissing)
	h.sql(`update integration set state_notice = null`) // as it was stored before notices were kept
	if now := h.changed(i, noVulnerabilities); now.State != connector.StateActionRequired {
		t.Errorf("concluded from nothing: %s", now.State)
	}
	h.mustLook("after the change", time.Minute, 1) // the database has a clock of its own
	if now := h.integration(i); now.State != connector.StateActive {
		t.Errorf("after the look: %s", now.State)
	}
}

// mustMeet has a run or a check find the link broken.
func (h *house) mustMeet(i connector.Integration, by, code string) {
	h.t.Helper()
	if by == "run" {
		run := h.again(i, syncer.Incremental)
		if run.Report.Error == nil || run.Report.Error.Code != code {
			h.t.Fatalf("the run ended as %s: %+v", run.State, run.Report.Error)
		}
	} else if _, err := h.links.Validate(h.t.Context(), h.tenant, i.PublicID); err != nil {
		h.t.Fatal(err)
	}
	if now := h.integration(i); now.State != connector.StateActionRequired || now.StateReason != code {
		h.t.Fatalf("%s %q, want %q", now.State, now.StateReason, code)
	}
}

// TestARunTakesWhatIsStagedWhenARoleIsMissing has the present application lose a role, while another one waits that may have it.
func TestARunTakesWhatIsStagedWhenARoleIsMissing(t *testing.T) {
	t.Parallel()
	const second = "0b9d6c7e-61f4-4f0e-8d3a-2c7b5e9f1a02"
	for name, works := range map[string]bool{"which works": true, "which lacks it too": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 3, 2)
			i := h.connect(h.tenant, nil)
			mustSucceed(t, h.work())
			other := defendersim.App{ClientID: second, Secret: renewed, Roles: []string{defendersim.RoleMachineRead}}
			if works {
				other.Roles = append(other.Roles, defendersim.RoleVulnerabilityRead)
			}
			must(t, h.sim.SetApp(directory, other))
			_, err := h.links.StageSecret(t.Context(), h.tenant, i.PublicID, connector.Rotation{ClientID: second, Credentials: connector.Credentials{Secret: seal.NewSecret(renewed)}})
			must(t, err)
			mustSucceed(t, h.again(i, syncer.Incremental))
			if now := h.integration(i); now.ClientID != client || len(now.Staged.Box) == 0 || !now.Staged.CheckedAt.IsZero() {
				t.Errorf("while the present one works: %s, staged %+v", now.ClientID, now.Staged)
			}
			h.takes(roles(defendersim.RoleMachineRead))
			run := h.again(i, syncer.Incremental)
			now := h.integration(i)
			if works {
				mustSucceed(t, run)
				if now.ClientID != second || len(now.Staged.Box) != 0 || now.State != connector.StateActive {
					t.Errorf("in use is %s, %s, staged %+v", now.ClientID, now.State, now.Staged)
				}
				return
			}
			if run.Report.Error == nil || run.Report.Error.Code != fault.CodePermissionMissing || now.ClientID != client || now.Staged.Problem.Code != fault.CodePermissionMissing || now.State != connector.StateActionRequired {
				t.Errorf("%+v; in use is %s, %s, staged %+v", run.Report.Error, now.ClientID, now.State, now.Staged)
			}
		})
	}
}

// TestAPreviewTriesWhatIsStagedByTheStoredSettings previews less than what is imported, with a staged application that would do for that.
func TestAPreviewTriesWhatIsStagedByTheStoredSettings(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	const second = "0b9d6c7e-61f4-4f0e-8d3a-2c7b5e9f1a02"
	must(t, h.sim.SetApp(directory, defendersim.App{ClientID: second, Secret: renewed, Roles: []string{defendersim.RoleMachineRead}}))
	_, err := h.links.StageSecret(t.Context(), h.tenant, i.PublicID, connector.Rotation{ClientID: second, Credentials: connector.Credentials{Secret: seal.NewSecret(renewed)}})
	must(t, err)
	h.takes(func(a *defendersim.App) { a.Secret = "ghi8Q~K3yB8nW2vG6hR1jM5cP9xZ4dF7qTsUe-abcd" })
	less := h.integration(i).Settings
	noVulnerabilities(&less)
	_, err = h.store.StartPreview(t.Context(), h.tenant, i.PublicID, syncer.Incremental, syncer.Preview{Settings: less})
	must(t, err)
	h.work()
	if now := h.integration(i); now.ClientID != client || now.Staged.Problem.Code != fault.CodePermissionMissing {
		t.Errorf("in use is %s, staged %+v", now.ClientID, now.Staged)
	}
}
