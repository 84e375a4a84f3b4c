package syncer_test

import (
	"strings"
	"testing"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/syncer"
)

// TestALargeChangeIsWrittenInShares switches the import of vulnerabilities off and on, and leaves assets out, where a statement changes ten findings
// at most: none has to change all of them, so that none takes long, and the sums are those of one statement.
func TestALargeChangeIsWrittenInShares(t *testing.T) {
	t.Parallel()
	o := postgres.ForWork()
	o.ChangesAtOnce = 10
	h := newPlainHouse(t, 12, 8)
	h.store = postgrestest.Open(t, h.url, o)
	h.readCatalogue(syncer.DefaultCataloguePolicy())
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	open := h.number(`select count(*) from finding where state = 1`)
	change := func(what, statement string, change func(*inventory.Settings), changed func(syncer.Counts) int64, want int64) {
		t.Helper()
		h.set(i, change)
		if _, err := h.store.StartRun(t.Context(), i.Tenant, i.PublicID, syncer.Incremental); err != nil {
			t.Fatal(err)
		}
		statements := 0
		run := h.workUnder(postgres.Recording(t.Context(), func(s postgres.Statement) {
			if strings.Contains(s.Text, statement) {
				statements++
			}
		}))
		mustSucceed(t, run)
		h.mustAudit(h.tenant)
		if n := changed(run.Report.Totals()); n != want || int64(statements) < want/20 || statements < 3 {
			t.Errorf("%s: %d of %d findings changed by %d statements", what, n, want, statements)
		}
	}
	outOfScope := func(c syncer.Counts) int64 { return c.OutOfScope }
	back := func(c syncer.Counts) int64 { return c.Updated }
	change("off", "with closed as (", func(s *inventory.Settings) { s.ImportVulnerabilities = false }, outOfScope, open)
	change("on", "returning d.op", func(s *inventory.Settings) { s.ImportVulnerabilities = true }, back, open)
	h.mustEqualTruth(h.tenant)
	change("no assets", "with closed as (", func(s *inventory.Settings) { s.DeviceGroups = []string{"none"} }, func(c syncer.Counts) int64 { return c.OutOfScope - 12 }, open)
}
