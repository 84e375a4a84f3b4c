package syncer_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// readChanges makes a syncer that reads changes whenever it may.
func (h *house) readChanges() {
	policy := syncer.DefaultReportPolicy()
	policy.WholeRows = 0
	catalogue := syncer.DefaultCataloguePolicy()
	catalogue.MaxAge = 0
	o := syncer.Options{SpoolDir: h.t.TempDir(), Report: policy, Catalogue: catalogue}
	h.syncer = syncer.New(h.store, h.links, o, h.logger(), silence{}, h.clock)
}

// plan is how a run read the report.
func plan(run syncer.Run) syncer.Plan { return run.Report.StageNamed(syncer.StageVulnerabilities).Plan }

// TestChangesComeToTheSameAsTheWholeReport lets worlds drift by chance. After each run that reads changes, the inventory must
// equal the directory, and a full run must find nothing to do.
func TestChangesComeToTheSameAsTheWholeReport(t *testing.T) {
	t.Parallel()
	var all atomic.Int64
	t.Cleanup(func() {
		if all.Load() == 0 {
			t.Error("changes were never read")
		}
	})
	for seed := range uint64(seeds("CHANGES_SEEDS", 3)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 20, 12)
			h.wire(defender.Config{Pages: defender.Pages{Rows: 40, Batch: 7}})
			h.readChanges()
			i := h.connect(h.tenant, nil)
			mustSucceed(t, h.work())
			for step := range uint64(6) {
				h.both(2 * time.Hour)
				h.change(world.RandomChanges(100*seed+step, 5)...)
				run := h.next(i)
				mustSucceed(t, run)
				if plan(run).Changes {
					all.Add(1)
				}
				h.mustEqualTruthButStale()
				h.mustAudit(h.tenant)
				if t.Failed() {
					t.Fatalf("step %d, after reading %+v", step, plan(run))
				}
			}
			h.mustNeedNothing(i) // at the end only: it would mend what the steps before leave behind
		})
	}
}

func TestChangesAreReadOfALargeReportOnly(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 8, 6)
	h.readChanges()
	i := h.connect(h.tenant, nil)
	first := h.work()
	mustSucceed(t, first)
	if p := plan(first); p.Changes || p.Why == "" {
		t.Errorf("the first run reads %+v", p)
	}
	h.sim.ClearJournal()
	second := h.again(i, syncer.Incremental)
	mustSucceed(t, second)
	if p := plan(second); !p.Changes || p.Since.IsZero() || !second.Report.NoChanges {
		t.Errorf("the second run reads %+v: %s", p, second.Report.Summary)
	}
	calls := 0
	for _, e := range h.sim.Journal(1000) {
		if calls++; e.Route == "software_vulnerabilities" {
			t.Error("the whole report was read")
		}
	}
	if calls > 10 {
		t.Errorf("a run without changes made %d calls", calls)
	}
	for why, change := range map[string]func(){
		"lost at Microsoft": func() {
			h.fault(defendersim.Fault{Route: "software_vulnerability_changes", Status: 400, Code: "BadRequest", Times: 1})
		},
		"too long ago": func() { h.pass(14 * 24 * time.Hour) },
	} {
		change()
		run := h.again(i, syncer.Incremental)
		mustSucceed(t, run)
		if p := plan(run); p.Changes {
			t.Errorf("%s: %+v", why, p)
		}
	}
}

// mustEqualTruthButStale is mustEqualTruth but for assets that went stale, which keep their open findings.
func (h *house) mustEqualTruthButStale() {
	h.t.Helper()
	inScope := h.assets(h.tenant, inventory.AssetActive, inventory.AssetInactive)
	state := h.stateOf(directory)
	var want []string
	for f := range state.Findings() {
		want = append(want, findingLine(f.SourceID, f.CVE, f.Severity, f.AttackVector, slices.Clone(f.Software)))
	}
	var got []string
	for _, line := range h.findings(h.tenant, inventory.FindingOpen) {
		source, _, _ := strings.Cut(line, " ")
		if _, ok := inScope[source]; ok {
			got = append(got, line)
		}
	}
	slices.Sort(want)
	mustEqualLines(h.t, got, want)
	for a := range state.Assets() {
		if _, ok := inScope[a.SourceID]; !ok {
			h.t.Errorf("asset %s (%s) is missing", a.SourceID, a.Hostname)
		}
		delete(inScope, a.SourceID)
	}
	if len(inScope) > 0 {
		h.t.Errorf("%d assets too many", len(inScope))
	}
}

// seeds is how many random worlds to try: the environment's word, or the everyday number.
func seeds(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// askingForReported is a house that asks only for the machines that reported since the last run, as large directories are read.
func askingForReported(t *testing.T) *house {
	t.Helper()
	h := newPlainHouse(t, 12, 8)
	policy := syncer.DefaultReportPolicy()
	policy.WholeRows, policy.WholeMachines, policy.MachinesOverlap = 0, 0, 0
	h.syncer = syncer.New(h.store, h.links, syncer.Options{SpoolDir: t.TempDir(), Report: policy}, h.logger(), silence{}, h.clock)
	return h
}

func TestOfManyMachinesThoseThatReportedAreRead(t *testing.T) {
	t.Parallel()
	h := askingForReported(t)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.pass(time.Minute)
	renamed, silent := h.machine(4), h.machine(7)
	h.change(leave(1), world.Change{Op: "touch_machine", Machine: ptr(4)}, world.Change{Op: "rename_machine", Machine: ptr(4), Hostname: "renamed.contoso.example"},
		world.Change{Op: "remove_findings", Machine: ptr(5)})
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	assets, findings := assetCounts(t, run), findingCounts(t, run)
	if assets.Fetched >= 12 || assets.Updated != 1 || assets.Removed != 0 || findings.Fixed == 0 || !plan(run).Changes {
		t.Errorf("assets %+v, findings %+v, read %+v", assets, findings, plan(run))
	}
	if h.asset(h.tenant, renamed).Hostname != "renamed.contoso.example" {
		t.Error("the machine that reported was not read")
	}
	// Time passes for the others all the same.
	h.pass(8 * 24 * time.Hour)
	h.syncer = syncer.New(h.store, h.links, syncer.Options{SpoolDir: t.TempDir(), Report: syncer.ReportPolicy{
		WholeEvery: 90 * 24 * time.Hour, KeptFor: 90 * 24 * time.Hour, MachinesEvery: 90 * 24 * time.Hour,
	}}, h.logger(), silence{}, h.clock)
	mustSucceed(t, h.again(i, syncer.Incremental))
	if a := h.asset(h.tenant, silent); a.State != inventory.AssetInactive {
		t.Errorf("a machine that has been silent for eight days is %s", a.State)
	}
	h.pass(30 * 24 * time.Hour)
	run = h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if a := h.asset(h.tenant, silent); a.State != inventory.AssetStale {
		t.Errorf("a machine that has been silent for a month is %s", a.State)
	}
	// The next whole list shows who is missing.
	full := h.again(i, syncer.Full)
	mustSucceed(t, full)
	if c := assetCounts(t, full); c.Removed != 1 {
		t.Errorf("a whole list removed %d machines, want 1", c.Removed)
	}
	h.mustAudit(h.tenant)
}

// TestRowsOfMergedMachinesCountBetweenWholeLists merges two machines, and lets the merged record get new rows while only machines
// that reported are asked for.
func TestRowsOfMergedMachinesCountBetweenWholeLists(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 8)
	policy := syncer.DefaultReportPolicy()
	policy.WholeRows, policy.WholeMachines, policy.MachinesOverlap = 0, 0, 0
	catalogue := syncer.DefaultCataloguePolicy()
	catalogue.MaxAge = 0
	h.syncer = syncer.New(h.store, h.links, syncer.Options{SpoolDir: t.TempDir(), Report: policy, Catalogue: catalogue}, h.logger(), silence{}, h.clock)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.change(world.Change{Op: "merge_machine", Machine: ptr(2), Into: ptr(5)})
	mustSucceed(t, h.again(i, syncer.Incremental)) // whole: machines were merged
	mustSucceed(t, h.again(i, syncer.Full))
	h.pass(time.Minute)
	for seed := range uint64(12) {
		h.change(world.Change{Op: "publish_vulnerability", Seed: seed, Severity: "critical", AttackVector: "network"})
	}
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if a := assetCounts(t, run); a.Fetched >= 12 || !plan(run).Changes {
		t.Errorf("assets %+v, read %+v", a, plan(run))
	}
	h.mustEqualTruthButStale()
	h.mustAudit(h.tenant)
}

// TestVulnerabilitiesThatOnlyRowsTellOfAreNoChange reads changes behind a report that names vulnerabilities which the catalogue lacks.
func TestVulnerabilitiesThatOnlyRowsTellOfAreNoChange(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 20, 12)
	h.wire(defender.Config{Pages: defender.Pages{Rows: 40, Batch: 7}})
	h.readChanges()
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	if h.number(`select count(*) from vulnerability v join exposure e on e.vulnerability_id = v.id where v.partial`) == 0 {
		t.Fatal("the catalogue lacks none")
	}
	known, err := h.store.Reading(t.Context(), h.tenant, i.ID)
	must(t, err)
	if n, err := h.store.RuledAnew(t.Context(), h.tenant, known.RulesAt, known.Refused); err != nil || n != 0 || known.RulesAt.IsZero() {
		t.Errorf("%d are seen otherwise than by the reading, which knew the catalogue of %v: %v", n, known.RulesAt, err)
	}
}

// TestWhatTheCatalogueTellsOtherwiseIsTakenUp changes attack vectors in the catalogue alone: no row of the report changes with them.
func TestWhatTheCatalogueTellsOtherwiseIsTakenUp(t *testing.T) {
	t.Parallel()
	h, i := largeHouse(t)
	open := ""
	for f := range h.state().Findings() {
		if f.Severity != "unknown" {
			open = f.CVE
		}
	}
	const local = `select v.name from vulnerability v, integration i where v.attack_vector = 3 and v.severity > 0 and `
	refused := h.text(local + `i.reading -> 'refused' @> to_jsonb(v.id) limit 1`)
	absent := h.text(local + `not i.reading -> 'refused' @> to_jsonb(v.id) limit 1`)
	for _, step := range []struct {
		cve, vector string
		changes     bool
	}{{open, "local", false}, {refused, "network", false}, {absent, "network", true}, {open, "network", false}} {
		h.change(world.Change{Op: "classify_vulnerability", CVEs: []string{step.cve}, AttackVector: step.vector})
		h.both(time.Hour)
		run := h.again(i, syncer.Incremental)
		mustSucceed(t, run)
		if plan(run).Changes != step.changes {
			t.Errorf("%s is %s now, and the plan was %+v", step.cve, step.vector, plan(run))
		}
		h.mustEqualTruth(h.tenant)
		if again := h.again(i, syncer.Incremental); !again.Report.NoChanges || !plan(again).Changes {
			t.Errorf("%s is %s since a run before, yet %s, the plan was %+v", step.cve, step.vector, again.Report.Summary, plan(again))
		}
	}
}

func (h *house) text(query string) (text string) {
	h.t.Helper()
	db := h.owner()
	defer func() { _ = db.Close() }()
	if err := db.QueryRow(query).Scan(&text); err != nil {
		h.t.Fatal(err)
	}
	return text
}
