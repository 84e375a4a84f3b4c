package syncer_test

import (
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// TestNothingIsOutOfScopeForAnImportThatIsOn has findings end while the import of vulnerabilities is off: those of a record that comes
// apart from its survivor, of a machine that is merged, and one that is mended. Once it is on, each is what it is without it.
func TestNothingIsOutOfScopeForAnImportThatIsOn(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 8)
	i := h.connect(h.tenant, nil)
	record, survivor, merging, mended := h.machine(2), h.machine(5), h.machine(7), h.machine(8)
	has := map[string]bool{}
	for _, f := range h.truthOf(survivor) {
		has[f.CVE] = true
	}
	var moved string // a vulnerability that the survivor does not have itself
	for f := range h.state().Findings() {
		if !has[f.CVE] {
			moved = f.CVE
		}
	}
	gone := h.truthOf(mended)[0].CVE
	h.change(world.Change{Op: "add_findings", MachineID: record, CVEs: []string{moved}}, world.Change{Op: "merge_machine", MachineID: record, Into: ptr(5)})
	mustSucceed(t, h.work())
	if f := h.findingsOf(h.tenant, survivor)[moved]; f.State != inventory.FindingOpen {
		t.Fatalf("of %q the survivor has %+v", moved, f)
	}
	h.set(i, noVulnerabilities)
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.change(world.Change{Op: "unmerge_machine", MachineID: record}, world.Change{Op: "merge_machine", MachineID: merging, Into: ptr(9)},
		world.Change{Op: "remove_findings", MachineID: mended, CVEs: []string{gone}})
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.set(i, func(s *inventory.Settings) { s.ImportVulnerabilities = true })
	told := h.preview(i, syncer.Incremental, h.integration(i).Settings)
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	mustBeAlike(t, told, run)
	mustBalance(t, run)
	h.mustEqualTruth(h.tenant)
	for source, cve := range map[string]string{survivor: moved, mended: gone} {
		f := h.findingsOf(h.tenant, source)[cve]
		if f.State != inventory.FindingFixed || f.StateReason != "" || f.FixedAt.IsZero() {
			t.Errorf("%s of %s: %+v", cve, source, f)
		}
	}
	for cve, f := range h.findingsOf(h.tenant, merging) {
		if f.State != inventory.FindingOutOfScope || f.StateReason != string(inventory.Merged) {
			t.Errorf("%s of a merged machine is %s %q", cve, f.State, f.StateReason)
		}
	}
	h.mustAudit(h.tenant)
	if again := h.again(i, syncer.Full); !again.Report.NoChanges {
		t.Errorf("afterwards: %s", again.Report.Summary)
	}
}
