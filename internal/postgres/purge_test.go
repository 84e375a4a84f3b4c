package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/tenant"
)

// TestAPurgeFindsUnusedPlacesBesideManyInUse ends the purge of an integration whose assets are gone, beside one with so many places that a
// list of them is larger than what PostgreSQL may hash in memory, and with statistics from a time when nobody had any.
func TestAPurgeFindsUnusedPlacesBesideManyInUse(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	o := postgres.ForWork()
	o.StatementTimeout = 20 * time.Second // it takes one; going through the list for each place takes minutes
	f := inventoryFixture{url: url, store: postgrestest.Open(t, url, o), owner: openOwner(t, url)}
	id, integration, j := f.purging(t)
	f.exec(t, fmt.Sprintf(`
		insert into location (tenant_id, id) select %[1]d, n from generate_series(1, 100) n;
		delete from location; analyze location;
		insert into location (tenant_id, id) select %[1]d, n from generate_series(1, 5001) n;
		insert into installation (tenant_id, asset_id, software_ids, location_ids)
		select %[1]d, n, '{1}', array(select m from generate_series(5000 + n * 10, 5009 + n * 10) m union all select 1) from generate_series(0, 39999) n;
		analyze installation`, id))
	if _, more, err := f.store.Purge(t.Context(), j, integration); err != nil || more {
		t.Fatalf("more is left: %v, %v", more, err)
	}
	var left string
	if err := f.owner.QueryRow(`select string_agg(id::text, ' ' order by id) from location`).Scan(&left); err != nil || left != "1 5000 5001" {
		t.Errorf("the places left are %s, %v", left, err)
	}
}

// purging makes a tenant with an integration without assets that is being purged, beside an asset of another one, and claims the purge.
func (f inventoryFixture) purging(t *testing.T) (id tenant.ID, integration int64, j job.Job) {
	t.Helper()
	created, err := f.store.CreateTenant(t.Context(), "Contoso", "")
	if err != nil {
		t.Fatal(err)
	}
	f.exec(t, fmt.Sprintf(seedAssets, created.ID, 1))
	f.exec(t, fmt.Sprintf(`update integration set state = 'disconnecting' where name = 'D2'; delete from job; delete from run;
		insert into run (tenant_id, public_id, integration_id, kind, trigger, mode, state) select %[1]d, '%[2]s', id, 'purge', 'manual', 'full', 'running' from integration where name = 'D2';
		insert into job (tenant_id, kind, subject, run_id) select tenant_id, 'purge', public_id, id from run`, created.ID, uuid.New()))
	if err := f.owner.QueryRow(`select id from integration where name = 'D2'`).Scan(&integration); err != nil {
		t.Fatal(err)
	}
	jobs, err := f.store.Claim(t.Context(), job.Room{Holder: "test", Jobs: 1, PerTenant: 1}, time.Hour)
	if err != nil || len(jobs) != 1 {
		t.Fatalf("%d jobs, %v", len(jobs), err)
	}
	return created.ID, integration, jobs[0]
}
