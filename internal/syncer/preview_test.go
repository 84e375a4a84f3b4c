package syncer_test

import (
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/syncer"
)

// preview carries out a preview and checks that it left nothing behind.
func (h *house) preview(i connector.Integration, mode syncer.Mode, s inventory.Settings) syncer.Run {
	h.t.Helper()
	stored, before := h.snapshot(h.tenant), h.kept(i)
	if _, err := h.store.StartPreview(h.t.Context(), i.Tenant, i.PublicID, mode, syncer.Preview{Settings: s}); err != nil {
		h.t.Fatal(err)
	}
	run := h.work()
	mustSucceed(h.t, run)
	if run.Preview == nil || h.snapshot(h.tenant) != stored || h.kept(i) != before {
		h.t.Errorf("a preview left something behind: %s", run.Report.Summary)
	}
	h.mustList(run)
	return run
}

// kept is how much is stored of an integration beside its inventory.
func (h *house) kept(i connector.Integration) string {
	h.t.Helper()
	var text string
	db := h.owner()
	defer func() { _ = db.Close() }()
	err := db.QueryRowContext(h.t.Context(), `
		select (to_jsonb(i) - 'next_run_at')::text || (select count(*)::text || coalesce(sum(open_assets), 0) from exposure) || (select count(*) from location)
		    || (select count(*) from remediation) || (select count(*) from installation) || (select count(*) from finding)
		    || (select count(*) from pg_class where relname like 'finding%') || (select count(*) from reconciliation)
		from integration i where id = $1`, i.ID).Scan(&text)
	if err != nil {
		h.t.Fatal(err)
	}
	return text
}

func mustBeAlike(t testing.TB, told, done syncer.Run) {
	t.Helper()
	for _, name := range []syncer.Stage{syncer.StageAssets, syncer.StageVulnerabilities} {
		a, b := told.Report.StageNamed(name), done.Report.StageNamed(name)
		if a.Counts != b.Counts || !maps.Equal(a.SkippedBy, b.SkippedBy) || a.Ledger != b.Ledger {
			t.Errorf("%s: told %+v %v, done %+v %v", name, a.Counts, a.SkippedBy, b.Counts, b.SkippedBy)
		}
	}
}

func TestAPreviewTellsWhatTheRunThenDoes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 20, 10)
	i := h.connect(h.tenant, nil)
	h.sql(`delete from job`) // the first run is to come after the preview
	h.sql(`delete from run`)
	settings := inventory.DefaultSettings()
	told := h.preview(i, syncer.Incremental, settings)
	if c := findingCounts(t, told); c.Created == 0 {
		t.Errorf("nothing would be created: %+v", c)
	}
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	mustBeAlike(t, told, run)
	h.mustEqualTruth(h.tenant)

	h.change(world.Change{Op: "remove_findings", Machine: ptr(1)}, world.Change{Op: "exclude_machine", Machine: ptr(2)},
		world.Change{Op: "rename_machine", Machine: ptr(3), Hostname: "renamed.contoso.example"})
	for _, mode := range []syncer.Mode{syncer.Incremental, syncer.Full} {
		told = h.preview(i, mode, settings)
	}
	run = h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	mustBeAlike(t, told, run)

	narrow := settings
	narrow.MinSeverity = inventory.SeverityHigh
	told = h.preview(i, syncer.Incremental, narrow)
	h.set(i, func(s *inventory.Settings) { *s = narrow })
	run = h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if mustBeAlike(t, told, run); told.Report.StageNamed(syncer.StageVulnerabilities).SkippedBy[inventory.SeverityBelowMin] == 0 {
		t.Error("the settings were not tried out")
	}
	h.mustAudit(h.tenant)
}

// TestAPausedIntegrationCanBeLookedAt previews before anything was imported, and finds nothing changed but the preview.
func TestAPausedIntegrationCanBeLookedAt(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 6)
	i, _, err := h.links.Connect(t.Context(), h.tenant, connector.Draft{
		Kind: defender.Kind, Settings: inventory.DefaultSettings(), Paused: true,
		Credentials: connector.Credentials{DirectoryID: directory, ClientID: client, Secret: seal.NewSecret(secret)},
	})
	must(t, err)
	told := h.preview(i, syncer.Full, inventory.DefaultSettings())
	if now := h.integration(i); now.State != connector.StatePaused || !now.NextRunAt.IsZero() || told.Report.Totals().Created == 0 {
		t.Errorf("%s, next run %v, told %+v", now.State, now.NextRunAt, told.Report.Totals())
	}
	_, err = h.links.Resume(t.Context(), h.tenant, i.PublicID, 0)
	must(t, err)
	done := h.due()
	mustSucceed(t, done)
	mustBeAlike(t, told, done)
	h.mustEqualTruth(h.tenant)
}

// TestADirectoryConnectedAgainMayBeginPaused takes over what an earlier link left, and imports nothing yet.
func TestADirectoryConnectedAgainMayBeginPaused(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 4)
	first := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	_, err := h.links.Disconnect(t.Context(), h.tenant, first.PublicID, 0, false)
	must(t, err)
	i, _, err := h.links.Connect(t.Context(), h.tenant, connector.Draft{
		Kind: defender.Kind, Settings: inventory.DefaultSettings(), Paused: true,
		Credentials: connector.Credentials{DirectoryID: directory, ClientID: client, Secret: seal.NewSecret(secret)},
	})
	must(t, err)
	if now := h.integration(i); now.State != connector.StatePaused || !now.NextRunAt.IsZero() || now.OpenAssets == 0 || h.number(`select count(*) from job`) != 0 {
		t.Errorf("%s, next run %v, %d assets", now.State, now.NextRunAt, now.OpenAssets)
	}
}

// TestAPreviewHoldsNobodyUpWhileItReads looks for locks on findings whenever Microsoft is asked for a report: whoever holds one keeps
// first imports, purges and moves of all tenants waiting.
func TestAPreviewHoldsNobodyUpWhileItReads(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 20, 10)
	db := h.owner()
	defer func() { _ = db.Close() }()
	var asked, held atomic.Int64
	next := h.server.Config.Handler
	h.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "ByMachine") {
			var n int64
			if err := db.QueryRowContext(t.Context(), `
				select count(*) from pg_locks l join pg_class c on c.oid = l.relation
				where l.database = (select oid from pg_database where datname = current_database()) and c.relname like 'finding%'`).Scan(&n); err != nil {
				t.Error(err)
			}
			asked.Add(1)
			held.Add(n)
		}
		next.ServeHTTP(w, r)
	})
	i := h.connect(h.tenant, nil)
	h.sql(`delete from job`) // the first run is to come after a preview
	h.sql(`delete from run`)
	for _, prepare := range []func(){func() {}, func() { h.again(i, syncer.Full) }} { // of a first import, and of a later one
		prepare()
		asked.Store(0)
		held.Store(0)
		h.preview(i, syncer.Full, i.Settings)
		if asked.Load() == 0 || held.Load() > 0 {
			t.Errorf("asked %d times for the report, with %d locks on findings", asked.Load(), held.Load())
		}
	}
}
