package httpapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/tenant"
)

// onACopy is the house with its API on a database that takes no changes.
func onACopy(t *testing.T, h *house) {
	t.Helper()
	u, err := url.Parse(databaseURL(t))
	must(t, err)
	must(t, h.owner.QueryRow(`select '/' || current_database()`).Scan(&u.Path))
	query := u.Query()
	query.Set("default_transaction_read_only", "on")
	u.RawQuery = query.Encode()
	h.reopened(postgrestest.OpenUnnamed(t, u.String(), postgres.ForRequests()), h.cloud, h.ring)
}

// TestACopyOfTheDatabaseIsReadFrom sends every operation to a process whose database takes no changes: what reads is answered, what
// writes is refused as read_only, and who is refused for another reason learns that one. The keys were never used before, so that
// the first use would be noted.
func TestACopyOfTheDatabaseIsReadFrom(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	h := newHouse(t, m.into)
	x := h.furnish(h.mine)
	h.exec(`update api_key set last_used_at = null`)
	onACopy(t, h)
	before := h.fingerprint(h.mine)
	for _, op := range operations(t) {
		r := op.request(x, h.mine.keys[tenant.Admin])
		if r.client = h.checked(); op.role == tenant.Platform {
			r.key = m.token(tenant.Platform)
		}
		if op.id == "deleteTenant" { // which nothing is asked of without a condition
			r.header = map[string]string{"If-Match": "*"}
		}
		got := h.send(r)
		switch {
		case op.method == http.MethodGet && got.status != http.StatusOK:
			t.Errorf("%s: %d: %s", op.id, got.status, got.body)
		case op.method != http.MethodGet && (got.status != http.StatusServiceUnavailable || !strings.Contains(string(got.body), `"code":"read_only"`) || got.header.Get("Retry-After") == ""):
			t.Errorf("%s: %d: %s", op.id, got.status, got.body)
		}
	}
	if got := h.send(raw{method: http.MethodPost, path: "/v1/integrations/" + x.integration + "/pause", key: h.mine.keys[tenant.ReadOnly], client: h.checked()}); got.status != http.StatusForbidden {
		t.Errorf("a role that does not reach: %d: %s", got.status, got.body)
	}
	if h.fingerprint(h.mine) != before {
		t.Error("something was written")
	}
	h.exec(`update api_key set revoked_at = now() where tenant_id = ` + number(h.mine.id) + ` and role = 'analyst'`)
	if got := h.send(raw{method: http.MethodGet, path: "/v1/assets", key: h.mine.keys[tenant.Analyst], client: h.checked()}); got.status != http.StatusUnauthorized {
		t.Errorf("a revoked key: %d: %s", got.status, got.body)
	}
}
