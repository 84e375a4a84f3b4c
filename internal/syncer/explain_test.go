package syncer_test

import (
	"slices"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	entitled := tenant.Entitlement{InternalAssessments: true}
	notice := func(code string) *syncer.Notice { n := syncer.NoticeOf(fault.New(code, "")); return &n }
	machines := func(c syncer.Counts) syncer.StageReport {
		return syncer.StageReport{Name: syncer.StageAssets, State: syncer.Succeeded, Counts: c, SkippedBy: map[inventory.Reason]int64{inventory.Stale: c.Skipped}}
	}
	rows := func(c syncer.Counts) syncer.StageReport {
		return syncer.StageReport{Name: syncer.StageVulnerabilities, State: syncer.Succeeded, Counts: c, SkippedBy: map[inventory.Reason]int64{inventory.VectorIsLocal: c.Skipped}}
	}
	some := syncer.Counts{Fetched: 5, Accepted: 5, Created: 5}
	none := syncer.Counts{Fetched: 5, Skipped: 5}
	stages := func(s ...syncer.StageReport) syncer.Report { return syncer.Report{Stages: s} }
	for _, c := range []struct {
		name  string
		run   syncer.Run
		alter func(*inventory.Settings)
		e     tenant.Entitlement
		want  []string
	}{
		{"queued", syncer.Run{State: syncer.Queued}, nil, entitled, []string{syncer.ExplainNotYetRun}},
		{"running", syncer.Run{State: syncer.Running}, nil, entitled, []string{syncer.ExplainInProgress}},
		{"cancelling", syncer.Run{State: syncer.Cancelling}, nil, entitled, []string{syncer.ExplainInProgress}},
		{"imported", syncer.Run{State: syncer.Succeeded, Report: stages(machines(some), rows(some))}, nil, entitled, nil},
		{"nothing new", syncer.Run{State: syncer.Succeeded, Report: syncer.Report{NoChanges: true, Stages: []syncer.StageReport{machines(some), rows(some)}}}, nil, entitled,
			[]string{syncer.ExplainNothingNew}},
		{"no machines again", syncer.Run{State: syncer.Succeeded, Report: syncer.Report{NoChanges: true, Stages: []syncer.StageReport{machines(syncer.Counts{}), rows(syncer.Counts{})}}},
			nil, entitled, []string{syncer.ExplainNoMachines}},
		{"all filtered again", syncer.Run{State: syncer.Succeeded, Report: syncer.Report{NoChanges: true, Stages: []syncer.StageReport{machines(none), rows(none)}}},
			nil, entitled, []string{syncer.ExplainAllFiltered, syncer.ExplainRowsFiltered}},
		{"no machine reported lately", syncer.Run{State: syncer.Succeeded, Report: syncer.Report{NoChanges: true, Stages: []syncer.StageReport{
			{Name: syncer.StageAssets, State: syncer.Succeeded, Partial: true}, {Name: syncer.StageVulnerabilities, State: syncer.Succeeded, Plan: syncer.Plan{Changes: true}}}}},
			nil, entitled, []string{syncer.ExplainNothingNew}},
		{"no machines", syncer.Run{State: syncer.Succeeded, Report: stages(machines(syncer.Counts{}), rows(syncer.Counts{}))}, nil, entitled,
			[]string{syncer.ExplainNoMachines}},
		{"all filtered", syncer.Run{State: syncer.Succeeded, Report: stages(machines(none), rows(none))}, nil, entitled,
			[]string{syncer.ExplainAllFiltered, syncer.ExplainRowsFiltered}},
		{"no rows", syncer.Run{State: syncer.Succeeded, Report: stages(machines(some), rows(syncer.Counts{}))}, nil, entitled, []string{syncer.ExplainNoRows}},
		{"no rows in what could be read", syncer.Run{State: syncer.PartiallySucceeded, Report: syncer.Report{Warnings: []syncer.Notice{*notice(fault.CodeUnreadable)},
			Stages: []syncer.StageReport{machines(some), rows(syncer.Counts{})}}}, nil, entitled, []string{fault.CodeUnreadable}},
		{"refused", syncer.Run{State: syncer.Failed, Report: syncer.Report{Error: notice(fault.CodeCredentialsInvalid)}}, nil, entitled, []string{fault.CodeCredentialsInvalid}},
		{"refused as it was warned", syncer.Run{State: syncer.Failed, Report: syncer.Report{Error: notice(fault.CodeSecretExpired), Warnings: []syncer.Notice{*notice(fault.CodeSecretExpired)}}},
			nil, entitled, []string{fault.CodeSecretExpired}},
		{"half", syncer.Run{State: syncer.PartiallySucceeded, Report: syncer.Report{Error: notice(fault.CodeLicenceMissing), Stages: []syncer.StageReport{machines(some)}}}, nil, entitled,
			[]string{fault.CodeLicenceMissing}},
		{"cancelled", syncer.Run{State: syncer.Cancelled, Report: syncer.Report{Error: notice(fault.CodeRunCancelled)}}, nil, entitled, []string{fault.CodeRunCancelled}},
		{"not entitled then", syncer.Run{State: syncer.Succeeded, Report: syncer.Report{Warnings: []syncer.Notice{*notice(fault.CodeEntitlementMissing)}}}, nil, entitled,
			[]string{fault.CodeEntitlementMissing}},
		{"not entitled then and now", syncer.Run{State: syncer.Succeeded, Report: syncer.Report{Warnings: []syncer.Notice{*notice(fault.CodeEntitlementMissing)}}}, nil,
			tenant.Entitlement{}, []string{fault.CodeEntitlementMissing}},
		{"not entitled any more", syncer.Run{State: syncer.Succeeded, Report: stages(machines(some), rows(some))}, nil, tenant.Entitlement{}, []string{fault.CodeEntitlementMissing}},
		{"assets off", syncer.Run{State: syncer.Succeeded, Report: stages(machines(some), rows(some))}, assetsOff, entitled, []string{syncer.ExplainAssetsOff}},
		{"vulnerabilities off", syncer.Run{State: syncer.Succeeded, Report: stages(machines(some), rows(syncer.Counts{}))},
			func(s *inventory.Settings) { s.ImportVulnerabilities = false }, entitled, []string{syncer.ExplainFindingsOff}},
		{"held", syncer.Run{State: syncer.Succeeded, Report: syncer.Report{Warnings: []syncer.Notice{*notice(fault.CodeRemovalHeld)}, Stages: []syncer.StageReport{machines(some), rows(some)}}},
			nil, entitled, []string{fault.CodeRemovalHeld}},
		{"missing", syncer.Run{State: syncer.Succeeded, Report: stages(syncer.StageReport{Name: syncer.StageAssets, State: syncer.Succeeded, Counts: some, Missing: 3}, rows(some))}, nil, entitled,
			[]string{syncer.ExplainMissing}},
		{"restarted", syncer.Run{State: syncer.Succeeded, Report: syncer.Report{Restarted: true, Stages: []syncer.StageReport{machines(some), rows(some)}}}, nil, entitled,
			[]string{syncer.ExplainRestarted}},
		{"purge", syncer.Run{Kind: syncer.KindPurge, State: syncer.Succeeded}, assetsOff, entitled, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			settings := inventory.DefaultSettings()
			if c.alter != nil {
				c.alter(&settings)
			}
			var got []string
			for _, n := range syncer.Explain(c.run, connector.Integration{Settings: settings}, c.e, time.Now()) {
				got = append(got, n.Code)
				mustBeDocumented(t, n)
				if n.Title == "" || n.Remedy == "" {
					t.Errorf("%s does not say what it is or what to do: %+v", n.Code, n)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestARunIsExplainedByTheSettingsOfItsTime changes the settings and the subscription after a run and after previews.
func TestARunIsExplainedByTheSettingsOfItsTime(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 4)
	i := h.connect(h.tenant, assetsOff)
	first := h.work()
	mustSucceed(t, first)
	h.set(i, func(s *inventory.Settings) { s.ImportAssets = true })
	mustSucceed(t, h.again(i, syncer.Incremental))
	findingsOff := inventory.DefaultSettings()
	findingsOff.ImportVulnerabilities = false
	carriers := inventory.DefaultSettings()
	carriers.ImportAssets = false
	previews := map[string]syncer.Run{
		syncer.ExplainFindingsOff: h.preview(i, syncer.Incremental, findingsOff), syncer.ExplainAssetsOff: h.preview(i, syncer.Incremental, carriers),
	}
	explained := func(run syncer.Run) (codes []string) {
		stored, err := h.store.Run(t.Context(), h.tenant, run.PublicID)
		must(t, err)
		for _, n := range syncer.Explain(stored, h.integration(i), tenant.Entitlement{}, h.now) {
			codes = append(codes, n.Code)
		}
		return codes
	}
	if codes := explained(first); !slices.Equal(codes, []string{syncer.ExplainAssetsOff}) {
		t.Errorf("the first run: %v", codes)
	}
	for code, run := range previews {
		if codes := explained(run); !slices.Contains(codes, code) || slices.Contains(codes, fault.CodeEntitlementMissing) {
			t.Errorf("a preview that explains %s: %v", code, codes)
		}
	}
	must(t, h.store.SetEntitlement(t.Context(), h.tenant, tenant.Entitlement{}))
	blocked := h.again(i, syncer.Incremental)
	must(t, h.store.SetEntitlement(t.Context(), h.tenant, tenant.Entitlement{InternalAssessments: true}))
	if codes := explained(blocked); !slices.Contains(codes, fault.CodeEntitlementMissing) {
		t.Errorf("the blocked run: %v", codes)
	}
}
