package syncer_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
)

// mustBalance adds up the figures of a run by itself.
func mustBalance(t testing.TB, run syncer.Run) {
	t.Helper()
	for _, s := range run.Report.Stages {
		c := s.Counts
		var skipped int64
		for _, n := range s.SkippedBy {
			skipped += n
		}
		if c.Fetched != c.Accepted+c.Skipped || c.Skipped != skipped {
			t.Errorf("%s does not balance: %+v, skipped by %v", s.Name, c, s.SkippedBy)
		}
		if s.Name != syncer.StageVulnerabilities && c.Accepted != c.Created+c.Updated-s.Ledger.StillOut+c.Unchanged {
			t.Errorf("%s: %d accepted: %+v", s.Name, c.Accepted, c)
		}
		mustBalanceFindings(t, run, s)
	}
}

func mustBalanceFindings(t testing.TB, run syncer.Run, s syncer.StageReport) {
	t.Helper()
	c, l := s.Counts, s.Ledger
	if s.Name != syncer.StageVulnerabilities || run.Kind != syncer.KindSync {
		return
	}
	if l.OpenAfter != l.OpenBefore+c.Created+c.Reopened+l.Back-c.Fixed-c.OutOfScope+l.Corrected {
		t.Errorf("findings do not balance: %+v, %+v", c, l)
	}
	if present := c.Created + c.Updated - l.StillOut + c.Reopened + c.Unchanged; c.Fetched > 0 && !s.Plan.Changes && present != l.Present {
		t.Errorf("%d findings were read: %+v, %+v", l.Present, c, l)
	}
}

// leaky is a store whose working areas lose something.
type leaky struct {
	syncer.Store
	lose func(syncer.DataStage) syncer.DataStage
}

func (s leaky) NewStage(ctx context.Context, j job.Job, i connector.Integration, preview bool) (syncer.DataStage, error) {
	stage, err := s.Store.NewStage(ctx, j, i, preview)
	return s.lose(stage), err
}

type losesMachines struct{ syncer.DataStage }

func (s losesMachines) AddMachines(ctx context.Context, machines []syncer.StagedMachine) error {
	return s.DataStage.AddMachines(ctx, slices.DeleteFunc(slices.Clone(machines), func(m syncer.StagedMachine) bool { return m.Index == 3 }))
}

type losesFindings struct{ syncer.DataStage }

func (s losesFindings) AddFindings(ctx context.Context, now time.Time, findings []syncer.StagedFinding) error {
	return s.DataStage.AddFindings(ctx, now, findings[:max(0, len(findings)-1)])
}

type misjudgesFindings struct{ syncer.DataStage }

func (s misjudgesFindings) AddFindings(ctx context.Context, now time.Time, findings []syncer.StagedFinding) error {
	findings = slices.Clone(findings)
	for i := range findings {
		if findings[i].Reason == 0 {
			findings[i].Severity = (findings[i].Severity + 1) % 5
		}
	}
	return s.DataStage.AddFindings(ctx, now, findings)
}

// losesAssets forgets an asset without a word of why: its rows have been taken by then if asset import is off.
type losesAssets struct{ syncer.DataStage }

func (s losesAssets) ApplyMachines(ctx context.Context, o syncer.ApplyMachines) (syncer.MachineChanges, error) {
	c, err := s.DataStage.ApplyMachines(ctx, o)
	if len(c.Assets) > 0 {
		c.Assets = c.Assets[1:]
	}
	return c, err
}

// TestRowsThatWereTakenAndAreOfNoAssetAreMissed looks at a first import, which has nothing to compare with, and at a later one.
func TestRowsThatWereTakenAndAreOfNoAssetAreMissed(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 6)
	i := h.connect(h.tenant, assetsOff)
	leaking := func() {
		lose := func(s syncer.DataStage) syncer.DataStage { return losesAssets{s} }
		h.syncer = syncer.New(leaky{h.store, lose}, h.links, syncer.Options{SpoolDir: t.TempDir()}, h.logger(), silence{}, h.clock)
	}
	leaking()
	mustEnd(t, h.work(), syncer.Failed, fault.CodeLedgerUnbalanced)
	if n := h.number(`select count(*) from finding`); n != 0 {
		t.Errorf("%d findings are stored", n)
	}
	h.wire(defender.Config{})
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustHoldCarriers(h.tenant)
	leaking()
	mustEnd(t, h.again(i, syncer.Incremental), syncer.Failed, fault.CodeLedgerUnbalanced)
	h.wire(defender.Config{})
	mustSucceed(t, h.again(i, syncer.Full))
	h.mustHoldCarriers(h.tenant)
}

func TestARunWhoseFiguresDoNotAddUpFailsAndAppliesNothing(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(syncer.DataStage) syncer.DataStage{
		"a machine is lost":     func(s syncer.DataStage) syncer.DataStage { return losesMachines{s} },
		"a finding is lost":     func(s syncer.DataStage) syncer.DataStage { return losesFindings{s} },
		"severities are others": func(s syncer.DataStage) syncer.DataStage { return misjudgesFindings{s} },
	} {
		for _, mode := range []syncer.Mode{syncer.Incremental, syncer.Full} {
			t.Run(name+", "+string(mode), func(t *testing.T) {
				t.Parallel()
				h := newPlainHouse(t, 12, 6)
				i := h.connect(h.tenant, nil)
				mustSucceed(t, h.work())
				before := h.findingRows(h.tenant)
				h.change(world.Change{Op: "remove_findings", Machine: ptr(1)}, world.Change{Op: "add_findings", Machine: ptr(5), CVEs: h.cvesOf(3)})
				h.syncer = syncer.New(leaky{h.store, lose}, h.links, syncer.Options{SpoolDir: t.TempDir()}, h.logger(), silence{}, h.clock)
				run := h.again(i, mode)
				mustEnd(t, run, syncer.Failed, fault.CodeLedgerUnbalanced)
				if after := h.findingRows(h.tenant); len(after) != len(before) || !subset(after, before) {
					t.Error("findings changed")
				}
				if state := h.integration(i); state.State != connector.StateDegraded || state.StateReason != fault.CodeLedgerUnbalanced {
					t.Errorf("the integration is %s, %s", state.State, state.StateReason)
				}
				h.wire(defender.Config{})
				mustSucceed(t, h.again(i, syncer.Full))
				h.mustEqualTruth(h.tenant)
			})
		}
	}
}

func (h *house) cvesOf(number int) (cves []string) {
	h.t.Helper()
	for _, f := range h.truthOf(h.machine(number)) {
		cves = append(cves, f.CVE)
	}
	return cves
}

func subset(a, b map[string]bool) bool {
	for row := range a {
		if !b[row] {
			return false
		}
	}
	return true
}

// TestFindingsTheDatabaseSwallowsAreMissed has a trigger drop rows behind the statements' backs.
func TestFindingsTheDatabaseSwallowsAreMissed(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 6)
	i := h.connect(h.tenant, nil)
	h.change(world.Change{Op: "remove_findings", Machine: ptr(5)})
	mustSucceed(t, h.work())
	h.change(world.Change{Op: "restore_findings", Machine: ptr(5)})
	h.sql(`create function swallow() returns trigger language plpgsql as $$ begin return null; end $$`)
	h.sql(`create trigger swallow before insert on finding for each row execute function swallow()`)
	mustEnd(t, h.again(i, syncer.Incremental), syncer.Failed, fault.CodeLedgerUnbalanced)
	h.mustAudit(h.tenant)
	h.sql(`drop trigger swallow on finding`)
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
}

// TestWrongCountersStopARunUntilAFullOneSetsThemRight makes an asset leave whose counter is wrong.
func TestWrongCountersStopARunUntilAFullOneSetsThemRight(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 6)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.sql(`update asset set open_high = open_high + 1 where source_id = $1`, h.machine(2))
	h.change(world.Change{Op: "exclude_machine", Machine: ptr(2)})
	mustEnd(t, h.again(i, syncer.Incremental), syncer.Failed, fault.CodeLedgerUnbalanced)
	if a := h.asset(h.tenant, h.machine(2)); a.State == inventory.AssetOutOfScope {
		t.Error("the asset left all the same")
	}
	run := h.again(i, syncer.Full)
	mustSucceed(t, run)
	h.mustEqualTruth(h.tenant)
	h.mustAudit(h.tenant)
}
