package syncer_test

import (
	"maps"
	"slices"
	"testing"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

const twin = "5a1e5b0c-0c8e-4d1c-9a52-3f5c1d0e7a02"

// seeded makes a directory whose machines, names and findings depend on the seed and the domain alone.
func seeded(id, domain string, seed uint64) defendersim.DirectorySpec {
	s := plain(spec(id, 12, 8))
	s.Seed, s.Domain = &seed, domain
	return s
}

// TestTenantsWithTheSameMachinesSeeTheirOwn lets three tenants share ids: two connect the same directory, the third one a
// directory with the same machines.
func TestTenantsWithTheSameMachinesSeeTheirOwn(t *testing.T) {
	t.Parallel()
	h := newHouseOf(t, seeded(directory, "contoso.example", 77))
	h.addDirectory(seeded(twin, "fabrikam.example", 77))
	second, third := h.newTenant("Fabrikam", true), h.newTenant("Litware", true)
	directories := map[tenant.ID]string{h.tenant: directory, second: directory, third: twin}
	var first connector.Integration
	for _, id := range []tenant.ID{h.tenant, second, third} {
		i := h.connectTo(id, directories[id], nil)
		mustSucceed(t, h.work())
		if id == h.tenant {
			first = i
		}
	}
	mine, theirs := h.assets(h.tenant), h.assets(third)
	if !slices.Equal(slices.Sorted(maps.Keys(mine)), slices.Sorted(maps.Keys(theirs))) {
		t.Fatal("the directories were meant to hold the same machine ids")
	}
	ids := map[string]bool{}
	for _, id := range []tenant.ID{h.tenant, second, third} {
		h.mustEqualTruthOf(id, directories[id])
		for _, a := range h.assets(id) {
			if ids[a.PublicID.String()] {
				t.Error("two tenants share the public id of an asset")
			}
			ids[a.PublicID.String()] = true
		}
	}

	// What happens to one does not happen to the others.
	others := []string{h.snapshot(second), h.snapshot(third)}
	h.change(leave(3), world.Change{Op: "remove_findings", Machine: ptr(9)})
	mustSucceed(t, h.again(first, syncer.Incremental))
	h.mustEqualTruthOf(h.tenant, directory)
	if h.snapshot(second) != others[0] || h.snapshot(third) != others[1] {
		t.Error("one tenant's run changed another tenant's inventory")
	}
	h.mustAudit(second)
	h.mustAudit(third)
	if _, err := h.store.StartRun(t.Context(), second, first.PublicID, syncer.Full); !fault.Is(err, fault.CodeNotFound) {
		t.Errorf("a tenant starts another's run: %v", err)
	}

	// Purging one leaves the others whole, what they recommend included.
	if _, err := h.links.Disconnect(t.Context(), h.tenant, first.PublicID, 0, true); err != nil {
		t.Fatal(err)
	}
	mustSucceed(t, h.work())
	if h.snapshot(h.tenant) != "" || h.snapshot(second) != others[0] || h.snapshot(third) != others[1] {
		t.Error("a purge took too little or too much")
	}
}

// TestTwoDirectoriesOfOneTenantCountTogether connects two directories with the same vulnerabilities in one tenant.
func TestTwoDirectoriesOfOneTenantCountTogether(t *testing.T) {
	t.Parallel()
	h := newHouseOf(t, seeded(directory, "contoso.example", 77))
	h.addDirectory(seeded(twin, "fabrikam.example", 77))
	one := h.connectTo(h.tenant, directory, nil)
	mustSucceed(t, h.work())
	two := h.connectTo(h.tenant, twin, nil)
	mustSucceed(t, h.work())
	if n, want := h.inScope(h.tenant), int64(24); n != want {
		t.Errorf("%d assets, want %d", n, want)
	}
	h.mustAudit(h.tenant)
	h.change(leave(12))
	mustSucceed(t, h.again(one, syncer.Incremental))
	mustSucceed(t, h.again(one, syncer.Incremental)) // the second run lets the removal through
	h.mustEqualTruthOf(h.tenant, twin)
	if _, err := h.links.Disconnect(t.Context(), h.tenant, one.PublicID, 0, true); err != nil {
		t.Fatal(err)
	}
	mustSucceed(t, h.work())
	h.mustEqualTruthOf(h.tenant, twin)
	if n := h.number(`select count(*) from asset where integration_id <> $1`, two.ID); n != 0 {
		t.Errorf("%d assets of the purged integration are left", n)
	}
}
