package main

import (
	"database/sql"
	"strings"
	"testing"

	"pgp.internal/defender/internal/postgres/postgrestest"
)

// TestWrongCountersAreSeen writes a finding that no counter counts.
func TestWrongCountersAreSeen(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec(`
		insert into tenant (public_id, name) values (gen_random_uuid(), 'T');
		insert into integration (tenant_id, public_id, type, name, directory_id, client_id, settings, interval_hours, state)
		values (1, gen_random_uuid(), 'microsoft-defender', 'I', gen_random_uuid(), gen_random_uuid(), '{}', 6, 'active');
		insert into vulnerability (name) values ('CVE-2026-1');
		insert into asset (tenant_id, public_id, integration_id, source_id, hostname, name_kind, primary_ip, os_family, state, content_hash)
		values (1, gen_random_uuid(), 1, 'm1', 'web', 'short', '10.0.0.1', 'linux', 'active', '')`); err != nil {
		t.Fatal(err)
	}
	d := &database{db: db, url: url}
	if err := d.recount(t.Context(), 1); err != nil {
		t.Error(err)
	}
	if _, err := db.Exec(`
		insert into finding (tenant_id, asset_id, vulnerability_id, software_ids, severity, severity_source, attack_vector, state, first_seen_at, created_at, updated_at)
		values (1, 1, 1, '{1}', 4, 4, 1, 1, now(), now(), now())`); err != nil {
		t.Fatal(err)
	}
	err = d.recount(t.Context(), 1)
	if err == nil || !strings.Contains(err.Error(), "asset_open_critical") || !strings.Contains(err.Error(), "exposure_open_assets of CVE-2026-1 is 0, counted 1") {
		t.Errorf("a finding that is counted nowhere: %v", err)
	}
}
