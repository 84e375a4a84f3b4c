package syncer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// TestRandomHolds takes findings, machines, ratings and settings away and back in any order, and holds each run to what the removal guard
// promises, by what Microsoft listed when it read; see [holdWorld.judge]. HOLDS sets how many directories (default 1; `make worlds` takes 40).
func TestRandomHolds(t *testing.T) {
	eachSeed(t, "HOLDS", 1, func(t *testing.T, seed uint64) {
		w := newHoldWorld(t, seed)
		for range 16 {
			for range 1 + w.random.IntN(3) {
				w.disturb()
			}
			w.wait()
			w.letThrough()
			w.read()
			if t.Failed() {
				t.Fatalf("after\n%s", strings.Join(w.steps, "\n"))
			}
		}
		w.end()
	})
}

// holdWorld is a directory where drops are held back, with what the runs so far have told.
type holdWorld struct {
	*randomWorld
	sources []string
	gone    map[int]bool         // machines that are not listed
	stored  map[string]heldRow   // after the last run
	since   map[string]time.Time // when a run first held a finding back that is held still
	told    map[string]bool      // what the last run told that looked
	let     map[string]bool      // what of it somebody has approved of
	steps   []string             // what happened
}

// heldRow is a stored finding.
type heldRow struct {
	state inventory.FindingState
	waits bool // held back, in a drop or beside one
	held  bool // in a drop
	sight bool // Microsoft lists its machine, which counts
}

func newHoldWorld(t *testing.T, seed uint64) *holdWorld {
	w := &holdWorld{randomWorld: untouchedWorld(t, seed, 22), gone: map[int]bool{}, since: map[string]time.Time{}}
	report, catalogue := syncer.DefaultReportPolicy(), syncer.DefaultCataloguePolicy()
	if catalogue.MaxAge = 0; seed%3 == 0 {
		report.WholeRows = 0
	}
	o := syncer.Options{SpoolDir: t.TempDir(), Removal: syncer.DefaultRemovalPolicy(), Report: report, Catalogue: catalogue}
	w.syncer = syncer.New(w.store, w.links, o, w.logger(), silence{}, w.clock)
	w.toMorning()
	w.linked = w.connect(w.tenant, nil)
	mustSucceed(t, w.work())
	for n := range 22 {
		w.sources = append(w.sources, w.machine(n))
	}
	w.stored = w.look()
	return w
}

func (w *holdWorld) note(format string, args ...any) {
	w.steps = append(w.steps, fmt.Sprintf(format, args...))
}

// some are a few machines, or more than half of them. The first three stay what they are, so that there is always something.
func (w *holdWorld) some() (machines []int) {
	n := 1 + w.random.IntN(3)
	if w.random.IntN(3) == 0 {
		n = 11 + w.random.IntN(6)
	}
	for _, m := range w.random.Perm(19)[:n] {
		machines = append(machines, m+3)
	}
	return machines
}

// disturb changes something about the directory, or the settings.
func (w *holdWorld) disturb() {
	w.t.Helper()
	some, op := w.some(), world.Change{}
	switch w.random.IntN(11) {
	case 0, 1, 2:
		op.Op = "remove_findings"
	case 3:
		op.Op = "restore_findings"
	case 4, 5:
		w.hide(some)
		return
	case 6:
		if op.Op = "touch_machine"; w.random.IntN(2) == 0 {
			op.LastSeenDaysAgo = 45
		}
	case 7:
		var cves []string
		for _, n := range some[:1] {
			for _, f := range w.truthOf(w.sources[n]) {
				cves = append(cves, f.CVE)
			}
		}
		w.note("rate as low %d of %d", len(cves), some[0])
		if len(cves) > 0 {
			w.rateLow(cves)
		}
		return
	default:
		w.set(w.linked, w.anySetting())
		w.note("settings %+v", w.integration(w.linked).Settings)
		return
	}
	w.note("%s %d of %v", op.Op, op.LastSeenDaysAgo, some)
	for _, n := range some {
		if op.Machine = ptr(n); !w.gone[n] {
			w.change(op)
		}
	}
}

// hide takes machines from the list, or brings all back.
func (w *holdWorld) hide(some []int) {
	w.t.Helper()
	if w.random.IntN(2) == 0 {
		w.note("all machines are back")
		for n := range w.gone {
			w.change(world.Change{Op: "restore_machines", From: n, To: n + 1})
		}
		clear(w.gone)
		return
	}
	w.note("no machines %v", some)
	for _, n := range some {
		if !w.gone[n] {
			w.change(world.Change{Op: "remove_machines", From: n, To: n + 1})
			w.gone[n] = true
		}
	}
}

// wait is less than a hold takes, mostly.
func (w *holdWorld) wait() {
	d := []time.Duration{time.Minute, 50 * time.Minute, 3 * time.Hour, 5 * time.Hour, 7 * time.Hour}[w.random.IntN(5)]
	w.note("  %v later", d)
	w.both(d)
}

// letThrough approves of what is held, now and then.
func (w *holdWorld) letThrough() {
	w.t.Helper()
	for _, c := range w.held(w.linked) {
		if w.random.IntN(4) > 0 {
			continue
		}
		w.note("approve of %s", c.Kind)
		if _, err := w.store.ApproveHeldChange(w.t.Context(), w.tenant, w.linked.PublicID, syncer.Approval{Kind: c.Kind, Run: c.Run}, w.now); err != nil {
			w.t.Fatal(err)
		}
		if c.Kind == syncer.HeldFindings {
			w.let = w.told
		}
	}
}

// read carries out a run, now and then one that cannot read all rows or that compares everything, and judges it.
func (w *holdWorld) read() {
	w.t.Helper()
	listed := w.listed()
	var run syncer.Run
	switch w.random.IntN(6) {
	case 0:
		usual := w.server.Config.Handler
		w.server.Config.Handler = &spoiler{next: usual, path: "/api/machines/SoftwareVulnerabilitiesByMachine"}
		run = w.again(w.linked, syncer.Incremental)
		w.server.Config.Handler = usual
	case 1:
		run = w.again(w.linked, syncer.Full)
	default:
		run = w.asTold(w.linked)
	}
	w.note("run %s: %s", run.State, run.Report.Summary)
	w.mustAudit(w.tenant)
	w.judge(run, listed)
}

// listed are the findings that Microsoft has, whatever the settings.
func (w *holdWorld) listed() map[string]bool {
	listed := map[string]bool{}
	number := map[string]int{}
	for n, source := range w.sources {
		number[source] = n
	}
	for row := range w.state().MappingRows(0, "") {
		if source := strings.ToLower(row.MachineID); !w.gone[number[source]] {
			listed[source+" "+row.CVE] = true
		}
	}
	return listed
}

// look reads the stored findings.
func (w *holdWorld) look() map[string]heldRow {
	w.t.Helper()
	db := w.owner()
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(w.t.Context(), `
		select a.source_id || ' ' || v.name, f.state, f.held_as is not null, coalesce(f.held_as in (1, 2), false), a.state in ('active', 'inactive') and a.missing_since is null
		from finding f join asset a on a.tenant_id = f.tenant_id and a.id = f.asset_id join vulnerability v on v.id = f.vulnerability_id
		where f.tenant_id = $1`, w.tenant)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	stored := map[string]heldRow{}
	for rows.Next() {
		var key string
		var r heldRow
		if err := rows.Scan(&key, &r.state, &r.waits, &r.held, &r.sight); err != nil {
			w.t.Fatal(err)
		}
		stored[key] = r
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return stored
}

// end brings all back and runs until nothing is held any more.
func (w *holdWorld) end() {
	w.t.Helper()
	w.note("the end")
	for n := range w.gone {
		w.change(world.Change{Op: "restore_machines", From: n, To: n + 1})
	}
	clear(w.gone)
	w.settle()
	if held := w.held(w.linked); len(held) > 0 {
		w.t.Errorf("held in the end: %+v", held)
	}
	w.mustAudit(w.tenant)
	if w.t.Failed() {
		w.t.Log(strings.Join(w.steps, "\n"))
	}
}
