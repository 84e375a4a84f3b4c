package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// deed is a change through the API.
type deed struct {
	action audit.Action
	do     func(context.Context, *api.Client, *api.Integration) error
}

// deeds come one after the other on one integration.
func deeds() []deed {
	rotate := func(secret api.Secret, stage bool) func(context.Context, *api.Client, *api.Integration) error {
		return func(ctx context.Context, c *api.Client, i *api.Integration) error {
			return second(c.RotateIntegrationSecret(ctx, i.ID, api.RotateSecretRequest{ClientSecret: secret, Stage: &stage}))
		}
	}
	validate := func(ctx context.Context, c *api.Client, i *api.Integration) error {
		return second(c.ValidateIntegration(ctx, i.ID))
	}
	return []deed{
		{audit.IntegrationCreated, func(ctx context.Context, c *api.Client, _ *api.Integration) error {
			return second(c.ConnectIntegration(ctx, form(uuid.New())))
		}},
		{audit.IntegrationUpdated, func(ctx context.Context, c *api.Client, i *api.Integration) error {
			return second(c.UpdateIntegration(ctx, i.ID, api.IntegrationPatch{Name: new("Renamed")}))
		}},
		{audit.IntegrationRotated, rotate(canary+"-2", false)},
		{audit.IntegrationStaged, rotate(canary+"-3", true)},
		{audit.IntegrationStagedDropped, func(ctx context.Context, c *api.Client, i *api.Integration) error {
			return c.DropStagedSecret(ctx, i.ID)
		}},
		{audit.IntegrationStaged, rotate(canary+"-4", true)},
		{audit.IntegrationStagedAdopted, validate},
		{audit.RunCancelled, func(ctx context.Context, c *api.Client, i *api.Integration) error {
			return second(c.CancelRun(ctx, i.LastRun.ID))
		}},
		{audit.RunStarted, func(ctx context.Context, c *api.Client, i *api.Integration) error {
			return second(c.StartRun(ctx, i.ID, api.StartRunRequest{}))
		}},
		{audit.IntegrationPaused, func(ctx context.Context, c *api.Client, i *api.Integration) error {
			return second(c.PauseIntegration(ctx, i.ID, false))
		}},
		{audit.IntegrationResumed, func(ctx context.Context, c *api.Client, i *api.Integration) error {
			return second(c.ResumeIntegration(ctx, i.ID))
		}},
		{audit.IntegrationDisconnected, func(ctx context.Context, c *api.Client, i *api.Integration) error {
			return second(c.DisconnectIntegration(ctx, i.ID, api.DataRetain))
		}},
		{audit.IntegrationPurged, func(ctx context.Context, c *api.Client, i *api.Integration) error {
			return second(c.DisconnectIntegration(ctx, i.ID, api.DataPurge))
		}},
		{audit.APIKeyCreated, func(ctx context.Context, c *api.Client, _ *api.Integration) error {
			return second(c.CreateAPIKey(ctx, api.CreateAPIKeyRequest{Name: "new", Role: api.RoleReadonly}))
		}},
		{audit.APIKeyRevoked, func(ctx context.Context, c *api.Client, _ *api.Integration) error {
			keys, err := c.ListAPIKeys(ctx, api.PageOptions{})
			if err != nil {
				return err
			}
			return c.DeleteAPIKey(ctx, keys.Items[0].ID)
		}},
	}
}

const (
	noAudit = `create function no_audit() returns trigger language plpgsql as $$ begin raise exception 'the disk is full'; end $$;
		create trigger no_audit before insert on audit_event for each row execute function no_audit()`
	auditAgain = `drop trigger no_audit on audit_event; drop function no_audit()`
)

// snapshot is what changes can alter.
func (h *house) snapshot() (all string) {
	h.t.Helper()
	err := h.owner.QueryRow(`
		select jsonb_build_array((select jsonb_agg(i order by id) from integration i), (select jsonb_agg(r order by id) from run r),
		  (select jsonb_agg(j order by id) from job j), (select jsonb_agg(to_jsonb(k) - 'last_used_at' order by public_id) from api_key k))::text`).Scan(&all)
	must(h.t, err)
	return all
}

// TestAChangeIsRecordedOrRefused makes each change twice: while nothing can be recorded, and then.
func TestAChangeIsRecordedOrRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	i, c, ctx := h.connect(h.mine), h.admin(), t.Context()
	for _, d := range deeds() {
		before := h.snapshot()
		h.exec(noAudit)
		if err := d.do(ctx, c, i); !api.HasCode(err, api.CodeUnavailable) {
			t.Errorf("%s: %v, want it refused as unavailable", d.action, err)
		}
		if h.snapshot() != before {
			t.Errorf("%s: refused, and something has changed", d.action)
		}
		h.exec(auditAgain)
		must(t, d.do(ctx, c, i))
		e := h.newest(h.mine)
		if e.Action != d.action || e.Actor.Kind != audit.APIKey || e.Actor.Name != "admin" || e.RequestID == "" || e.Address != "127.0.0.1" {
			t.Errorf("%s: recorded as %+v", d.action, e)
		}
	}
	var all string
	must(t, h.owner.QueryRow(`select jsonb_agg(e)::text from audit_event e`).Scan(&all))
	if strings.Contains(all, "CANARY") || !strings.Contains(all, audit.Redacted) {
		t.Error("a secret is in the audit trail, or nothing tells that it changed")
	}
	if found, err := h.store.VerifyAudit(ctx, h.mine.id, nil); err != nil || found.Events < int64(len(deeds())) {
		t.Errorf("%d events, %v", found.Events, err)
	}
}

func (h *house) newest(n neighbour) audit.Event {
	h.t.Helper()
	events, _, err := h.store.ListAuditEvents(h.t.Context(), n.id, audit.Filter{}, inventory.PageRequest{Limit: 1})
	must(h.t, err)
	if len(events) == 0 {
		h.t.Fatal("nothing is recorded")
	}
	return events[0]
}

// TestDenialsOfAKeyAreNotedOnceAMinute also shows that what is not noted is counted.
func TestDenialsOfAKeyAreNotedOnceAMinute(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ask := func(want int) {
		t.Helper()
		got := h.send(raw{method: http.MethodPost, path: "/v1/api-keys", key: h.mine.keys[tenant.ReadOnly], header: map[string]string{"X-Request-Id": "denied-1"}})
		if got.status != want {
			t.Errorf("%d, want %d", got.status, want)
		}
	}
	h.exec(noAudit)
	ask(http.StatusServiceUnavailable)
	h.exec(auditAgain)
	ask(http.StatusForbidden)
	first := h.newest(h.mine)
	if first.Action != audit.AccessDenied || first.Outcome != audit.Refused || first.Resource.ID != "POST /v1/api-keys" || first.RequestID != "denied-1" ||
		first.Actor.Name != "readonly" || first.Changes[0].After != string(tenant.RefusedRole) || first.Changes[1].After != "2" {
		t.Errorf("%+v", first)
	}
	for range 5 {
		ask(http.StatusForbidden)
	}
	if again := h.newest(h.mine); again.ID != first.ID {
		t.Errorf("noted within the minute: %+v", again)
	}
	h.clock.move(time.Minute)
	ask(http.StatusForbidden)
	if later := h.newest(h.mine); later.ID == first.ID || later.Changes[1].After != "6" {
		t.Errorf("%+v", later)
	}
}
