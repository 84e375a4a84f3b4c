package httpapi_test

import (
	"fmt"
	"net/http"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/tenant"
)

// TestOneUnreadableEventHidesNoOther changes what an event tells, in every way that the table takes.
func TestOneUnreadableEventHidesNoOther(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, c := t.Context(), h.admin()
	key, err := c.CreateAPIKey(ctx, api.CreateAPIKeyRequest{Name: "SIEM", Role: api.RoleReadonly})
	must(t, err)
	must(t, c.DeleteAPIKey(ctx, key.ID))
	h.exec("alter table audit_event disable trigger all")
	var whole []api.AuditEvent
	for e, err := range c.AllAuditEvents(ctx, api.ListAuditEventsOptions{}) {
		must(t, err)
		whole = append(whole, e)
	}
	h.exec("alter table audit_event drop constraint audit_event_at_check")
	for _, odd := range []string{
		`changes = '[7]'`, `changes = '["x"]'`, `changes = '[[]]'`, `changes = '[{"field":7}]'`, `changes = '[{"field":"name","more":1}]'`, `changes = '[{"Field":"name","before":"","after":""}]'`,
		`changes = '[{"field":"name","after":""}]'`,
		`at = 'infinity'`, `at = '-infinity'`, `at = '10000-01-01 00:00:00+00'`, `at = '0044-03-15 00:00:00+00 BC'`,
	} {
		h.exec(fmt.Sprintf("update audit_event set %s where tenant_id = %d and sequence = %d", odd, h.mine.id, whole[1].Sequence))
		i := 0
		for e, err := range c.AllAuditEvents(ctx, api.ListAuditEventsOptions{PageOptions: api.PageOptions{Limit: 2}}) {
			must(t, err)
			if e.ID != whole[i].ID || (e.Problem == api.AuditUnreadable) != (i == 1) || (len(e.Changes) == 0) != (i == 1 || len(whole[i].Changes) == 0) {
				t.Errorf("%s: event %d is %+v, was %+v", odd, i, e, whole[i])
			}
			i++
		}
		if i != len(whole) {
			t.Errorf("%s: %d events, were %d", odd, i, len(whole))
		}
		for _, accept := range []string{"application/json", "application/x-ndjson"} {
			got := h.send(raw{method: http.MethodGet, path: "/v1/audit-events", key: h.mine.keys[tenant.Admin], client: h.checked(), header: map[string]string{"Accept": accept}})
			if got.status != http.StatusOK {
				t.Errorf("%s as %s: %d %s", odd, accept, got.status, got.body)
			}
		}
	}
}
