package httpapi_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/tenant"
)

// exposeOnly gives a tenant a vulnerability of the shared catalogue that no other tenant has, and says its name.
func (h *house) exposeOnly(n neighbour) string {
	h.t.Helper()
	h.exec(`insert into vulnerability (name, title, description, severity_word, severity, vector, attack_vector, public_exploit, exploit_verified,
	    exploit_in_kit, exploit_types, exploit_uris, tags, supportability, partial) values ('CVE-2026-99999', '', '', '', 0, '', 0, false, false, false, '{}', '{}', '{}', '', true)`)
	h.exec("insert into exposure (tenant_id, vulnerability_id, open_assets, severity, first_seen_at) select " + number(n.id) + ", id, 1, 0, now() from vulnerability where name = 'CVE-2026-99999'")
	return "CVE-2026-99999"
}

func sameProblem(p, q api.Problem) bool {
	return p.Type == q.Type && p.Title == q.Title && p.Status == q.Status && p.Detail == q.Detail && p.Code == q.Code &&
		len(p.Errors)+len(p.Checks)+len(q.Errors)+len(q.Checks) == 0 && p.RunID+p.IntegrationID+q.RunID+q.IntegrationID == ""
}

func number(id tenant.ID) string { return itoa(int(id)) }

// fingerprint sums up everything a tenant has.
func (h *house) fingerprint(n neighbour) string {
	h.t.Helper()
	var sum string
	err := h.owner.QueryRow(`
		select md5(coalesce((select string_agg(i::text, ';' order by id) from integration i where tenant_id = $1), '')) ||
		       md5(coalesce((select string_agg(r::text, ';' order by id) from run r where tenant_id = $1), '')) ||
		       md5(coalesce((select string_agg(k.public_id::text || coalesce(k.revoked_at::text, ''), ';' order by k.public_id) from api_key k where tenant_id = $1), ''))`,
		n.id).Scan(&sum)
	if err != nil {
		h.t.Fatal(err)
	}
	return sum
}

// TestForeignIdsInFiltersSelectNothing uses ids of another tenant where they select.
func TestForeignIdsInFiltersSelectNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.furnish(h.mine)
	theirs := h.furnish(h.other)
	for path, q := range map[string]url.Values{
		"/v1/assets":   {"integration_id": {theirs.integration}},
		"/v1/runs":     {"integration_id": {theirs.integration}},
		"/v1/findings": {"asset_id": {theirs.asset}},
		"/v1/vulnerabilities/CVE-2026-21412/assets": {"integration_id": {theirs.integration}},
	} {
		got := h.send(raw{method: http.MethodGet, path: path + "?" + q.Encode(), key: h.mine.keys[tenant.ReadOnly], client: h.checked()})
		if got.status != http.StatusOK || got.body != "{\"items\":[]}\n" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

// TestListsHoldOnlyTheCallersObjects walks all lists of both tenants.
func TestListsHoldOnlyTheCallersObjects(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	mine, theirs := h.furnish(h.mine), h.furnish(h.other)
	for _, c := range []struct {
		n     neighbour
		owner objects
	}{{h.mine, mine}, {h.other, theirs}} {
		client, ctx := h.client(c.n, tenant.Admin), context.Background()
		for a, err := range client.AllAssets(ctx, api.ListAssetsOptions{}) {
			if err != nil || a.IntegrationID != c.owner.integration {
				t.Errorf("asset %+v %v", a, err)
			}
		}
		for f, err := range client.AllFindings(ctx, api.ListFindingsOptions{}) {
			if err != nil || f.IntegrationID != c.owner.integration {
				t.Errorf("finding %+v %v", f, err)
			}
		}
		for r, err := range client.AllRuns(ctx, api.ListRunsOptions{}) {
			if err != nil || r.IntegrationID != c.owner.integration {
				t.Errorf("run %+v %v", r, err)
			}
		}
		for i, err := range client.AllIntegrations(ctx, api.ListIntegrationsOptions{}) {
			if err != nil || i.ID != c.owner.integration {
				t.Errorf("integration %+v %v", i, err)
			}
		}
		for k, err := range client.AllAPIKeys(ctx, api.PageOptions{}) {
			if err != nil || k.Role == api.RoleReadonly && k.ID != c.owner.key {
				t.Errorf("key %+v %v", k, err)
			}
		}
	}
}
