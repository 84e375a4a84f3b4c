package syncer_test

import (
	"fmt"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/syncer"
)

// unknown is a house whose tenant has come since the database was analysed, and has its findings in the partition that the statistics say is another
// tenant's alone: the planner expects a single asset and a single finding.
type unknown struct {
	*house
	i        connector.Integration
	machines int
	options  postgres.Options
}

// newShared has all findings in the shared partitions, and never analyses anything by itself.
func newShared(t *testing.T, machines, findings int, limit time.Duration) *unknown {
	t.Helper()
	u := &unknown{house: newPlainHouse(t, machines, findings), machines: machines, options: postgres.ForWork()}
	u.options.Partitions, u.options.StatementTimeout = 0, limit
	must(t, u.store.Close())
	u.use(postgrestest.Open(t, u.url, u.options))
	u.sql(`do $$ declare t regclass; begin
		for t in select oid from pg_class where relkind = 'r' and relname ~ '^(asset|asset_word|exposure|installation|location|remediation|finding_shared_.*)$' loop
			execute format('alter table %s set (autovacuum_enabled = off)', t);
		end loop;
	end $$`)
	return u
}

// newUnknown has no statement take longer than ten seconds. Some that went through all assets or findings of 2,000 machines once for each took from
// seven to forty-eight, and those of 3,000 twice as long. Nothing but that bound meets what is gone through in tables of the session, and entries of an
// index that a condition on its later columns passes over: nobody counts them.
func newUnknown(t *testing.T) *unknown {
	t.Helper()
	u := newShared(t, 3000, 5, 10*time.Second)
	known := u.tenant
	u.connect(known, nil)
	mustSucceed(t, u.work())
	u.sql("analyze")
	const together = `select count(*) from generate_series(0, 15) n where satisfies_hash_partition('finding_shared'::regclass, 16, n, $1::int)
		and satisfies_hash_partition('finding_shared'::regclass, 16, n, $2::int)`
	for u.tenant == known || u.number(together, known, u.tenant) == 0 {
		u.tenant = u.newTenant("Fabrikam", true)
	}
	u.i = u.connect(u.tenant, nil)
	return u
}

// read is how many rows the sessions that have ended read of the tables with many rows of a tenant; it goes on with another store.
func (u *unknown) read() int64 {
	u.t.Helper()
	u.assetsRead(u.store)
	u.use(postgrestest.Open(u.t, u.url, u.options))
	u.believeAfter(syncer.DefaultRemovalPolicy())
	return u.number(`select sum(idx_tup_fetch + seq_tup_read)::bigint from pg_stat_user_tables
		where relname ~ '^(asset|asset_word|exposure|installation|finding_shared_.*)$'`)
}

// mustRead carries out a run that may read so many rows for each machine, which is three times what the costliest takes.
func (u *unknown) mustRead(what string, run func() syncer.Run) {
	u.t.Helper()
	const readsOfEach = 300
	before := u.read()
	start := time.Now()
	mustSucceed(u.t, run())
	took := time.Since(start)
	n := (u.read() - before) / int64(u.machines)
	u.t.Logf("%s: %d rows read for each machine, %v", what, n, took.Round(time.Millisecond))
	if n > readsOfEach {
		u.t.Errorf("%s: %d rows were read for each machine", what, n)
	}
}

func (u *unknown) next() syncer.Run {
	u.both(time.Minute)
	return u.again(u.i, syncer.Incremental)
}

// mustBeRight compares what is stored with the directory. That is no part of an import, and may take its time.
func (u *unknown) mustBeRight() {
	u.t.Helper()
	must(u.t, u.store.Close())
	u.use(postgrestest.Open(u.t, u.url, postgres.ForWork()))
	u.mustEqualTruth(u.tenant)
	u.mustAudit(u.tenant)
}

// TestFindingsOfATenantThatTheStatisticsDoNotKnow imports them, has them change and be held back, let go, taken out of scope and back in, and counts them
// beside those of another directory.
func TestFindingsOfATenantThatTheStatisticsDoNotKnow(t *testing.T) {
	t.Parallel()
	u := newUnknown(t)
	u.mustRead("first", u.work)
	u.change(world.Change{Op: "change_rows", Pattern: "scattered", Percent: 100})
	u.mustRead("all change", u.next)
	u.clear(0, u.machines*6/10)
	u.mustRead("a drop", u.next)
	u.mustRead("a drop once more", u.next)
	u.approveFindings(u.i)
	u.mustRead("a drop let go", u.next)
	u.set(u.i, noVulnerabilities)
	u.mustRead("import off", u.next)
	u.mustRead("import still off", u.next)
	u.set(u.i, func(s *inventory.Settings) { *s = inventory.DefaultSettings() })
	u.mustRead("import on", u.next)
	u.clear(0, u.machines)
	u.mustRead("nothing left", u.next)
	u.approveFindings(u.i)
	u.mustRead("nothing left let go", u.next)
	u.mustBeRight()
	for n := range u.machines {
		u.change(world.Change{Op: "restore_findings", Machine: ptr(n)})
	}
	u.mustRead("all back", u.next)
	u.addDirectory(plain(spec(twin, u.machines/10, 5)))
	u.connectTo(u.tenant, twin, nil)
	u.mustRead("another directory", u.work)
	u.mustRead("beside it", func() syncer.Run { return u.again(u.i, syncer.Full) })
}

// TestMachinesOfATenantThatTheStatisticsDoNotKnow renames them, and has most leave, which is held back and let go, and come back.
func TestMachinesOfATenantThatTheStatisticsDoNotKnow(t *testing.T) {
	t.Parallel()
	u := newUnknown(t)
	u.mustRead("first", u.work)
	for n := range u.machines {
		u.change(world.Change{Op: "rename_machine", Machine: ptr(n), Hostname: fmt.Sprintf("renamed-%d.contoso.example", n)})
	}
	u.mustRead("all renamed", u.next)
	u.change(leave(u.machines * 6 / 10))
	u.mustRead("most missing", u.next)
	u.approve(u.i, syncer.Run{PublicID: u.held(u.i)[0].Run})
	u.mustRead("most removed", u.next)
	u.change(back(u.machines * 6 / 10))
	u.mustRead("most back", u.next)
	u.set(u.i, assetsOff)
	u.mustRead("carriers only", u.next)
	u.set(u.i, func(s *inventory.Settings) { *s = inventory.DefaultSettings() })
	u.mustRead("all machines", u.next)
	u.mustBeRight()
}

// TestASmallDirectoryBesideALargeOneWithoutStatistics imports it again when nobody has looked yet at the partition that has findings of both.
func TestASmallDirectoryBesideALargeOneWithoutStatistics(t *testing.T) {
	t.Parallel()
	u := newShared(t, 1500, 20, postgres.ForWork().StatementTimeout)
	u.connect(u.tenant, nil)
	mustSucceed(t, u.work())
	large := u.number(`select count(*) from finding`)
	u.addDirectory(plain(spec(twin, 40, 5)))
	small := u.connectTo(u.tenant, twin, nil)
	mustSucceed(t, u.work()) // and counts all that the tenant has, as a first one does
	before := u.read()
	mustSucceed(t, u.again(small, syncer.Incremental))
	n := u.read() - before
	t.Logf("%d rows read beside %d findings", n, large)
	if n > large/2 {
		t.Errorf("an import of 40 machines read %d rows beside %d findings of others", n, large)
	}
}
