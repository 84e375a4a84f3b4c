//go:build scale

package syncer_test

import (
	"fmt"
	"testing"

	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/syncer"
)

// TestScaleOfASteadyState imports 100,000 machines and then runs again while nothing has changed.
func TestScaleOfASteadyState(t *testing.T) {
	h := newHouse(t, 0, 0)
	h.server.URL = startSimulator(t, number("STEADY_MACHINES", 100_000), number("STEADY_FINDINGS", 8))
	h.wire(defender.Config{})
	o := syncer.Options{SpoolDir: t.TempDir(), Report: syncer.DefaultReportPolicy(), Removal: syncer.DefaultRemovalPolicy()}
	h.syncer = syncer.New(h.store, h.links, o, h.logger(), silence{}, h.clock)
	i := h.connect(h.tenant, nil)
	mark := h.transaction()
	first := h.work()
	mustSucceed(t, first)
	all := h.writtenSince(mark)
	mark = h.transaction()
	second := h.again(i, syncer.Incremental)
	mustSucceed(t, second)
	written, calls := h.writtenSince(mark), int64(0)
	for _, s := range second.Report.Stages {
		calls += s.Calls
	}
	t.Logf("first run: %s; %d rows written. Second: %s; %d calls, %d rows written, read %+v", first.Report.Summary, all, second.Report.Summary, calls, written, plan(second))
	if calls > 10 || written*100 >= all || !plan(second).Changes {
		t.Errorf("the second run made %d calls and wrote %d rows of %d", calls, written, all)
	}
}

// TestScaleOfManyTenants connects 50 tenants to directories of their own: the catalogue is read once for all of them.
func TestScaleOfManyTenants(t *testing.T) {
	h := newPlainHouse(t, 10, 5)
	h.readCatalogue(syncer.DefaultCataloguePolicy())
	h.sim.ClearJournal()
	for n := range 50 {
		id := fmt.Sprintf("5a1e5b0c-0c8e-4d1c-9a52-%012x", n+1)
		h.addDirectory(plain(spec(id, 10, 5)))
		h.connectTo(h.newTenant(fmt.Sprintf("Tenant %d", n), true), id, nil)
	}
	for range 50 {
		mustSucceed(t, h.work())
	}
	whole, changes := h.catalogueReads()
	t.Logf("50 tenants read the catalogue %d times whole and %d times for changes", whole, changes)
	if whole != 1 || changes != 0 {
		t.Error("it must be read once for all of them")
	}
}
