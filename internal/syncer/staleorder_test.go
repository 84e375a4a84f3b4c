package syncer_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/lib/pq"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// ruleChanges are single changes of the settings that take less than [wide] does.
var ruleChanges = map[string]func(*inventory.Settings){
	"age":                func(s *inventory.Settings) { s.MaxAgeDays = 30 },
	"groups":             func(s *inventory.Settings) { s.DeviceGroups = []string{"Workstations", "Servers"} },
	"no group":           func(s *inventory.Settings) { s.DeviceGroups = []string{"No such group"} },
	"tags to include":    func(s *inventory.Settings) { s.TagsInclude = []string{"prod", "vip"} },
	"tags to exclude":    func(s *inventory.Settings) { s.TagsExclude = []string{"prod", "pci"} },
	"full names":         func(s *inventory.Settings) { s.RequireFQDN = true },
	"denied addresses":   func(s *inventory.Settings) { s.IPDeny = []netip.Prefix{netip.MustParsePrefix("10.10.0.0/29")} },
	"severity":           func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh },
	"no vulnerabilities": func(s *inventory.Settings) { s.ImportVulnerabilities = false },
	"no assets":          func(s *inventory.Settings) { s.ImportAssets = false },
}

func wide(s *inventory.Settings) {
	*s = inventory.DefaultSettings()
	s.MaxAgeDays, s.IncludeDiscovered = 180, true
}

// aged has every third plain machine silent for 45 days, and takes all of them. Rows of them are known therefore.
func aged(t *testing.T) (*house, connector.Integration) {
	h := newHouse(t, 18, 12)
	for n := 0; n < 18; n += 3 {
		h.change(world.Change{Op: "touch_machine", Machine: ptr(n), LastSeenDaysAgo: 45})
	}
	i := h.connect(h.tenant, wide)
	mustSucceed(t, h.work())
	return h, i
}

// standing is where every asset and every finding stands, and why. Of those out of scope the import state is history.
func (h *house) standing() []string {
	h.t.Helper()
	lines := h.texts(`select concat_ws(' ', source_id, state, state_reason, case when state <> 'out_of_scope' then import_state end, hostname, primary_ip, group_name, tags) from asset order by 1`)
	return append(lines, h.texts(`
		select concat_ws(' ', a.source_id, a.state, v.name, f.state, f.state_reason, f.closed_at is null) from finding f
		join asset a on a.id = f.asset_id join vulnerability v on v.id = f.vulnerability_id order by 1`)...)
}

// texts reads a column of text as the owner.
func (h *house) texts(query string) (lines []string) {
	h.t.Helper()
	db := h.owner()
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(h.t.Context(), `select array(`+query+`)`).Scan(pq.Array(&lines)); err != nil {
		h.t.Fatalf("%s: %v", query, err)
	}
	return lines
}

// TestTheOrderOfChangesDoesNotShow changes several settings one by one, in every order.
func TestTheOrderOfChangesDoesNotShow(t *testing.T) {
	t.Parallel()
	for _, words := range []string{
		"age,groups", "age,no group", "age,tags to include", "age,tags to exclude", "age,full names", "age,denied addresses", "age,no vulnerabilities",
		"age,no assets", "groups,severity", "age,groups,severity", "age,no assets,severity",
	} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			h, i := aged(t)
			start := h.standing()
			var want []string
			for _, order := range permutations(strings.Split(words, ",")) {
				for _, word := range order {
					h.set(i, ruleChanges[word])
					run := h.again(i, syncer.Incremental)
					mustSucceed(t, run)
					mustBalance(t, run)
					h.mustAudit(h.tenant)
				}
				if full := h.again(i, syncer.Full); !full.Report.NoChanges {
					t.Errorf("%v: a full run found something left: %s", order, full.Report.Summary)
				}
				got := h.standing()
				if want == nil {
					want = got
				}
				mustStandAlike(t, strings.Join(order, ", then "), got, want)
				h.set(i, wide)
				mustSucceed(t, h.again(i, syncer.Incremental))
				mustStandAlike(t, "back again", h.standing(), start)
			}
		})
	}
}

func mustStandAlike(t *testing.T, when string, got, want []string) {
	t.Helper()
	missing, extra := difference(want, got), difference(got, want)
	if len(missing)+len(extra) > 0 {
		t.Errorf("%s: %d things stand otherwise, e.g. %q instead of %q", when, len(extra), extra[:min(3, len(extra))], missing[:min(3, len(missing))])
	}
}

func permutations(words []string) (all [][]string) {
	if len(words) <= 1 {
		return [][]string{words}
	}
	for i, first := range words {
		rest := append(append([]string{}, words[:i]...), words[i+1:]...)
		for _, p := range permutations(rest) {
			all = append(all, append([]string{first}, p...))
		}
	}
	return all
}

// TestStaleAssetsAreHeldToTheRulesForMachines refuses stale assets for another reason, and takes that back.
func TestStaleAssetsAreHeldToTheRulesForMachines(t *testing.T) {
	t.Parallel()
	h, i := aged(t)
	narrowed := func(words ...string) {
		h.set(i, func(s *inventory.Settings) {
			wide(s)
			for _, word := range words {
				ruleChanges[word](s)
			}
		})
		told := h.preview(i, syncer.Incremental, h.integration(i).Settings)
		run := h.again(i, syncer.Incremental)
		mustSucceed(t, run)
		mustBeAlike(t, told, run)
		mustBalance(t, run)
		h.mustAudit(h.tenant)
	}
	stale := func() int64 { return h.number(`select count(*) from asset where state = 'stale'`) }
	open := func() int64 {
		return h.number(`select count(*) from finding f join asset a on a.id = f.asset_id where a.state = 'stale' and f.state = 1`)
	}
	narrowed("age")
	assets, findings := stale(), open()
	if assets < 6 || findings == 0 {
		t.Fatalf("%d assets are stale and have %d open findings", assets, findings)
	}
	narrowed("age", "no group")
	if n := h.number(`select count(*) from asset where state <> 'out_of_scope' or state_reason <> 'device_group_filtered'`); n != 0 {
		t.Errorf("%d assets are not filtered by their group", n)
	}
	if n := h.number(`select count(*) from finding where state = 1 or state = 3 and state_reason <> 'device_group_filtered'`); n != 0 {
		t.Errorf("%d findings stand otherwise than their assets", n)
	}
	narrowed("no group")
	narrowed("age") // the filter goes and the age comes at once
	if stale() != assets || open() != findings {
		t.Errorf("%d assets are stale and have %d open findings, want %d and %d", stale(), open(), assets, findings)
	}
	if n := h.number(`select count(*) from finding where state_reason = 'device_group_filtered'`); n != 0 {
		t.Errorf("%d findings tell a reason that is none any more", n)
	}
}

// TestAssetsThatReturnStale has assets come back that were removed, or merged, and silent meanwhile.
func TestAssetsThatReturnStale(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 12)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	gone, merged := h.machine(4), h.machine(7)
	was := map[string]int{gone: len(h.findingsOf(h.tenant, gone)), merged: len(h.findingsOf(h.tenant, merged))}
	h.change(world.Change{Op: "remove_machines", From: 4, To: 5}, world.Change{Op: "merge_machine", MachineID: merged, Into: ptr(8)})
	mustSucceed(t, h.again(i, syncer.Incremental))
	for id, want := range map[string]inventory.AssetState{gone: inventory.AssetRemoved, merged: inventory.AssetMerged} {
		if a := h.asset(h.tenant, id); a.State != want || a.Counts.Total() != 0 {
			t.Fatalf("the asset is %s with %+v", a.State, a.Counts)
		}
	}
	h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh })
	h.change(world.Change{Op: "restore_machines", From: 4, To: 5}, world.Change{Op: "unmerge_machine", MachineID: merged},
		world.Change{Op: "touch_machine", MachineID: gone, LastSeenDaysAgo: 45}, world.Change{Op: "touch_machine", MachineID: merged, LastSeenDaysAgo: 45},
		world.Change{Op: "rename_machine", MachineID: gone, Hostname: "renamed.contoso.example"})
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	mustBalance(t, run)
	for id, n := range was {
		h.mustBeStale(id, inventory.SeverityHigh, inventory.SeverityBelowMin)
		if a := h.asset(h.tenant, id); a.Counts.Total() == 0 || len(h.findingsOf(h.tenant, id)) != n {
			t.Errorf("%d findings, %+v open, of %d", len(h.findingsOf(h.tenant, id)), a.Counts, n)
		}
	}
	if name := h.asset(h.tenant, gone).Hostname; name != "renamed.contoso.example" {
		t.Errorf("a stale asset is called %s still", name)
	}
	if again := h.again(i, syncer.Full); !again.Report.NoChanges {
		t.Errorf("a full run found something left: %s", again.Report.Summary)
	}
}
