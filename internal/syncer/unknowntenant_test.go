package syncer_test

import (
	"testing"

	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/syncer"
)

// TestATenantThatTheStatisticsDoNotKnow imports into the shared partitions, and compares all again, for a tenant that has come since the database
// was analysed. The planner takes it for one with a single asset; nothing may look through all its assets once for each.
func TestATenantThatTheStatisticsDoNotKnow(t *testing.T) {
	t.Parallel()
	const machines, readsOfEach = 500, 150
	h := newPlainHouse(t, machines, 3)
	shared := postgres.ForWork()
	shared.Partitions = 0
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	h.use(postgrestest.Open(t, h.url, shared))
	h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	if _, err := h.owner().Exec("analyze"); err != nil {
		t.Fatal(err)
	}
	before := h.assetsRead(h.store)
	h.use(postgrestest.Open(t, h.url, shared))
	second := h.newTenant("Fabrikam", true)
	i := h.connect(second, nil)
	mustSucceed(t, h.work())
	if run := h.again(i, syncer.Full); !run.Report.NoChanges {
		t.Errorf("a second run changed something: %s", run.Report.Summary)
	}
	h.mustEqualTruth(second)
	if n := h.assetsRead(h.store) - before; n > machines*readsOfEach {
		t.Errorf("two runs read an asset %d times, %d for each machine", n, n/machines)
	}
}

// assetsRead is how often an asset was read from the table by the sessions that have ended; it closes the store.
func (h *house) assetsRead(store *postgres.Store) int64 {
	h.t.Helper()
	if err := store.Close(); err != nil {
		h.t.Fatal(err)
	}
	const others = `select count(*) from pg_stat_activity where datname = current_database() and application_name like 'defenderd%'`
	for h.number(others) > 0 { // a session tells what it has read when it ends
		continue
	}
	return h.number(`select idx_tup_fetch + seq_tup_read from pg_stat_user_tables where relname = 'asset'`)
}
