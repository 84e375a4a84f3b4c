package syncer_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// calm runs until nothing is held any more: the removal guard may want a second opinion on machines and then on findings, and on what has
// become too old by then.
func (w *randomWorld) calm() {
	w.t.Helper()
	for n := 0; n < 3 || n < 8 && len(w.held(w.linked)) > 0; n++ {
		w.both(7 * time.Hour)
		w.order()
		run := w.work()
		mustSucceed(w.t, run)
		w.mustExplain(run)
	}
}

// mustEqualAFreshImport has another tenant import the directory under the settings as they are now: what is in scope must not depend on
// what has been before.
func (w *randomWorld) mustEqualAFreshImport() {
	w.t.Helper()
	other := w.newTenant("Fresh", true)
	settings := w.integration(w.linked).Settings
	w.connect(other, func(s *inventory.Settings) { *s = settings })
	mustSucceed(w.t, w.work())
	if want, got := w.inScopeLines(other), w.inScopeLines(w.tenant); !slices.Equal(got, want) {
		for _, line := range got {
			if !slices.Contains(want, line) {
				w.t.Errorf("only with a history: %s", line)
			}
		}
		for _, line := range want {
			if !slices.Contains(got, line) {
				w.t.Errorf("only in a fresh import: %s", line)
			}
		}
		w.t.Errorf("settings %+v", settings)
	}
}

// inScopeLines describes the assets in scope and their open findings.
func (w *randomWorld) inScopeLines(t tenant.ID) (lines []string) {
	w.t.Helper()
	assets := w.assets(t, inventory.AssetActive, inventory.AssetInactive)
	for source, a := range assets {
		lines = append(lines, fmt.Sprint("asset ", source, a.Hostname, a.PrimaryIP, a.State, a.Import, a.GroupName, a.Tags, a.Counts))
	}
	for _, line := range w.findings(t, inventory.FindingOpen) {
		if source, _, _ := strings.Cut(line, " "); assets[source].Hostname != "" {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

// mustFollowTheSettings looks at what nobody reads any more: of stale assets nothing is open that the settings refuse, but for what is held
// back, and nothing is out of scope for a reason of the asset, which has none but its age.
func (w *randomWorld) mustFollowTheSettings() {
	w.t.Helper()
	s := w.integration(w.linked).Settings
	if !s.ImportVulnerabilities {
		if n := w.number(`select count(*) from finding where tenant_id = $1 and state = 1`, w.tenant); n != 0 {
			w.t.Errorf("%d findings are open while none are imported", n)
		}
		return
	}
	const ofStale = `select count(*) from finding f join asset a on a.tenant_id = f.tenant_id and a.id = f.asset_id where f.tenant_id = $1 and a.state = 'stale' and `
	if n := w.number(ofStale+`f.state = 1 and f.severity < $2 and (f.severity > 0 or $2 > 1) and f.held_since is null`, w.tenant, int(s.MinSeverity)); n != 0 {
		w.t.Errorf("%d findings of stale assets are open that are too mild for the settings %+v", n, s)
	}
	if n := w.number(ofStale+`f.state = 3 and f.state_reason not like 'vector%' and f.state_reason not in ('severity_below_minimum', 'user_interaction_required')`, w.tenant); n != 0 {
		w.t.Errorf("%d findings of stale assets are out of scope for what is none of their reasons", n)
	}
}

// mustExplain looks whether the run found a difference from Defender's own counts that nothing accounts for, whatever is stale, missing or
// held back by now.
func (w *randomWorld) mustExplain(run syncer.Run) {
	w.t.Helper()
	if r := w.reconciliation(run); r.Run == run.PublicID && r.Unexplained != 0 {
		w.t.Errorf("%d of %d vulnerabilities differ for no known reason: %s", r.Unexplained, r.Vulnerabilities, run.Report.Summary)
	}
}
