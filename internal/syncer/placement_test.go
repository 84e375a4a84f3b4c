package syncer_test

import (
	"fmt"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// rowsIn counts a tenant's findings in one table.
func (h *house) rowsIn(table string, id tenant.ID) int64 {
	return h.number(fmt.Sprintf("select count(*) from only %s where tenant_id = $1", table), id)
}

// use goes on with another store.
func (h *house) use(store *postgres.Store) {
	h.store = store
	h.wire(defender.Config{})
}

// TestFirstFindingsBecomeAPartition imports one tenant's first findings while another's are being written.
func TestFirstFindingsBecomeAPartition(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 9, 6)
	h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	writing, err := h.owner().Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writing.Rollback() }()
	if _, err := writing.Exec("update finding set updated_at = now() where tenant_id = $1", h.tenant); err != nil {
		t.Fatal(err)
	}
	second := h.newTenant("Fabrikam", true)
	h.connect(second, nil)
	mustSucceed(t, h.work())
	h.mustEqualTruth(second)
	table := fmt.Sprintf("finding_t%d", second)
	if got, want := h.rowsIn(table, second), int64(len(h.allFindings(second, inventory.FindingFilter{}))); got != want || want == 0 {
		t.Errorf("%s holds %d findings of %d", table, got, want)
	}
	for what, query := range map[string]string{
		"valid indexes": `select count(*) - 5 from pg_index where indrelid = $1::regclass and indisvalid`,
		"orders": `select count(*) from (
			select replace(substring(pg_get_indexdef(indexrelid) from '\(.*'), 'tenant_id, ', '') from pg_index where indrelid = 'finding_shared'::regclass and not indisprimary
			except select substring(pg_get_indexdef(indexrelid) from '\(.*') from pg_index where indrelid = $1::regclass and not indisprimary) missing`,
		"walls":      `select count(*) - 1 from pg_class c join pg_policy p on p.polrelid = c.oid where c.oid = $1::regclass and relrowsecurity and relforcerowsecurity`,
		"rights":     `select count(*) from information_schema.role_table_grants where table_name = $1 and grantee = 'defender_app'`,
		"statistics": `select (count(*) = 0)::int from pg_stats where tablename = $1`,
	} {
		if n := h.number(query, table); n != 0 {
			t.Errorf("%s of %s are off by %d", what, table, n)
		}
	}
}

// TestALoadHoldsNobodyUp keeps one tenant's first import open while the partitions of two others come and go.
func TestALoadHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 9, 6)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	large := h.newTenant("Fabrikam", true)
	linked := h.connect(large, nil)
	stage, err := h.store.NewStage(t.Context(), h.claim(), linked, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stage.Close() }()
	if err := stage.AddFindings(t.Context(), h.now, []syncer.StagedFinding{{AssetID: 1, Vulnerability: 1, Software: []int32{1}}}); err != nil {
		t.Fatal(err)
	}
	third := h.newTenant("Northwind", true)
	h.connect(third, nil)
	mustSucceed(t, h.work())
	h.mustEqualTruth(third)
	if _, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, true); err != nil {
		t.Fatal(err)
	}
	mustSucceed(t, h.work())
	query := `select count(*) from pg_locks l join pg_inherits n on n.inhrelid = l.relation or n.inhparent = l.relation
		where n.inhparent in ('finding'::regclass, 'finding_shared'::regclass) and l.database = (select oid from pg_database where datname = current_database())`
	if n := h.number(query); n != 0 {
		t.Errorf("the load holds %d locks on findings of others", n)
	}
}

// TestThePurgeOfATenantsLastIntegrationDropsItsPartition and lets it start afresh.
func TestThePurgeOfATenantsLastIntegrationDropsItsPartition(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 9, 6)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	if _, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, true); err != nil {
		t.Fatal(err)
	}
	mustSucceed(t, h.work())
	if n := h.number(`select count(*) from pg_class where relname ~ '^finding_t[0-9]+$'`); n != 0 || h.snapshot(h.tenant) != "" {
		t.Error("the purge left something")
	}
	h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.mustEqualTruth(h.tenant)
	h.mustAudit(h.tenant)
}

// newSharingHouse has imported the findings of its tenant into the shared partitions; with the other store, tenants get their own.
func newSharingHouse(t *testing.T) (h *house, apart *postgres.Store, i connector.Integration) {
	t.Helper()
	h = newPlainHouse(t, 9, 6)
	apart = h.store
	shared := postgres.ForWork()
	shared.Partitions = 0
	h.use(postgrestest.Open(t, h.url, shared))
	i = h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	return h, apart, i
}

// TestTenantsBeyondThePartitionsShare imports the findings of tenants that get no partition, and then those of one that
// does, which has to wait for the shared ones without holding up their readers.
func TestTenantsBeyondThePartitionsShare(t *testing.T) {
	t.Parallel()
	h, apart, i := newSharingHouse(t)
	h.mustEqualTruth(h.tenant)
	h.mustAudit(h.tenant)
	if run := h.again(i, syncer.Full); !run.Report.NoChanges {
		t.Errorf("a second run changed something: %s", run.Report.Summary)
	}
	if n := h.number("select count(*) from finding_shared where tenant_id = $1", h.tenant); n == 0 || n != h.number("select count(*) from finding") {
		t.Errorf("%d findings are shared", n)
	}

	h.use(apart)
	second := h.newTenant("Fabrikam", true)
	h.connect(second, nil)
	writing, err := h.owner().Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writing.Rollback() }()
	if _, err := writing.Exec("update finding set updated_at = now() where tenant_id = $1", h.tenant); err != nil {
		t.Fatal(err)
	}
	j := h.claim()
	done := make(chan job.Outcome, 1)
	go func() { done <- h.syncer.Handle(t.Context(), j) }()
	for waiting := int64(0); waiting == 0; {
		h.allFindings(h.tenant, inventory.FindingFilter{}) // readers go on
		waiting = h.number("select count(*) from pg_stat_activity where datname = current_database() and query like 'select load_attach%' and wait_event_type in ('Lock', 'Timeout')")
	}
	h.allFindings(h.tenant, inventory.FindingFilter{})
	if _, err := h.owner().Exec(fmt.Sprintf("set lock_timeout = '2s'; update integration set name = 'Renamed' where tenant_id = %d", second)); err != nil {
		t.Errorf("the integration whose import waits cannot be changed: %v", err)
	}
	if err := writing.Rollback(); err != nil {
		t.Fatal(err)
	}
	if o := <-done; o.Ending != job.Done {
		t.Fatalf("the run ended with %v", o.Ending)
	}
	h.mustEqualTruth(second)
	if n := h.rowsIn(fmt.Sprintf("finding_t%d", second), second); n == 0 {
		t.Error("the second tenant has no partition")
	}
}

// TestATenantCanBeMoved takes a tenant to and fro between runs, beside another that stays.
func TestATenantCanBeMoved(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 9, 6)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	other := h.newTenant("Fabrikam", true)
	h.connect(other, nil)
	mustSucceed(t, h.work())
	want := int64(len(h.allFindings(h.tenant, inventory.FindingFilter{})))
	for _, apart := range []bool{true, false, false, true} {
		before, err := h.store.Placement(t.Context(), h.tenant)
		if err != nil {
			t.Fatal(err)
		}
		moved, err := h.store.Place(t.Context(), h.tenant, apart)
		if expect := map[bool]int64{true: 0, false: want}[before.Apart() == apart]; err != nil || moved != expect {
			t.Fatalf("%d of %d findings moved, %v", moved, expect, err)
		}
		after, err := h.store.Placement(t.Context(), h.tenant)
		if err != nil || after.Apart() != apart || after.Findings != want || h.rowsIn(after.Table, h.tenant) != want || after.TableBytes == 0 || after.IndexBytes == 0 {
			t.Errorf("placed at %+v, %v", after, err)
		}
		if run := h.again(i, syncer.Full); !run.Report.NoChanges {
			t.Errorf("a run after the move changed something: %s", run.Report.Summary)
		}
		h.mustEqualTruth(h.tenant)
		h.mustAudit(h.tenant)
		h.mustEqualTruth(other)
	}
	if n := h.number("select count(*) from finding_shared"); n != 0 {
		t.Errorf("%d findings are still shared", n)
	}
}

// TestATenantIsMovedBesideReaders moves one to the shared partitions while somebody has read findings and does not end: the move
// waits, and the requests of others go on.
func TestATenantIsMovedBesideReaders(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 9, 6)
	h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	other := h.newTenant("Fabrikam", true)
	h.connect(other, nil)
	mustSucceed(t, h.work())
	reading, err := h.owner().Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reading.Rollback() }()
	if _, err := reading.Exec("select from finding limit 1"); err != nil {
		t.Fatal(err)
	}
	type placed struct {
		moved int64
		err   error
	}
	mover, done := h.store, make(chan placed, 1)
	go func() {
		moved, err := mover.Place(t.Context(), h.tenant, false)
		done <- placed{moved, err}
	}()
	h.store = postgrestest.Open(t, h.url, postgres.ForRequests())
	const waiting = "select count(*) from pg_stat_activity where datname = current_database() and query like 'select place_together%' and wait_event_type in ('Lock', 'Timeout')"
	slow := 0 // a busy machine makes one or the other slow, a move that holds readers up makes all
	for met := int64(0); met < 20; met += h.number(waiting) {
		began := time.Now()
		h.allFindings(other, inventory.FindingFilter{}) // fails when it waits for longer than a request may
		if took := time.Since(began); took > time.Second {
			slow++
		}
		if slow > 2 {
			t.Fatal("the findings of another tenant took more than a second three times")
		}
		select {
		case p := <-done:
			t.Fatalf("the move did not wait: %+v", p)
		default:
		}
	}
	if err := reading.Rollback(); err != nil {
		t.Fatal(err)
	}
	if p := <-done; p.err != nil || p.moved == 0 {
		t.Fatalf("%d findings moved, %v", p.moved, p.err)
	}
	h.mustEqualTruth(h.tenant)
	h.mustAudit(h.tenant)
}
