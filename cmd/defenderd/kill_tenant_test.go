//go:build soak

package main

import (
	"fmt"
	"strings"
	"testing"
)

// TestKilledWhileATenantIsDeleted kills the service with SIGKILL while it deletes a tenant, at table after table, each time in the
// middle of a transaction. In the end there must be no row, no table and no file left, and the proof must tell what there was.
func TestKilledWhileATenantIsDeleted(t *testing.T) {
	s := newVictim(t)
	s.recover() // a sync to its end
	db := s.database()
	defer db.Close()
	tenant := "tnt_" + strings.ReplaceAll(texts(t, db, `select public_id::text from tenant`)[0], "-", "")
	findings := texts(t, db, `select count(*)::text from finding`)[0]
	s.command("tenant", "delete", "--yes", tenant)
	for _, table := range []string{"finding", "finding_event", "asset_word", "installation", "remediation", "asset", "integration", "entitlement", "tenant"} {
		release := s.lockTable(table)
		s.launch()
		s.until("the deletion waits for "+table, func() bool { return s.waitsFor(table) })
		s.kill()
		release()
	}
	s.launch()
	s.until("the tenant is gone", func() bool { return len(texts(t, db, `select id::text from tenant`)) == 0 })
	s.stop()
	for _, table := range texts(t, db, `
		select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
		where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace and c.relname not in ('audit_event', 'audit_head')`) {
		if n := texts(t, db, `select count(*)::text from `+table)[0]; n != "0" {
			t.Errorf("%s rows are left in %s", n, table)
		}
	}
	s.mustBeTidy()
	proof := s.command("audit", "list", "--action", "tenant.deleted")
	if want := fmt.Sprintf("rows.finding: %s → 0", findings); strings.Count(proof, tenant) != 1 || !strings.Contains(proof, want) {
		t.Errorf("the proof lacks %q:\n%s", want, proof)
	}
}
