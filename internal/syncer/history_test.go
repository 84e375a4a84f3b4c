package syncer_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// history gives what became of a finding as kinds, the newest first.
func (h *house) history(source, cve string) (kinds []inventory.EventKind, events []inventory.Event) {
	h.t.Helper()
	f := h.findingsOf(h.tenant, source)[cve]
	events, err := h.store.FindingHistory(h.t.Context(), h.tenant, f.AssetID, f.VulnID)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return kinds, events
}

func TestAFindingTellsWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 8, 6)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	machine := h.machine(3)
	cve := h.truthOf(machine)[0].CVE
	run := func(changes ...world.Change) syncer.Run {
		t.Helper()
		h.change(changes...)
		h.pass(time.Minute)
		r := h.again(i, syncer.Incremental)
		mustSucceed(t, r)
		return r
	}
	if kinds, events := h.history(machine, cve); !slices.Equal(kinds, []inventory.EventKind{inventory.EventCreated}) || len(events[0].Added) == 0 {
		t.Errorf("at first %+v", events)
	}
	fixed := run(world.Change{Op: "remove_findings", Machine: ptr(3), CVEs: []string{cve}})
	run() // nothing happens, nothing is told
	run(world.Change{Op: "restore_findings", Machine: ptr(3), CVEs: []string{cve}})
	run(world.Change{Op: "exclude_machine", Machine: ptr(3)})
	run(world.Change{Op: "include_machine", Machine: ptr(3)})
	run(world.Change{Op: "change_rows", Percent: 100, Pattern: "clustered"})
	want := []inventory.EventKind{
		inventory.EventUpdated, inventory.EventReturned, inventory.EventOutOfScope, inventory.EventReopened, inventory.EventFixed, inventory.EventCreated,
	}
	kinds, events := h.history(machine, cve)
	if !slices.Equal(kinds, want) {
		t.Fatalf("its history is %v, want %v", kinds, want)
	}
	if out := events[2]; out.Reason != string(inventory.Excluded) || out.Run == uuid.Nil {
		t.Errorf("out of scope is told as %+v", out)
	}
	if e := events[4]; e.Run != fixed.PublicID || !e.Severe {
		t.Errorf("the fix is told as %+v, of run %s", e, fixed.PublicID)
	}
	if up := events[0]; len(up.Added) != 1 || len(up.Gone) != 1 || up.Added[0] == up.Gone[0] {
		t.Errorf("the upgrade is told as %+v", up)
	}
	if events[5].Added[0] != events[0].Gone[0] {
		t.Errorf("it was created with %v and upgraded from %v", events[5].Added, events[0].Gone)
	}
}

func TestAMergedAssetNamesItsSurvivor(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 3)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	gone, survivor := h.machine(1), h.machine(4)
	h.change(world.Change{Op: "merge_machine", Machine: ptr(1), Into: ptr(4)})
	mustSucceed(t, h.again(i, syncer.Incremental))
	if a := h.asset(h.tenant, gone); a.State != inventory.AssetMerged || a.MergedInto != survivor {
		t.Errorf("%s into %q, want %s", a.State, a.MergedInto, survivor)
	}
	h.change(world.Change{Op: "unmerge_machine", Machine: ptr(1)})
	mustSucceed(t, h.again(i, syncer.Incremental))
	if a := h.asset(h.tenant, gone); a.State != inventory.AssetActive || a.MergedInto != "" {
		t.Errorf("%s into %q", a.State, a.MergedInto)
	}
}
