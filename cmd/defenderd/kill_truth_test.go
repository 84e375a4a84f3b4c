//go:build soak

package main

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
)

// mustEqualTruth compares the tables with the simulator row by row, and the counters with a recount.
func (s *victim) mustEqualTruth() {
	s.t.Helper()
	db := s.database()
	defer db.Close()
	state, _ := s.sim.State(killDirectory)
	var assets, findings []string
	for a := range state.Assets() {
		assets = append(assets, a.SourceID+" "+a.Hostname+" "+a.PrimaryIP)
	}
	for f := range state.Findings() {
		findings = append(findings, f.SourceID+" "+f.CVE+" "+f.Severity+" "+f.AttackVector+" "+strings.Join(f.Software, ","))
	}
	same(s.t, "assets", texts(s.t, db, `select source_id || ' ' || hostname || ' ' || host(primary_ip) from asset where state in ('active', 'inactive')`), assets)
	same(s.t, "findings", texts(s.t, db, `
		select a.source_id || ' ' || v.name || ' ' || (array['unknown', 'low', 'medium', 'high', 'critical'])[f.severity + 1]
		  || ' ' || (array['unknown', 'network', 'adjacent', 'local', 'physical'])[f.attack_vector + 1] || ' ' || (
		    select string_agg(n.name, ',' order by n.name collate "C")
		    from (select distinct s.vendor || '/' || s.product || '/' || s.version as name from software s where s.id = any(f.software_ids)) n)
		from finding f join asset a on a.tenant_id = f.tenant_id and a.id = f.asset_id join vulnerability v on v.id = f.vulnerability_id
		where f.state = 1`), findings)
	s.command("tenant", "audit", s.tenant) // fails if a counter is wrong
	for what, query := range map[string]string{
		"runs without an end": `select public_id::text from run where state in ('queued', 'running', 'cancelling')`,
		"jobs":                `select id::text from job where state <> 'dead'`,
		"assets nobody finds": `select a.id::text from asset a where not exists (select from asset_word w where w.tenant_id = a.tenant_id and w.asset_id = a.id and w.word = regexp_replace(host(a.primary_ip), '[.:]+', ' ', 'g') || ' ')`,
		"words of no asset":   `select w::text from asset_word w where not exists (select from asset a where a.tenant_id = w.tenant_id and a.id = w.asset_id)`,
		"twins":               `select source_id from asset group by tenant_id, integration_id, source_id having count(*) > 1`,
		"reservations":        `select source from catalogue_read where lease_until is not null`,
	} {
		if left := texts(s.t, db, query); len(left) > 0 {
			s.t.Errorf("%s: %v", what, left[:min(5, len(left))])
		}
	}
}

func texts(t *testing.T, db *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		out = append(out, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if slices.Equal(got, want) {
		t.Logf("%d %s, all as they should be", len(got), what)
		return
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("%s: %d, want %d; the first difference is %q, want %q", what, len(got), len(want), got[i], want[i])
			return
		}
	}
	t.Errorf("%s: %d, want %d", what, len(got), len(want))
}
