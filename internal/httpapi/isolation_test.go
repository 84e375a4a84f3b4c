package httpapi_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/tenant"
)

// TestForeignObjectsAnswerLikeMissingOnes asks every operation that names an object for one of another tenant and for one
// that nobody has. Nothing but the path and the request id may differ.
func TestForeignObjectsAnswerLikeMissingOnes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.furnish(h.mine)
	theirs := h.furnish(h.other)
	// What the shared catalogue knows but only the other tenant is exposed to.
	h.exec(`insert into vulnerability (name, title, description, severity_word, severity, vector, attack_vector, public_exploit, exploit_verified,
	    exploit_in_kit, exploit_types, exploit_uris, tags, supportability, partial) values ('CVE-2026-99999', '', '', '', 0, '', 0, false, false, false, '{}', '{}', '{}', '', true)`)
	h.exec("insert into exposure (tenant_id, vulnerability_id, open_assets, severity, first_seen_at) select " + number(h.other.id) + ", id, 1, 0, now() from vulnerability where name = 'CVE-2026-99999'")
	theirs.vulnerability = "CVE-2026-99999"
	before := h.fingerprint(h.other)
	asked := 0
	for _, op := range operations(t) {
		if _, ofTenant := op.at(theirs); !ofTenant {
			continue
		}
		asked++
		foreign, missing := op.request(theirs, h.mine.keys[tenant.Admin]), op.request(nobodys, h.mine.keys[tenant.Admin])
		foreign.client, missing.client = h.checked(), h.checked()
		a, b := h.send(foreign), h.send(missing)
		p, q := a.problem(t), b.problem(t)
		p.Instance, q.Instance, p.RequestID, q.RequestID = "", "", "", ""
		if a.status != http.StatusNotFound || b.status != http.StatusNotFound || !sameProblem(p, q) {
			t.Errorf("%s: foreign %d %+v, missing %d %+v", op.id, a.status, p, b.status, q)
		}
	}
	if asked < 18 {
		t.Errorf("only %d operations name an object", asked)
	}
	if after := h.fingerprint(h.other); after != before {
		t.Errorf("the other tenant's objects changed:\n%s\n%s", before, after)
	}
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
