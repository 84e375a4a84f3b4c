package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

func assetsOff(s *inventory.Settings) { s.ImportAssets = false }

// mustHoldCarriers compares the assets in scope with the machines that have findings.
func (h *house) mustHoldCarriers(t tenant.ID) {
	h.t.Helper()
	want := map[string]bool{}
	for f := range h.state().Findings() {
		want[f.SourceID] = true
	}
	got := h.assets(t, inventory.AssetActive, inventory.AssetInactive)
	if len(want) == 0 || len(got) != len(want) {
		h.t.Errorf("%d carriers, want %d", len(got), len(want))
	}
	for source, a := range got {
		if !want[source] || a.Import != inventory.Carrier {
			h.t.Errorf("%s is %s, carries findings: %v", source, a.Import, want[source])
		}
	}
	h.mustAudit(t)
}

// bare finds a machine that counts and has no finding.
func (h *house) bare() string {
	for m := range h.state().Assets() {
		if len(h.truthOf(m.SourceID)) == 0 {
			return m.SourceID
		}
	}
	h.t.Fatal("every machine has findings")
	return ""
}

// TestWithAssetImportOffAndNoCarrierNothingIsTaken has settings that no row of the report meets.
func TestWithAssetImportOffAndNoCarrierNothingIsTaken(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 8, 3)
	i := h.connect(h.tenant, func(s *inventory.Settings) {
		s.ImportAssets, s.MinSeverity = false, inventory.SeverityCritical
		s.AttackVectors, s.UnknownVector = []inventory.AttackVector{inventory.VectorPhysical}, inventory.UnknownExclude
	})
	for _, next := range []func() syncer.Run{h.work, func() syncer.Run { return h.again(i, syncer.Full) }} {
		run := next()
		mustSucceed(t, run)
		mustBalance(t, run)
		if c := run.Report.StageNamed(syncer.StageAssets).Counts; c.Created+c.OutOfScope+c.Removed != 0 || c.Skipped != 8 {
			t.Errorf("%+v: %s", c, run.Report.Summary)
		}
		if n := h.number(`select count(*) from asset`); n != 0 {
			t.Errorf("%d assets are stored", n)
		}
	}
}

func TestWithAssetImportOffOnlyCarriersAreTaken(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 30, 3) // with edge cases, some without findings
	h.change(world.Change{Op: "remove_findings", Machine: ptr(1)}, world.Change{Op: "remove_findings", Machine: ptr(2)})
	i := h.connect(h.tenant, assetsOff)
	run := h.work()
	mustSucceed(t, run)
	h.mustHoldCarriers(h.tenant)
	mustBalance(t, run)
	if again := h.again(i, syncer.Incremental); !again.Report.NoChanges {
		t.Errorf("nothing happened, yet: %s", again.Report.Summary)
	}

	// On: everything. Off: the carriers again, without being held back.
	h.set(i, func(s *inventory.Settings) { s.ImportAssets = true })
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
	for source, a := range h.assets(h.tenant, inventory.AssetActive, inventory.AssetInactive) {
		if a.Import != inventory.Imported {
			t.Errorf("%s is still %s", source, a.Import)
		}
	}
	h.set(i, assetsOff)
	run = h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	h.mustHoldCarriers(h.tenant)
	if a := h.asset(h.tenant, h.bare()); a.State != inventory.AssetOutOfScope || a.StateReason != "import_assets" {
		t.Errorf("a machine without findings is %s %q", a.State, a.StateReason)
	}
}

func TestACarrierWhoseLastFindingIsFixedLeavesAndItsFindingIsFixed(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 4)
	i := h.connect(h.tenant, assetsOff)
	mustSucceed(t, h.work())
	source := h.machine(0)
	for n := 1; len(h.truthOf(source)) == 0; n++ {
		source = h.machine(n)
	}
	count := len(h.truthOf(source))
	h.change(world.Change{Op: "remove_findings", MachineID: source})
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	h.mustAllBe(source, count, inventory.FindingFixed, "")
	h.mustHoldCarriers(h.tenant)
	if c := findingCounts(t, run); c.Fixed != int64(count) || c.OutOfScope != 0 {
		t.Errorf("counts: %+v, want %d fixed", c, count)
	}
	h.change(world.Change{Op: "restore_findings", MachineID: source})
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustHoldCarriers(h.tenant)
	h.mustAllBe(source, count, inventory.FindingOpen, "")
}

func TestAFailedReadOfRowsImportsNothingWhileAssetsAreOff(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 4)
	i := h.connect(h.tenant, assetsOff)
	mustSucceed(t, h.work())
	before := h.snapshot(h.tenant)
	h.change(leave(3))
	h.fault(defendersim.Fault{Route: "software_vulnerabilities", Status: 503})
	mustEnd(t, h.again(i, syncer.Incremental), syncer.Failed, fault.CodeUpstreamUnavailable)
	if h.snapshot(h.tenant) != before {
		t.Error("a failed run changed the inventory")
	}
}

func TestWithVulnerabilityImportOffFindingsLeave(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 8)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	count := h.truth().Findings.Total
	h.set(i, func(s *inventory.Settings) { s.ImportVulnerabilities = false })
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if c := findingCounts(t, run); c.OutOfScope != int64(count) {
		t.Errorf("%d findings left, want %d", c.OutOfScope, count)
	}
	for _, f := range h.allFindings(h.tenant, inventory.FindingFilter{}) {
		if f.State != inventory.FindingOutOfScope || f.StateReason != "import_vulnerabilities" {
			t.Errorf("%s is %s %q", f.Vulnerability, f.State, f.StateReason)
		}
	}
	h.mustAudit(h.tenant)
	if again := h.again(i, syncer.Incremental); !again.Report.NoChanges {
		t.Errorf("off once more: %s", again.Report.Summary)
	}

	// On again, but more narrowly: what stays out says why it does now.
	h.set(i, func(s *inventory.Settings) { s.ImportVulnerabilities, s.MinSeverity = true, inventory.SeverityHigh })
	mustSucceed(t, h.again(i, syncer.Incremental))
	for _, f := range h.allFindings(h.tenant, inventory.FindingFilter{}) {
		state, reason := inventory.FindingOpen, ""
		if f.Severity < inventory.SeverityHigh {
			state, reason = inventory.FindingOutOfScope, "severity_below_minimum"
		}
		if f.State != state || f.StateReason != reason || f.ReopenCount != 0 {
			t.Errorf("%s %s is %s %q, want %s %q", f.Vulnerability, f.Severity, f.State, f.StateReason, state, reason)
		}
	}
	h.set(i, func(s *inventory.Settings) { *s = inventory.DefaultSettings() })
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
}

func TestImportingNothingIsRefused(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	none := inventory.DefaultSettings()
	none.ImportAssets, none.ImportVulnerabilities = false, false
	_, err := h.links.Change(t.Context(), h.tenant, i.PublicID, 0, connector.Change{Settings: &none})
	if !fault.Is(err, fault.CodeNoImportSelected) {
		t.Errorf("both off: %v", err)
	}
	_, _, err = h.links.Connect(t.Context(), h.newTenant("Other", true), connector.Draft{
		Kind: defender.Kind, Credentials: connector.Credentials{DirectoryID: directory, ClientID: client, Secret: seal.NewSecret(secret)}, Settings: none,
	})
	if !fault.Is(err, fault.CodeNoImportSelected) {
		t.Errorf("connect with both off: %v", err)
	}
}

func TestWithoutTheEntitlementNothingIsImportedAndNothingIsLost(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]tenant.Entitlement{
		"not included": {},
		"expired":      {InternalAssessments: true, ValidUntil: time.Now().AddDate(0, 0, -2)},
		"not yet":      {InternalAssessments: true, ValidFrom: time.Now().AddDate(0, 0, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 8, 4)
			i := h.connect(h.tenant, nil)
			mustSucceed(t, h.work())
			before, since := h.snapshot(h.tenant), h.integration(i).LastSuccessAt
			h.entitle(e)
			h.change(leave(2))
			h.sim.ClearJournal()
			run := h.again(i, syncer.Incremental)
			mustSucceed(t, run)
			if !warned(run, fault.CodeEntitlementMissing) || run.Report.Totals() != (syncer.Counts{}) || run.Report.NoChanges {
				t.Errorf("warnings %+v, totals %+v, no changes %v", run.Report.Warnings, run.Report.Totals(), run.Report.NoChanges)
			}
			if calls := len(h.sim.Journal(0)); calls != 0 {
				t.Errorf("%d calls to Microsoft", calls)
			}
			if h.snapshot(h.tenant) != before || !h.integration(i).LastSuccessAt.Equal(since) {
				t.Error("a run that may import nothing changed something")
			}
			h.entitle(tenant.Entitlement{InternalAssessments: true})
			mustSucceed(t, h.again(i, syncer.Incremental))
			h.mustEqualTruth(h.tenant)
		})
	}
}

func (h *house) entitle(e tenant.Entitlement) {
	h.t.Helper()
	e.Source = "test"
	if err := h.store.SetEntitlement(h.t.Context(), h.tenant, e); err != nil {
		h.t.Fatal(err)
	}
}

func TestARunWithoutEntitlementDoesNotVouchForTheLink(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.rotateAtMicrosoft("another" + secret)
	mustEnd(t, h.again(i, syncer.Incremental), syncer.Failed, fault.CodeCredentialsInvalid)
	h.entitle(tenant.Entitlement{})
	mustSucceed(t, h.again(i, syncer.Incremental))
	if now := h.integration(i); now.State != connector.StateActionRequired || now.StateReason != fault.CodeCredentialsInvalid {
		t.Errorf("the integration is %s %q, though nobody tried its secret", now.State, now.StateReason)
	}
}

func TestTheQuotaLeavesNewMachinesOutAndKeepsKnownOnes(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 4)
	h.entitle(tenant.Entitlement{InternalAssessments: true, MaxAssets: 8})
	i := h.connect(h.tenant, nil)
	run := h.work()
	mustSucceed(t, run)
	s := run.Report.StageNamed(syncer.StageAssets)
	if s.Counts.Created != 8 || s.SkippedBy[inventory.QuotaExceeded] != 4 || !warned(run, fault.CodeQuotaExceeded) {
		t.Errorf("counts %+v, skipped %v, warnings %+v", s.Counts, s.SkippedBy, run.Report.Warnings)
	}
	rows := run.Report.StageNamed(syncer.StageVulnerabilities)
	if rows.Counts.Fetched != rows.Counts.Accepted+rows.Counts.Skipped {
		t.Errorf("rows: %+v", rows.Counts)
	}
	h.mustAudit(h.tenant)

	// A machine that leaves makes room in the same run, and known ones stay when the quota shrinks.
	known := h.assets(h.tenant, inventory.AssetActive, inventory.AssetInactive)
	for source := range known {
		h.change(world.Change{Op: "remove_machines", MachineID: source})
		break
	}
	run = h.again(i, syncer.Incremental)
	if c := assetCounts(t, run); c.Removed != 1 || c.Created != 1 {
		t.Errorf("one left, so one should have come: %+v", c)
	}
	h.entitle(tenant.Entitlement{InternalAssessments: true, MaxAssets: 5})
	mustSucceed(t, h.again(i, syncer.Incremental))
	if n := h.inScope(h.tenant); n != 8 {
		t.Errorf("%d assets in scope after the quota shrank, want the 8 known ones", n)
	}
	h.entitle(tenant.Entitlement{InternalAssessments: true})
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
}

// rotateAtMicrosoft makes the stored secret stop working.
func (h *house) rotateAtMicrosoft(secret string) {
	h.t.Helper()
	app := spec(directory, 0, 0).Apps[0]
	app.Secret = secret
	if err := h.sim.SetApp(directory, app); err != nil {
		h.t.Fatal(err)
	}
}
