package syncer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/syncer"
)

// TestRandomWorlds lets directories drift through eight snapshots each while calls fail and processes end in the middle of
// runs. When all is well again, what is stored must equal what the simulator's own model of the directory says.
// WORLDS sets how many directories (default 2; `make worlds` takes 200).
func TestRandomWorlds(t *testing.T) {
	eachSeed(t, "WORLDS", 2, func(t *testing.T, seed uint64) {
		w := newRandomWorld(t, seed)
		for snapshot := range uint64(8) {
			w.both(w.while())
			w.change(world.RandomChanges(1000*seed+snapshot, 1+w.random.IntN(8))...)
			w.absence()
			w.somebody()
			w.both(w.while())
			w.trouble()
			if t.Failed() {
				t.Fatalf("after snapshot %d", snapshot)
			}
		}
		w.settle()
	})
}

// eachSeed carries out a test by as many seeds as a variable of that name says, from the one on that another one does with _FROM behind it.
func eachSeed(t *testing.T, name string, usual int, test func(t *testing.T, seed uint64)) {
	t.Parallel()
	first := uint64(seeds(name+"_FROM", 0))
	for seed := first; seed < first+uint64(seeds(name, usual)); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			test(t, seed)
		})
	}
}

type randomWorld struct {
	*house
	random *rand.Rand
	linked connector.Integration
	away   *world.Change // brings back the machines that are away
}

func newRandomWorld(t *testing.T, seed uint64) *randomWorld {
	w := untouchedWorld(t, seed, 14)
	w.readSomehow()
	w.linked = w.connect(w.tenant, nil)
	w.trouble()
	return w
}

// untouchedWorld is a directory that nobody has connected.
func untouchedWorld(t *testing.T, seed uint64, machines int) *randomWorld {
	w := &randomWorld{house: newPlainHouse(t, machines, 9), random: rand.New(rand.NewPCG(seed, 7))}
	if seed%2 == 1 { // changes are written in many shares
		o := postgres.ForWork()
		o.ChangesAtOnce = int64(1 + seed%11)
		w.store = postgrestest.Open(t, w.url, o)
	}
	w.wire(defender.Config{Pages: defender.Pages{Rows: 30, Batch: 7}, Retry: defender.RetryPolicy{Tries: 2}})
	return w
}

// readSomehow makes a syncer that reads the report one of all the ways.
func (w *randomWorld) readSomehow() {
	o := syncer.Options{SpoolDir: w.t.TempDir()}
	switch w.random.IntN(3) {
	case 0:
		o.Report = syncer.DefaultReportPolicy()
		o.Report.WholeRows = 0
	case 1:
		o.Report.FilesRows = 1
	}
	if w.random.IntN(2) == 0 {
		o.Removal = syncer.DefaultRemovalPolicy()
	}
	o.Catalogue = syncer.DefaultCataloguePolicy()
	o.Catalogue.MaxAge = 0
	w.syncer = syncer.New(w.store, w.links, o, w.logger(), silence{}, w.clock)
}

// trouble carries out a run, now and then with a call that fails or a process that ends, and looks that nothing is counted wrong.
func (w *randomWorld) trouble() {
	w.t.Helper()
	defer w.sim.ClearFaults()
	if w.random.IntN(4) == 0 {
		w.readSomehow()
	}
	w.order()
	switch w.random.IntN(3) {
	case 0:
		w.fault(w.anyFault())
	case 1:
		w.interrupt()
		w.sim.ClearFaults()
	}
	run := w.work()
	for run.State == syncer.Queued || run.State == syncer.Running {
		run = w.work()
	}
	w.mustAudit(w.tenant)
	w.mustExplain(run)
}

// while is some hours, longer now and then than changes overlap.
func (w *randomWorld) while() time.Duration { return time.Duration(w.random.IntN(30)) * time.Hour }

// absence lets some machines be away from now on, few or nearly all, and those come back that were.
func (w *randomWorld) absence() {
	w.t.Helper()
	if w.away != nil {
		w.change(*w.away)
		w.away = nil
	}
	if w.random.IntN(3) > 0 {
		return
	}
	from := w.random.IntN(12)
	to := from + 1 + w.random.IntN(2)
	if w.random.IntN(4) == 0 {
		from, to = 0, 12
	}
	w.change(world.Change{Op: "remove_machines", From: from, To: to})
	w.away = &world.Change{Op: "restore_machines", From: from, To: to}
}

// somebody changes the settings now and then, or lets through what is held.
func (w *randomWorld) somebody() {
	w.t.Helper()
	for range w.random.IntN(3) {
		w.set(w.linked, w.anySetting())
	}
	for _, c := range w.held(w.linked) {
		if w.random.IntN(2) == 0 {
			if _, err := w.store.ApproveHeldChange(w.t.Context(), w.tenant, w.linked.PublicID, syncer.Approval{Kind: c.Kind, Run: c.Run}, w.now); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// anySetting is a change of one setting, or of all back to the defaults.
func (w *randomWorld) anySetting() func(*inventory.Settings) {
	n := w.random.IntN(100)
	flip := n%2 == 0
	all := []func(*inventory.Settings){
		func(s *inventory.Settings) { *s = inventory.DefaultSettings() },
		func(s *inventory.Settings) { s.MinSeverity = inventory.Severity(1 + n%4) },
		func(s *inventory.Settings) { s.AttackVectors = s.AttackVectors[:1] },
		func(s *inventory.Settings) {
			s.AttackVectors = []inventory.AttackVector{inventory.VectorNetwork, inventory.AttackVector(2 + n%3)}
		},
		func(s *inventory.Settings) {
			s.UnknownVector = []inventory.UnknownVectorPolicy{inventory.UnknownInclude, inventory.UnknownExclude, inventory.UnknownIfSevere}[n%3]
		},
		func(s *inventory.Settings) { s.ExcludeUserInteraction = flip },
		func(s *inventory.Settings) { s.MaxAgeDays = []int{2, 5, 15, 30, 60}[n%5] },
		func(s *inventory.Settings) { s.RequireFQDN = flip },
		func(s *inventory.Settings) { s.IncludeDiscovered = flip },
		func(s *inventory.Settings) { s.DeviceGroups = []string{"Workstations", "Servers", "Kiosks"}[:n%4] },
		func(s *inventory.Settings) {
			if s.IPDeny = nil; flip {
				s.IPDeny = []netip.Prefix{netip.MustParsePrefix("10.200.0.0/16")} // where the drift moves machines to
			}
		},
		func(s *inventory.Settings) { s.ImportVulnerabilities, s.ImportAssets = flip, s.ImportAssets || !flip },
		func(s *inventory.Settings) {
			s.ImportAssets, s.ImportVulnerabilities = flip, s.ImportVulnerabilities || !flip
		},
	}
	return all[w.random.IntN(len(all))]
}

// order asks for a run unless there is one.
func (w *randomWorld) order() {
	w.t.Helper()
	if w.number(`select count(*) from job where state = 'queued'`) > 0 {
		return
	}
	if _, err := w.store.StartRun(w.t.Context(), w.tenant, w.linked.PublicID, syncer.Incremental); err != nil {
		w.t.Fatal(err)
	}
}

func (w *randomWorld) anyFault() defendersim.Fault {
	routes := []string{"token", "machines", "vulnerabilities", "software_vulnerabilities", "software_vulnerability_changes", "software_vulnerabilities_export", "blob"}
	f := defendersim.Fault{Route: routes[w.random.IntN(len(routes))], After: w.random.IntN(3), Times: 1 + w.random.IntN(4)}
	switch w.random.IntN(5) {
	case 0:
		f.Status = 503
	case 1:
		f.ResetAfter = 1 + w.random.IntN(3000)
	case 2:
		f.TruncateAfter = 1 + w.random.IntN(3000)
	case 3:
		f.Status, f.RetryAfter = 429, "1"
	case 4:
		f.Status, f.Body = 404, "json"
	}
	return f
}

// interrupt ends the process at one of the first calls of a run. Its job goes back into the queue.
func (w *randomWorld) interrupt() {
	w.t.Helper()
	calls := 3
	if !w.integration(w.linked).Settings.ImportVulnerabilities {
		calls = 1 // there may be no more
	}
	id := w.fault(defendersim.Fault{PathPrefix: "/api", After: w.random.IntN(calls), Hold: true})
	j := w.claim()
	ctx, end := context.WithCancelCause(w.t.Context())
	ending := make(chan job.Outcome, 1)
	go func() { ending <- w.syncer.Handle(ctx, j) }()
	if err := w.sim.AwaitFault(w.t.Context(), id); err != nil {
		w.t.Fatal(err)
	}
	end(job.ErrStopping)
	o := <-ending
	if err := w.store.Finish(w.t.Context(), j, o); err != nil {
		w.t.Fatal(err)
	}
}

// settle runs until nothing fails or is doubted any more, and compares.
func (w *randomWorld) settle() {
	w.t.Helper()
	if w.away != nil {
		w.change(*w.away)
	}
	w.calm()
	w.mustEqualAFreshImport()
	w.mustFollowTheSettings()
	w.set(w.linked, func(s *inventory.Settings) { *s = inventory.DefaultSettings() })
	w.calm()
	w.mustEqualTruthButStale()
	full := w.again(w.linked, syncer.Full)
	mustSucceed(w.t, full)
	if c := full.Report.Totals(); c.Changes() != 0 {
		w.t.Errorf("a full run changed %+v", c)
	}
}
