package syncer_test

import (
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// mustAudit recounts every counter.
func (h *house) mustAudit(t tenant.ID) {
	h.t.Helper()
	differences, err := h.store.AuditCounters(h.t.Context(), t)
	if err != nil {
		h.t.Fatal(err)
	}
	if len(differences) > 0 {
		h.t.Errorf("%d counters are wrong, e.g. %+v", len(differences), differences[:min(3, len(differences))])
	}
}

// mustEnd fails the test unless a run ended as said; code is that of its error, or empty.
func mustEnd(t testing.TB, run syncer.Run, state syncer.RunState, code string) {
	t.Helper()
	got := ""
	if run.Report.Error != nil {
		got = run.Report.Error.Code
		if run.Report.Error.Remedy == "" || run.Report.Error.Title == "" {
			t.Errorf("the error does not say what to do: %+v", run.Report.Error)
		}
	}
	if run.State != state || got != code {
		t.Fatalf("the run ended %s %q (%+v), want %s %q", run.State, got, run.Report.Error, state, code)
	}
	if run.Report.Summary == "" {
		t.Error("the run has no summary")
	}
	if run.FinishedAt.IsZero() {
		t.Error("the run ended at no time")
	}
}

func mustSucceed(t testing.TB, run syncer.Run) {
	t.Helper()
	mustEnd(t, run, syncer.Succeeded, "")
	mustBalance(t, run)
}

func warned(run syncer.Run, code string) bool {
	return slices.ContainsFunc(run.Report.Warnings, func(n syncer.Notice) bool { return n.Code == code })
}

func findingCounts(t testing.TB, run syncer.Run) syncer.Counts {
	return countsOf(t, run, syncer.StageVulnerabilities)
}
func assetCounts(t testing.TB, run syncer.Run) syncer.Counts {
	return countsOf(t, run, syncer.StageAssets)
}

func countsOf(t testing.TB, run syncer.Run, stage syncer.Stage) syncer.Counts {
	t.Helper()
	s := run.Report.StageNamed(stage)
	if s == nil {
		t.Fatalf("the run has no stage %s", stage)
	}
	return s.Counts
}

func (h *house) integration(i connector.Integration) connector.Integration {
	h.t.Helper()
	current, err := h.store.Integration(h.t.Context(), i.Tenant, i.PublicID)
	if err != nil {
		h.t.Fatal(err)
	}
	return current
}

// asset reads one asset by its source id, in any state.
func (h *house) asset(t tenant.ID, source string) inventory.Asset {
	h.t.Helper()
	a, ok := h.assets(t)[source]
	if !ok {
		h.t.Fatalf("there is no asset %s", source)
	}
	return a
}

// findingsOf reads the findings of an asset in any state, by the name of the vulnerability.
func (h *house) findingsOf(t tenant.ID, source string) map[string]inventory.Finding {
	h.t.Helper()
	asset := h.asset(t, source)
	out := map[string]inventory.Finding{}
	for _, f := range h.allFindings(t, inventory.FindingFilter{}) {
		if f.AssetID == asset.PublicID {
			out[f.Vulnerability] = f
		}
	}
	return out
}

func (h *house) allFindings(t tenant.ID, filter inventory.FindingFilter) (out []inventory.Finding) {
	h.t.Helper()
	page := inventory.PageRequest{Limit: 1000}
	for {
		items, next, err := h.store.ListFindings(h.t.Context(), t, filter, page)
		if err != nil {
			h.t.Fatal(err)
		}
		out = append(out, items...)
		if page.After = next; next == nil {
			return out
		}
	}
}

// open counts an asset's open findings by its own counters.
func open(a inventory.Asset) int { return a.Counts.Total() }

// machine gives the source id of a plain machine by its number; houses without edge cases list them in this order.
func (h *house) machine(number int) string {
	h.t.Helper()
	n := 0
	for m := range h.state().Assets() {
		if n == number {
			return m.SourceID
		}
		n++
	}
	h.t.Fatalf("there is no machine %d", number)
	return ""
}

// truthOf gives the expected findings of a machine.
func (h *house) truthOf(source string) (out []world.Finding) {
	for f := range h.state().Findings() {
		if f.SourceID == source {
			out = append(out, f)
		}
	}
	return out
}

// owner opens the database as its owner, whom row-level security does not bind.
func (h *house) owner() *sql.DB {
	h.t.Helper()
	db, err := sql.Open("postgres", h.url)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = db.Close() })
	return db
}

func (h *house) sql(statement string, args ...any) {
	h.t.Helper()
	db := h.owner()
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(h.t.Context(), statement, args...); err != nil {
		h.t.Fatalf("%s: %v", statement, err)
	}
}

// number reads one figure as the owner.
func (h *house) number(query string, args ...any) (n int64) {
	h.t.Helper()
	db := h.owner()
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(h.t.Context(), query, args...).Scan(&n); err != nil {
		h.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// fault arms a fault and returns its id.
func (h *house) fault(f defendersim.Fault) string {
	h.t.Helper()
	id, err := h.sim.AddFault(f)
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

// snapshot is everything a tenant has, as text, apart from what runs remember for the next one: equal texts mean that nothing was written.
func (h *house) snapshot(t tenant.ID) string {
	h.t.Helper()
	var b strings.Builder
	db := h.owner()
	defer func() { _ = db.Close() }()
	for _, query := range []string{
		`select (to_jsonb(a) - 'finding_hash' - 'held_findings' - 'held_told')::text from asset a where tenant_id = $1 order by id`,
		`select w::text from asset_word w where tenant_id = $1 order by asset_id, word`,
		`select (to_jsonb(f) - 'held_since' - 'held_as')::text from finding f where tenant_id = $1 order by asset_id, vulnerability_id`,
		`select e::text from exposure e where tenant_id = $1 order by vulnerability_id`,
		`select n::text from installation n where tenant_id = $1 order by asset_id`,
		`select l::text from location l where tenant_id = $1 order by id`,
		`select m::text from remediation m where tenant_id = $1 order by software_id, vulnerability_id`,
	} {
		rows, err := db.QueryContext(h.t.Context(), query, t)
		if err != nil {
			h.t.Fatal(err)
		}
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				h.t.Fatal(err)
			}
			b.WriteString(line + "\n")
		}
		if err := rows.Err(); err != nil {
			h.t.Fatal(err)
		}
	}
	return b.String()
}

// set changes the integration's settings through the service.
func (h *house) set(i connector.Integration, change func(*inventory.Settings)) {
	h.t.Helper()
	settings := h.integration(i).Settings
	change(&settings)
	if _, err := h.links.Change(h.t.Context(), i.Tenant, i.PublicID, 0, connector.Change{Settings: &settings}); err != nil {
		h.t.Fatalf("change the settings: %v", err)
	}
}

// pass lets time go by.
func (h *house) pass(d time.Duration) { h.now = h.now.Add(d) }
