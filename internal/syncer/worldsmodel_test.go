package syncer_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// redraw changes one of the settings by chance.
func (w *randomWorld) redraw(s *inventory.Settings) {
	switch w.random.IntN(12) {
	case 0:
		s.MinSeverity = inventory.Severity(1 + w.random.IntN(4))
	case 1:
		s.AttackVectors = s.AttackVectors[:1]
	case 2:
		s.UnknownVector = draw(w, inventory.UnknownInclude, inventory.UnknownExclude, inventory.UnknownIfSevere)
	case 3, 4:
		s.MaxAgeDays = draw(w, 10, 30, 60, 180)
	case 5:
		s.DeviceGroups = draw(w, nil, []string{"Workstations", "Servers", "Kiosks"}, []string{"No such group"})
	case 6:
		s.TagsInclude = draw(w, nil, []string{"prod", "vip", "site-berlin"})
	case 7:
		s.TagsExclude = draw(w, nil, []string{"prod", "pci"})
	case 8:
		s.IPDeny = draw(w, nil, []netip.Prefix{netip.MustParsePrefix("10.10.0.0/29")})
	case 9:
		s.RequireFQDN = w.random.IntN(2) == 0
	case 10:
		s.IncludeDiscovered = !s.IncludeDiscovered
	case 11:
		s.ImportVulnerabilities, s.ImportAssets = w.random.IntN(3) > 0, w.random.IntN(3) > 0
	}
}

func draw[T any](w *randomWorld, from ...T) T { return from[w.random.IntN(len(from))] }

// mustEqualFresh compares what is stored with what somebody else holds who connects the directory now, under the settings given.
func (w *randomWorld) mustEqualFresh(s inventory.Settings) {
	w.t.Helper()
	fresh := w.newTenant("Fresh", true)
	w.connect(fresh, func(o *inventory.Settings) { *o = s })
	run := w.work()
	mustSucceed(w.t, run)
	if run.Tenant != fresh {
		w.t.Fatal("another run was in the queue")
	}
	mustEqualLines(w.t, w.assetLines(w.tenant), w.assetLines(fresh))
	mustEqualLines(w.t, w.openInScope(w.tenant), w.openInScope(fresh))
	w.mustStandFor(run)
	w.mustTellReasons(s)
}

// assetLines are the assets in scope as comparable lines.
func (h *house) assetLines(t tenant.ID) (lines []string) {
	for id, a := range h.assets(t, inventory.AssetActive, inventory.AssetInactive) {
		lines = append(lines, fmt.Sprintf("asset %s %s %s %s %s %q %q", id, a.State, a.Import, a.Hostname, a.PrimaryIP, a.GroupName, a.Tags))
	}
	return lines
}

// openInScope are their open findings.
func (h *house) openInScope(t tenant.ID) []string {
	assets := h.assets(t, inventory.AssetActive, inventory.AssetInactive)
	return slices.DeleteFunc(h.findings(t, inventory.FindingOpen), func(line string) bool {
		source, _, _ := strings.Cut(line, " ")
		_, ok := assets[source]
		return !ok
	})
}

// mustStandFor checks that an asset that is not in scope stands for the reason for which a fresh run left its machine out.
func (w *randomWorld) mustStandFor(run syncer.Run) {
	w.t.Helper()
	why := map[string]inventory.Reason{}
	for _, line := range w.mustList(run) {
		if line.Stage == syncer.StageAssets {
			why[line.SourceID] = line.Reason
		}
	}
	for id, a := range w.assets(w.tenant, inventory.AssetStale, inventory.AssetOutOfScope, inventory.AssetMerged, inventory.AssetRemoved) {
		reason, listed := why[id]
		if !listed {
			reason = inventory.Removed
		}
		state := inventory.AssetOutOfScope
		switch reason {
		case inventory.Stale, inventory.Merged, inventory.Removed:
			state = inventory.AssetState(reason)
		}
		if a.State != state || a.StateReason != string(reason) {
			w.t.Errorf("asset %s is %s %q, want %s %q", id, a.State, a.StateReason, state, reason)
		}
	}
}

// mustTellReasons checks the findings that no run reads rows of. Those of stale assets are open if the settings take them, and tell
// why not otherwise; those of assets that are out of scope tell the reason of their asset. What is fixed, stays so.
func (w *randomWorld) mustTellReasons(s inventory.Settings) {
	w.t.Helper()
	kept, err := w.store.KeptVulnerabilities(w.t.Context(), w.tenant)
	if err != nil {
		w.t.Fatal(err)
	}
	known := map[string]inventory.Vulnerability{}
	for _, k := range kept {
		known[k.Name] = k.Vulnerability
	}
	judge := inventory.NewJudge(s, w.now)
	for _, row := range w.unread() {
		want := inventory.Reason(row.AssetReason)
		if row.AssetState == string(inventory.AssetStale) {
			v := known[row.Vulnerability]
			want = judge.Finding(inventory.TraitsOf(&v), row.Severity, row.Source, row.Exploitability)
			if !s.ImportVulnerabilities {
				want = inventory.ImportVulnerabilitiesOff
			}
		} else if want == inventory.ImportAssetsOff {
			continue // why its findings do not count is the reason
		}
		if open := row.State == 1; open != (want == inventory.Accepted) || row.Reason != string(want) {
			w.t.Errorf("%+v, want %q", row, want)
		}
	}
}

type unreadFinding struct {
	Source                  inventory.SeveritySource
	Asset, Vulnerability    string
	AssetState, AssetReason string
	State                   int
	Reason, Exploitability  string
	Severity                inventory.Severity
}

// unread are the findings of assets that are not in scope, but for those that are fixed.
func (w *randomWorld) unread() (list []unreadFinding) {
	w.t.Helper()
	db := w.owner()
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(w.t.Context(), `
		select a.source_id, v.name, a.state, a.state_reason, f.state, coalesce(f.state_reason, ''), f.severity, f.severity_source,
		       coalesce((select min(m.exploitability) from remediation m where v.partial and m.tenant_id = $1
		         and m.vulnerability_id = f.vulnerability_id and m.software_id = any(f.software_ids) and m.exploitability <> ''), '')
		from asset a join finding f on f.tenant_id = $1 and f.asset_id = a.id join vulnerability v on v.id = f.vulnerability_id
		where a.tenant_id = $1 and a.state not in ('active', 'inactive') and f.state <> 2`, w.tenant)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var f unreadFinding
		if err := rows.Scan(&f.Asset, &f.Vulnerability, &f.AssetState, &f.AssetReason, &f.State, &f.Reason, &f.Severity, &f.Source, &f.Exploitability); err != nil {
			w.t.Fatal(err)
		}
		list = append(list, f)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return list
}
