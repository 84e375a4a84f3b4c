package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// sums is what the differences of a reconciliation add up to.
type sums struct{ missing, stale, held, unexplained, differ int64 }

// mustReconcile carries out another run, whose reconciliation it takes.
func (h *house) mustReconcile(i connector.Integration, mode syncer.Mode) (r syncer.Reconciliation, s sums) {
	h.t.Helper()
	run := h.again(i, mode)
	mustSucceed(h.t, run)
	if r = h.reconciliation(run); r.Run != run.PublicID {
		h.t.Fatalf("no reconciliation was taken: %s", run.Report.Summary)
	}
	for _, d := range r.Differences {
		s.missing, s.stale, s.held, s.unexplained = s.missing+d.Missing, s.stale+d.Stale, s.held+d.Held, s.unexplained+d.Unexplained
		s.differ += d.Exposed - d.Open
	}
	return r, s
}

// clear takes the findings of machines away at Microsoft, from one number up to another.
func (h *house) clear(from, to int) {
	h.t.Helper()
	for n := from; n < to; n++ {
		h.change(world.Change{Op: "remove_findings", Machine: ptr(n)})
	}
}

// openOf counts the open findings of some assets.
func (h *house) openOf(machines []string) (n int64) {
	h.t.Helper()
	for _, source := range machines {
		n += int64(open(h.asset(h.tenant, source)))
	}
	return n
}

// openBy counts the open findings of some assets by vulnerability.
func (h *house) openBy(machines []string) map[string]int64 {
	h.t.Helper()
	n := map[string]int64{}
	for _, source := range machines {
		for cve, f := range h.findingsOf(h.tenant, source) {
			if f.State == inventory.FindingOpen {
				n[cve]++
			}
		}
	}
	return n
}

// patientHouse is a house of so many machines and findings each that wants machines to be missing twice, and findings to drop twice.
func patientHouse(t *testing.T, machines, findings int) (h *house, i connector.Integration, ids []string) {
	h = newPlainHouse(t, machines, findings)
	h.believeAfter(syncer.DefaultRemovalPolicy())
	i = h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.both(time.Hour)
	for n := range machines {
		ids = append(ids, h.machine(n))
	}
	return h, i, ids
}

func TestFindingsThatAreHeldBackAccountForTheDifference(t *testing.T) {
	t.Parallel()
	h, i, ids := patientHouse(t, 30, 12)
	want := h.openOf(ids[5:30])
	h.clear(5, 30)
	for _, mode := range []syncer.Mode{syncer.Incremental, syncer.Full} {
		r, s := h.mustReconcile(i, mode)
		if r.Unexplained != 0 || r.Explained == 0 || s.held != want || s.missing+s.stale != 0 {
			t.Errorf("%s: %d unexplained, %+v, want %d held", mode, r.Unexplained, s, want)
		}
	}
	h.both(7 * time.Hour)
	if r, s := h.mustReconcile(i, syncer.Incremental); r.Unexplained != 0 || s.held != 0 || h.openOf(ids[5:30]) != 0 {
		t.Errorf("once the drop went through: %d unexplained, %+v", r.Unexplained, s)
	}
}

func TestFindingsOfStaleAssetsAccountForTheDifference(t *testing.T) {
	t.Parallel()
	h, i, ids := patientHouse(t, 10, 20)
	h.change(world.Change{Op: "touch_machine", Machine: ptr(0), LastSeenDaysAgo: 40})
	if r, s := h.mustReconcile(i, syncer.Full); r.Unexplained != 0 || s.stale != 0 {
		t.Errorf("with its rows: %d unexplained, %+v", r.Unexplained, s)
	}
	want := h.openOf(ids[:1])
	h.clear(0, 1)
	if r, s := h.mustReconcile(i, syncer.Full); r.Unexplained != 0 || s.stale != want || s.missing+s.held != 0 {
		t.Errorf("without: %d unexplained, %+v, want %d stale", r.Unexplained, s, want)
	}
	h.change(world.Change{Op: "remove_machines", From: 0, To: 1})
	if r, s := h.mustReconcile(i, syncer.Full); r.Unexplained != 0 || r.Missing != 1 || s.missing != want || s.stale+s.held != 0 {
		t.Errorf("and not listed: %d unexplained, %+v, want %d missing", r.Unexplained, s, want)
	}
}

// TestFindingsOfStaleAssetsThatAreNotAskedForAccountForTheDifference lists the machines that reported lately, while the rows are read
// whole because some were merged.
func TestFindingsOfStaleAssetsThatAreNotAskedForAccountForTheDifference(t *testing.T) {
	t.Parallel()
	h, i, ids := patientHouse(t, 10, 20)
	h.readAsIfLarge()
	shared := []string{h.truthOf(ids[0])[0].CVE}
	h.change(world.Change{Op: "touch_machine", Machine: ptr(0), LastSeenDaysAgo: 40}, world.Change{Op: "add_findings", Machine: ptr(7), CVEs: shared},
		world.Change{Op: "add_findings", Machine: ptr(8), CVEs: shared}, world.Change{Op: "merge_machine", Machine: ptr(7), Into: ptr(8)})
	mustSucceed(t, h.again(i, syncer.Full))
	want := h.openOf(ids[:1])
	for _, step := range []struct {
		change, merge string
		stale         int64
	}{{"remove_findings", "unmerge_machine", want}, {"restore_findings", "merge_machine", 0}} {
		h.both(time.Minute)
		h.change(world.Change{Op: step.change, Machine: ptr(0)}, world.Change{Op: step.merge, Machine: ptr(7), Into: ptr(8)},
			world.Change{Op: "touch_machine", Machine: ptr(7)}, world.Change{Op: "touch_machine", Machine: ptr(8)})
		r, s := h.mustReconcile(i, syncer.Incremental)
		if run := h.latest(i); !run.Report.StageNamed(syncer.StageAssets).Partial {
			t.Fatal("all machines were listed")
		}
		if r.Unexplained != 0 || s.stale != step.stale || s.missing+s.held != 0 {
			t.Errorf("%s: %d unexplained, %+v, want %d stale", step.change, r.Unexplained, s, step.stale)
		}
	}
}

// TestEachFindingThatIsKeptAccountsOnce has all ways at once: a drop of findings that is held back, stale assets with rows and without, of
// one that is not listed either, missing assets, rows that are refused, merged records and others beyond the quota.
func TestEachFindingThatIsKeptAccountsOnce(t *testing.T) {
	t.Parallel()
	h, i, ids := patientHouse(t, 40, 12)
	h.limit(40)
	cve := h.truthOf(ids[30])[0].CVE
	h.change(
		world.Change{Op: "touch_machine", Machine: ptr(0), LastSeenDaysAgo: 40}, world.Change{Op: "touch_machine", Machine: ptr(1), LastSeenDaysAgo: 40},
		world.Change{Op: "touch_machine", Machine: ptr(2), LastSeenDaysAgo: 40},
		world.Change{Op: "add_findings", Machine: ptr(31), CVEs: []string{cve}}, world.Change{Op: "merge_machine", Machine: ptr(31), Into: ptr(30)},
	)
	if r, s := h.mustReconcile(i, syncer.Full); r.Unexplained != 0 || s.stale != 0 {
		t.Fatalf("%d unexplained, %+v", r.Unexplained, s)
	}
	h.limit(36)
	h.clear(1, 2)
	h.change(world.Change{Op: "remove_machines", From: 2, To: 6}, world.Change{Op: "add_machines", Count: 3})
	stale, missing, held := h.openBy(ids[1:2]), h.openBy(ids[2:6]), h.openBy(ids[8:28])
	h.clear(8, 28)
	for _, mode := range []syncer.Mode{syncer.Incremental, syncer.Full} {
		r, s := h.mustReconcile(i, mode)
		if r.Unexplained != 0 || min(s.missing, s.stale, s.held) == 0 {
			t.Errorf("%s: %d unexplained, %+v", mode, r.Unexplained, s)
		}
		for _, d := range r.Differences {
			if cve := d.Vulnerability; d.Missing != missing[cve] || d.Stale != stale[cve] || d.Held != held[cve] {
				t.Errorf("%s: %+v, want %d missing, %d stale, %d held", mode, d, missing[cve], stale[cve], held[cve])
			}
		}
	}
}

// TestRefusedFindingsThatAreHeldBackMakeNoDifference has Microsoft tell of most vulnerabilities that they are local: their findings are to go,
// and are held back, while Defender counts the machines as before. Others are gone.
func TestRefusedFindingsThatAreHeldBackMakeNoDifference(t *testing.T) {
	t.Parallel()
	h, i, ids := patientHouse(t, 12, 12)
	var cves []string
	for cve := range h.openBy(ids[:9]) {
		cves = append(cves, cve)
	}
	o := syncer.Options{SpoolDir: t.TempDir(), Removal: syncer.DefaultRemovalPolicy(), Catalogue: syncer.DefaultCataloguePolicy()}
	o.Catalogue.MaxAge = 0
	h.syncer = syncer.New(h.store, h.links, o, h.logger(), silence{}, h.clock)
	h.clear(0, 3)
	h.change(world.Change{Op: "rate_vulnerability", CVEs: cves, AttackVector: "local"})
	held := h.openBy(ids[:3])
	for _, mode := range []syncer.Mode{syncer.Incremental, syncer.Full} {
		r, s := h.mustReconcile(i, mode)
		if r.Unexplained != 0 || s.held == 0 {
			t.Errorf("%s: %d unexplained, %+v", mode, r.Unexplained, s)
		}
		for _, d := range r.Differences {
			if d.Held != held[d.Vulnerability] {
				t.Errorf("%s: %+v, want %d held", mode, d, held[d.Vulnerability])
			}
		}
	}
}

// TestAMergedRecordOfAMachineOverTheQuotaCountsOnce has records merged into machines that there is no room for, with findings of their
// own and with the same ones.
func TestAMergedRecordOfAMachineOverTheQuotaCountsOnce(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]func(*inventory.Settings){"assets on": nil, "assets off": assetsOff} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 16, 12)
			h.limit(8)
			last := h.truthOf(h.machine(15))[0].CVE
			h.change(
				world.Change{Op: "add_findings", Machine: ptr(1), CVEs: []string{last}}, world.Change{Op: "merge_machine", Machine: ptr(1), Into: ptr(15)},
				world.Change{Op: "merge_machine", Machine: ptr(2), Into: ptr(14)}, world.Change{Op: "merge_machine", Machine: ptr(3), Into: ptr(14)},
			)
			h.connect(h.tenant, settings)
			run := h.work()
			mustSucceed(t, run)
			r := h.reconciliation(run)
			if r.Unexplained != 0 {
				t.Errorf("%d unexplained", r.Unexplained)
			}
			for _, d := range r.Differences {
				var out int64
				for _, n := range d.NotImported {
					out += n
				}
				if len(d.Refused) == 0 && out != d.Exposed-d.Open {
					t.Errorf("%d machines are left out, %d should be: %+v", out, d.Exposed-d.Open, d)
				}
			}
		})
	}
}
