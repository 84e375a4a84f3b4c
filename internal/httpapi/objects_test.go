package httpapi_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/tenant"
)

// objectRow is what an operation answers the owner of the object that its path names.
type objectRow struct {
	operation string
	owner     int
}

// objectMatrix has a row for every operation that names an object, in an order in which all of them succeed for one owner.
var objectMatrix = []objectRow{
	{"getIntegration", 200}, {"updateIntegration", 200}, {"dropStagedSecret", 204}, {"validateIntegration", 200}, {"rotateIntegrationSecret", 200},
	{"listHeldChanges", 200}, {"approveHeldChange", 200}, {"getReconciliation", 200}, {"listIntegrationRuns", 200},
	{"getRun", 200}, {"getRunDiagnostics", 200}, {"listSkipped", 200}, {"cancelRun", 202}, {"startRun", 202}, {"pauseIntegration", 200}, {"resumeIntegration", 200},
	{"getAsset", 200}, {"listAssetFindings", 200}, {"getFinding", 200}, {"getFindingHistory", 200}, {"getVulnerability", 200}, {"listVulnerabilityAssets", 200},
	{"deleteAPIKey", 204}, {"disconnectIntegration", 204},
}

// TestObjectMatrix asks each operation that names an object as its owner, as another tenant, for an object that nobody has,
// with no credential and with an expired one; with API keys and with tokens. The owner sends the tag that is current where one is heeded. To another tenant an object that is there and
// one that is not are the same: status, headers and length of the body.
func TestObjectMatrix(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	h := newHouse(t, m.into)
	h.furnish(h.mine)
	theirs := h.furnish(h.other)
	theirs.vulnerability = h.exposeOnly(h.other)
	h.exec(`update integration set guard = '{"held": {"assets": {"run": "` + plainID(theirs.run) + `", "before": 9, "after": 2, "leaving": 7, "at": "2026-11-28T10:00:00Z"}}}'
		where tenant_id = ` + number(h.other.id))
	must(t, second(h.client(h.other, tenant.Admin).RotateIntegrationSecret(t.Context(), theirs.integration, api.RotateSecretRequest{ClientSecret: canary, Stage: new(true)})))
	mineID, otherID := h.publicID(h.mine), h.publicID(h.other)
	expired := m.expired(tenant.Admin, otherID)
	before := h.fingerprint(h.other)
	byID := map[string]operation{}
	for _, op := range operations(t) {
		if op.role == tenant.Platform { // its objects are tenants, and nobody's of a tenant
			path := strings.ReplaceAll(op.path, "{id}", otherID)
			for name, credential := range map[string]string{"an admin of another tenant": m.token(tenant.Admin, mineID), "its own admin": m.token(tenant.Admin, otherID)} {
				if got := h.send(raw{method: op.method, path: path, key: credential}); got.status != http.StatusForbidden {
					t.Errorf("%s by %s: %d", op.id, name, got.status)
				}
			}
			continue
		}
		_, ofTenant := op.at(theirs)
		if strings.Contains(op.path, "{") && !ofTenant && !slices.Contains([]string{"getIntegrationType", "getProblemType"}, op.id) {
			t.Errorf("%s names an object of a kind that is not known here", op.id)
		}
		if ofTenant {
			byID[op.id] = op
		}
	}
	for _, op := range byID {
		if !slices.ContainsFunc(objectMatrix, func(r objectRow) bool { return r.operation == op.id }) {
			t.Errorf("%s has no row in the matrix", op.id)
		}
		for kind, credential := range map[string]string{"key": h.mine.keys[tenant.Admin], "token": m.token(tenant.Admin, mineID)} {
			h.mustNotTellApart(op.id+" by "+kind, op.request(theirs, credential), op.request(theirs.unknown(), credential))
		}
		for name, credential := range map[string]string{"no credential": "", "an expired token": expired} {
			if got := h.send(op.request(theirs, credential)); got.status != http.StatusUnauthorized {
				t.Errorf("%s with %s: %d", op.id, name, got.status)
			}
		}
	}
	if after := h.fingerprint(h.other); after != before {
		t.Errorf("the other tenant's objects changed:\n%s\n%s", before, after)
	}
	owner := m.token(tenant.Admin, otherID)
	for _, row := range objectMatrix {
		op, there := byID[row.operation]
		if !there {
			t.Errorf("%s is in the matrix and not in the contract", row.operation)
			continue
		}
		r := op.request(theirs, owner)
		r.body = strings.ReplaceAll(r.body, nobodys.run, theirs.run)
		if op.answers("412") {
			r.header = maps.Clone(r.header)
			if r.header == nil {
				r.header = map[string]string{}
			}
			r.header["If-Match"] = h.send(raw{method: http.MethodGet, path: "/v1/integrations/" + theirs.integration, key: owner}).header.Get("ETag")
		}
		if got := h.send(r); got.status != row.owner {
			t.Errorf("%s by the owner: %d %s, want %d", op.id, got.status, got.body, row.owner)
		}
	}
}

// mustNotTellApart asks for an object of another tenant and for one that nobody has. Only the path may differ.
func (h *house) mustNotTellApart(what string, foreign, unknown raw) {
	h.t.Helper()
	ask := func(r raw) answered {
		r.client, r.header = h.checked(), map[string]string{"Content-Type": "application/json", "X-Request-Id": "same"}
		return h.send(r)
	}
	a, b := ask(foreign), ask(unknown)
	p, q := a.problem(h.t), b.problem(h.t)
	if a.status != http.StatusNotFound || b.status != http.StatusNotFound || !sameProblem(p, q) || len(a.body) != len(b.body) || !sameHeaders(a.header, b.header) {
		h.t.Errorf("%s: foreign %d %v %s, missing %d %v %s", what, a.status, a.header, a.body, b.status, b.header, b.body)
	}
}

// unknown gives ids as long as these that nobody has.
func (x objects) unknown() objects {
	change := func(id string) string {
		prefix, rest, _ := strings.Cut(id, "_")
		return prefix + "_00000000" + rest[8:]
	}
	return objects{
		integration: change(x.integration), run: change(x.run), asset: change(x.asset), finding: change(x.finding), key: change(x.key),
		vulnerability: "CVE-1999-00001",
	}
}

// sameHeaders compares all headers but the time.
func sameHeaders(a, b http.Header) bool {
	a, b = a.Clone(), b.Clone()
	a.Del("Date")
	b.Del("Date")
	if len(a) != len(b) {
		return false
	}
	for name := range a {
		if !slices.Equal(a[name], b[name]) {
			return false
		}
	}
	return true
}
