package syncer_test

import (
	"slices"
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// sourcesWith are the source ids of the assets that a text finds.
func (h *house) sourcesWith(text string) (found []string) {
	h.t.Helper()
	assets, _, err := h.store.ListAssets(h.t.Context(), h.tenant, inventory.AssetFilter{Text: text}, inventory.PageRequest{Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, a := range assets {
		found = append(found, a.SourceID)
	}
	return found
}

// writtenWords counts the words of assets and tells by whom the last one was written.
func (h *house) writtenWords() [2]int64 {
	return [2]int64{h.number(`select count(*) from asset_word`), h.number(`select max(xmin::text::bigint) from asset_word`)}
}

func TestImportedAssetsAreFoundByText(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 10, 8)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	for _, a := range h.assets(h.tenant) {
		for _, text := range []string{a.Hostname, a.PrimaryIP.String() + "."} {
			if !slices.Contains(h.sourcesWith(text), a.SourceID) {
				t.Errorf("%q does not find its asset", text)
			}
		}
	}
	before := h.writtenWords()
	source := h.machine(0)
	h.change(world.Change{Op: "touch_machine", MachineID: source, LastSeenDaysAgo: 1})
	mustSucceed(t, h.again(i, syncer.Full))
	if after := h.writtenWords(); before[0] == 0 || after != before {
		t.Errorf("words after a run without changes: %v, before %v", after, before)
	}

	h.change(world.Change{Op: "rename_machine", MachineID: source, Hostname: "Zebra.stable.example"},
		world.Change{Op: "readdress_machine", MachineID: source, IP: "10.77.0.9"})
	mustSucceed(t, h.again(i, syncer.Incremental))
	for _, text := range []string{"zebra", "stable.example", "10.77.0.9", "10.77 zeb"} {
		if found := h.sourcesWith(text); !slices.Equal(found, []string{source}) {
			t.Errorf("%q finds %v", text, found)
		}
	}
	h.change(world.Change{Op: "rename_machine", MachineID: source, Hostname: "donkey.stable.example"})
	mustSucceed(t, h.again(i, syncer.Incremental))
	if old, now := h.sourcesWith("zebra"), h.sourcesWith("donkey"); len(old) != 0 || !slices.Equal(now, []string{source}) {
		t.Errorf("the old name finds %v, the new one %v", old, now)
	}

	if _, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, true); err != nil {
		t.Fatal(err)
	}
	mustSucceed(t, h.work())
	if n := h.number(`select count(*) from asset_word`); n != 0 {
		t.Errorf("%d words outlive their assets", n)
	}
}

func TestTheCatalogueIsFoundByText(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 10, 8)
	h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	if n := h.number(`select count(*) from vulnerability v where not exists (select from vulnerability_words w where w.vulnerability_id = v.id)`); n != 0 {
		t.Errorf("%d vulnerabilities have no words", n)
	}
	page := inventory.PageRequest{Limit: 1000}
	all, _, err := h.store.ListVulnerabilities(t.Context(), h.tenant, inventory.VulnerabilityFilter{}, page)
	if err != nil || len(all) == 0 {
		t.Fatal(len(all), err)
	}
	found, _, err := h.store.ListVulnerabilities(t.Context(), h.tenant, inventory.VulnerabilityFilter{Text: all[0].Name + "."}, page)
	if err != nil || len(found) != 1 || found[0].Name != all[0].Name {
		t.Errorf("%s finds %d: %v", all[0].Name, len(found), err)
	}
}
