package httpapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// TestTheTrailIsListedNewestFirst reads it in pages and as lines, with and without filters.
func TestTheTrailIsListedNewestFirst(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, c := t.Context(), h.admin()
	key, err := c.CreateAPIKey(ctx, api.CreateAPIKeyRequest{Name: "SIEM", Role: api.RoleReadonly})
	must(t, err)
	must(t, c.DeleteAPIKey(ctx, key.ID))
	denied := api.New(h.url, h.mine.keys[tenant.ReadOnly]).DeleteAPIKey(ctx, key.ID)
	if !api.HasCode(denied, api.CodeForbidden) {
		t.Fatal(denied)
	}
	var all []api.AuditEvent
	for e, err := range c.AllAuditEvents(ctx, api.ListAuditEventsOptions{PageOptions: api.PageOptions{Limit: 2}}) {
		must(t, err)
		all = append(all, e)
	}
	if len(all) < 6 || all[0].Action != api.AuditAccessDenied || all[0].Outcome != api.AuditRefused || all[0].Resource.ID != "DELETE /v1/api-keys/{id}" {
		t.Fatalf("%+v", all)
	}
	if !slices.IsSortedFunc(all, func(a, b api.AuditEvent) int { return int(b.Sequence - a.Sequence) }) || all[0].Sequence != int64(len(all)) {
		t.Errorf("not every event, newest first: %+v", all)
	}
	revoked := all[1]
	if revoked.Action != api.AuditAPIKeyRevoked || revoked.Resource != (api.AuditResource{Type: "api_key", ID: key.ID}) || !strings.HasPrefix(revoked.ID, "aud_") ||
		revoked.Actor.Kind != api.AuditByAPIKey || revoked.Actor.Name != "admin" || revoked.RequestID == "" || revoked.Address == "" {
		t.Errorf("%+v", revoked)
	}
	for name, f := range map[string]struct {
		o    api.ListAuditEventsOptions
		want int
	}{
		"all": {api.ListAuditEventsOptions{}, len(all)}, "an actor": {api.ListAuditEventsOptions{Actor: []string{revoked.Actor.ID}}, 2},
		"keys": {api.ListAuditEventsOptions{Actor: []string{"api_key"}}, 3}, "nobody": {api.ListAuditEventsOptions{Actor: []string{"key_x"}}, 0},
		"an action": {api.ListAuditEventsOptions{Action: []api.AuditAction{api.AuditAPIKeyRevoked, api.AuditAccessDenied}}, 2},
		"a key":     {api.ListAuditEventsOptions{Resource: []string{key.ID}}, 2}, "refused": {api.ListAuditEventsOptions{Outcome: []api.AuditOutcome{api.AuditRefused}}, 1},
		"since": {api.ListAuditEventsOptions{AtGTE: revoked.At}, 2}, "before": {api.ListAuditEventsOptions{AtLT: revoked.At}, len(all) - 2},
		"since the future": {api.ListAuditEventsOptions{AtGTE: time.Now().Add(time.Hour)}, 0},
	} {
		paged := f.o
		paged.Limit = 1
		sameItems(t, name, c.AllAuditEvents(ctx, paged), c.StreamAuditEvents(ctx, f.o), f.want)
	}
}

// TestTheTrailIsTheTenantsOwn asks with another tenant's key, and puts the one's cursor and ids into the other's requests.
func TestTheTrailIsTheTenantsOwn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, mine, other := t.Context(), h.admin(), h.client(h.other, tenant.Admin)
	key, err := mine.CreateAPIKey(ctx, api.CreateAPIKeyRequest{Name: "SIEM", Role: api.RoleReadonly})
	must(t, err)
	page, err := mine.ListAuditEvents(ctx, api.ListAuditEventsOptions{PageOptions: api.PageOptions{Limit: 1}})
	must(t, err)
	if len(page.Items) != 1 || page.Items[0].Resource.ID != key.ID || page.NextCursor == "" {
		t.Fatalf("%+v", page)
	}
	theirs, err := other.ListAuditEvents(ctx, api.ListAuditEventsOptions{PageOptions: api.PageOptions{Limit: 1000}})
	must(t, err)
	for _, e := range theirs.Items {
		if e.Resource.ID == key.ID || e.ID == page.Items[0].ID {
			t.Errorf("another tenant sees %+v", e)
		}
	}
	if found, err := other.ListAuditEvents(ctx, api.ListAuditEventsOptions{Resource: []string{key.ID}}); err != nil || len(found.Items) != 0 {
		t.Errorf("by the key's id: %+v, %v", found, err)
	}
	after := api.ListAuditEventsOptions{PageOptions: api.PageOptions{Cursor: page.NextCursor}}
	if _, err := other.ListAuditEvents(ctx, after); !api.HasCode(err, api.CodeInvalidCursor) {
		t.Errorf("with another tenant's cursor: %v", err)
	}
	must(t, second(mine.ListAuditEvents(ctx, after)))
	for name, value := range map[string]string{"action": "nothing.done", "outcome": "well", "at_gte": "yesterday", "actor": "", "resource": strings.Repeat("x", 256)} {
		got := h.send(raw{method: http.MethodGet, path: "/v1/audit-events?" + url.Values{name: {value}}.Encode(), key: h.mine.keys[tenant.Admin]})
		if p := got.problem(t); got.status != http.StatusBadRequest || len(p.Errors) != 1 || p.Errors[0].Parameter != name {
			t.Errorf("?%s=%s: %d %s", name, value, got.status, got.body)
		}
	}
}

// refusals are the denials in the first tenant's trail, oldest first, as "actor reason times".
func (h *house) refusals() (list []string) {
	h.t.Helper()
	f := audit.Filter{Actions: []audit.Action{audit.AccessDenied}}
	events, _, err := h.store.ListAuditEvents(h.t.Context(), h.mine.id, f, inventory.PageRequest{Limit: 100})
	must(h.t, err)
	for _, e := range slices.Backward(events) {
		if e.Outcome != audit.Refused || e.Resource.ID != "GET /v1/tenant" || e.RequestID == "" {
			h.t.Errorf("%+v", e)
		}
		list = append(list, e.Actor.Name+" "+e.Changes[0].After+" "+e.Changes[1].After)
	}
	return list
}

// TestKnownCredentialsThatAreRefusedLeaveAnEvent uses each twice; a minute later it is noted again.
func TestKnownCredentialsThatAreRefusedLeaveAnEvent(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	h := newHouse(t, m.into)
	mine, other := h.named()
	unknown := tenant.NewKey().Reveal()
	expired := m.expired(tenant.Admin, mine)
	h.exec("update api_key set revoked_at = now() where role = 'readonly' and tenant_id = " + number(h.mine.id))
	h.mine.keys[tenant.Analyst] = h.key(h.mine.id, tenant.APIKey{Name: "analyst", Role: tenant.Analyst, ExpiresAt: time.Now().Add(-time.Minute)})
	ask := func(status int, credential, account string) {
		t.Helper()
		for range 2 {
			if got := h.asks(credential, account); got.status != status {
				t.Errorf("%d %s, want %d", got.status, got.body, status)
			}
		}
	}
	ask(401, h.mine.keys[tenant.ReadOnly], "")
	ask(401, h.mine.keys[tenant.Analyst], "")
	ask(403, h.mine.keys[tenant.Admin], other)
	ask(401, expired, "")
	ask(401, unknown, "")
	ask(401, m.expired(tenant.Admin, "no@body.example"), "")
	want := []string{"readonly key_revoked 1", "analyst key_expired 1", "admin other_tenant 1", "ada@contoso.example token_expired 1"}
	if got := h.refusals(); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	must(t, h.store.SetTenantState(t.Context(), h.mine.id, tenant.Suspended))
	h.clock.move(time.Minute)
	ask(401, h.mine.keys[tenant.Admin], "")
	ask(403, m.token(tenant.ReadOnly, mine), "")
	if got := h.refusals(); !slices.Equal(got, append(want, "admin tenant_inactive 2", "ada@contoso.example tenant_inactive 4")) {
		t.Errorf("after a minute, suspended: %v", got)
	}
	h.exec(noAudit)
	h.clock.move(time.Minute)
	if got := h.asks(h.mine.keys[tenant.Admin], ""); got.status != http.StatusServiceUnavailable {
		t.Errorf("while nothing can be noted: %d %s", got.status, got.body)
	}
}

// TestFailedTrialsLeaveAnEvent validates what Microsoft refuses, and a staged secret that it refuses and that cannot be decrypted.
func TestFailedTrialsLeaveAnEvent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, c, i := t.Context(), h.admin(), h.connect(h.mine)
	failed := func() (list []string) {
		for e, err := range c.AllAuditEvents(ctx, api.ListAuditEventsOptions{Outcome: []api.AuditOutcome{api.AuditFailed}}) {
			must(t, err)
			last := e.Changes[len(e.Changes)-1]
			if e.Resource.ID != i.ID || e.Actor.Name != "admin" || last.Field != "code" {
				t.Errorf("%+v", e)
			}
			list = append(list, strings.TrimPrefix(string(e.Action), "integration.")+" "+last.Before+">"+last.After)
		}
		return list
	}
	validate := func() { t.Helper(); must(t, second(c.ValidateIntegration(ctx, i.ID))) }
	validate()
	h.cloud.fails(api.CodeConsentMissing)
	validate()
	validate()
	id, _ := uuid.Parse(plainID(i.ID))
	own := audit.WithActor(ctx, audit.Actor{Kind: audit.System, Name: "syncer"})
	must(t, second(h.deps.Integrations.Validate(own, h.mine.id, id))) // the service's own check, every hour
	if got := failed(); !slices.Equal(got, []string{"validated >consent_missing", "validated >consent_missing"}) {
		t.Errorf("refused twice: %v", got)
	}
	must(t, second(c.RotateIntegrationSecret(ctx, i.ID, api.RotateSecretRequest{ClientSecret: next, Stage: new(true)})))
	refuseOnly(h, next)
	validate()
	validate()                                                                                         // meets the same
	h.exec("update integration set staged_box = secret_box where public_id = '" + plainID(i.ID) + "'") // moved: it opens in its own place only
	validate()
	if got := failed(); !slices.Equal(got[:len(got)-2], []string{"staged_secret_tried credentials_invalid>secret_unreadable", "staged_secret_tried >credentials_invalid"}) {
		t.Errorf("staged: %v", got)
	}
	must(t, c.DropStagedSecret(ctx, i.ID))
	h.exec(noAudit)
	h.cloud.fails(api.CodeSecretExpired)
	before := h.snapshot()
	if err := second(c.ValidateIntegration(ctx, i.ID)); !api.HasCode(err, api.CodeUnavailable) || h.snapshot() != before {
		t.Errorf("while nothing can be recorded: %v", err)
	}
}

// TestARefusedConnectionLeavesAnEvent connects with credentials that Microsoft refuses; a dry run with the same is nothing that was done.
func TestARefusedConnectionLeavesAnEvent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, c := t.Context(), h.admin()
	h.cloud.fails(api.CodeCredentialsInvalid)
	directory := uuid.New()
	if err := second(c.PreviewIntegration(ctx, form(directory))); !api.HasCode(err, api.CodeCredentialsInvalid) {
		t.Errorf("a dry run: %v", err)
	}
	if err := second(c.ConnectIntegration(ctx, form(directory))); !api.HasCode(err, api.CodeCredentialsInvalid) {
		t.Errorf("%v", err)
	}
	failed, err := c.ListAuditEvents(ctx, api.ListAuditEventsOptions{Outcome: []api.AuditOutcome{api.AuditFailed}})
	must(t, err)
	if len(failed.Items) != 1 {
		t.Fatalf("%+v", failed)
	}
	e := failed.Items[0]
	told := map[string]string{}
	for _, change := range e.Changes {
		told[change.Field] = change.After
	}
	if e.Action != api.AuditIntegrationCreated || e.Resource != (api.AuditResource{Type: "directory", ID: directory.String()}) || e.Actor.Name != "admin" ||
		told["code"] != api.CodeCredentialsInvalid || told["client_id"] == "" || strings.Contains(fmt.Sprint(e), canary) {
		t.Errorf("%+v", e)
	}
	h.exec(noAudit)
	if err := second(c.ConnectIntegration(ctx, form(directory))); !api.HasCode(err, api.CodeUnavailable) {
		t.Errorf("while nothing can be recorded: %v", err)
	}
}

// TestARefusedRotationLeavesAnEvent rotates to a secret that Microsoft refuses, of the same application and of another one.
func TestARefusedRotationLeavesAnEvent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, c, i := t.Context(), h.admin(), h.connect(h.mine)
	h.cloud.fails(api.CodeCredentialsInvalid)
	application := uuid.NewString()
	rotate := func() error {
		return second(c.RotateIntegrationSecret(ctx, i.ID, api.RotateSecretRequest{ClientSecret: next, ClientID: &application}))
	}
	if err := rotate(); !api.HasCode(err, api.CodeCredentialsInvalid) {
		t.Errorf("%v", err)
	}
	e := h.newest(h.mine)
	told := map[string]string{}
	for _, change := range e.Changes {
		told[change.Field] = change.After
	}
	if e.Action != audit.IntegrationRotated || e.Outcome != audit.Failed || e.Resource != (audit.Resource{Type: "integration", ID: i.ID}) || e.Actor.Name != "admin" ||
		told["code"] != api.CodeCredentialsInvalid || told["client_id"] != application || strings.Contains(fmt.Sprint(e), next) {
		t.Errorf("%+v", e)
	}
	h.exec(noAudit)
	if err := rotate(); !api.HasCode(err, api.CodeUnavailable) {
		t.Errorf("while nothing can be recorded: %v", err)
	}
}
