package httpapi_test

import (
	"errors"
	"strings"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/inventory"
)

// manage does what the role platform may.
func manage(t *testing.T, h *house, token string) {
	ctx := t.Context()
	c := api.New(h.url, token, api.WithHTTPClient(h.checked()))
	made, err := c.CreateTenant(ctx, api.CreateTenantRequest{Name: "Fabrikam", PGPAccount: new("it@fabrikam.example")}, api.IdempotencyKey("fabrikam"))
	must(t, err)
	if err := second(c.CreateTenant(ctx, api.CreateTenantRequest{Name: "Another"}, api.IdempotencyKey("fabrikam"))); !api.HasCode(err, api.CodeIdempotencyKeyReused) {
		t.Errorf("the key again: %v", err)
	}
	if made.State != api.TenantActive || made.PGPAccount != "it@fabrikam.example" {
		t.Errorf("%+v", made)
	}
	if err := second(c.CreateTenant(ctx, api.CreateTenantRequest{Name: "Another", PGPAccount: new("IT@fabrikam.example")})); !api.HasCode(err, api.CodeConflict) {
		t.Errorf("the account again: %v", err)
	}
	for _, account := range []string{"a b", "ä@x.example", ""} {
		if err := second(c.CreateTenant(ctx, api.CreateTenantRequest{Name: "x", PGPAccount: &account})); !api.HasCode(err, api.CodeInvalidRequest) {
			t.Errorf("the account %q: %v", account, err)
		}
	}
	suspended, err := c.UpdateTenant(ctx, made.ID, api.TenantPatch{State: api.TenantSuspended})
	must(t, err)
	read, err := c.GetManagedTenant(ctx, made.ID)
	must(t, err)
	if suspended.State != api.TenantSuspended || *read != *suspended {
		t.Errorf("%+v, read as %+v", suspended, read)
	}
	entitle(t, c, made.ID)
	h.exec("update tenant set state = 'deleting' where public_id = '" + plainID(made.ID) + "'")
	if err := second(c.UpdateTenant(ctx, made.ID, api.TenantPatch{State: api.TenantActive})); !api.HasCode(err, api.CodeConflict) {
		t.Errorf("back from being deleted: %v", err)
	}
	names := ""
	for one, err := range c.AllTenants(ctx, api.PageOptions{Limit: 1}) {
		must(t, err)
		names += one.Name + " "
	}
	if names != "Example Example Fabrikam " {
		t.Errorf("listed: %s", names)
	}
	events, _, err := h.store.ListAuditEvents(ctx, audit.Platform, audit.Filter{Actors: []string{"ada@contoso.example"}, Actions: []audit.Action{audit.TenantCreated}}, inventory.PageRequest{Limit: 10})
	must(t, err)
	if len(events) != 1 || events[0].Resource.ID != made.ID || events[0].Actor.Kind != audit.Token {
		t.Errorf("recorded: %+v", events)
	}
}

// entitle sets everything, then nothing.
func entitle(t *testing.T, c *api.Client, id string) {
	t.Helper()
	set := func(e api.EntitlementsInput) (*api.Entitlements, error) { return c.SetEntitlements(t.Context(), id, e) }
	got, err := set(api.EntitlementsInput{InternalAssessments: new(true), MaxAssets: new(int64(7)), ValidFrom: new("2026-01-01"), ValidUntil: new("2999-12-31")})
	must(t, err)
	if !got.EffectiveNow || got.MaxAssets == nil || *got.MaxAssets != 7 || got.ValidFrom != "2026-01-01" || got.ValidUntil != "2999-12-31" || got.Source != "api" {
		t.Errorf("%+v", got)
	}
	err = second(set(api.EntitlementsInput{ValidFrom: new("2027-01-02"), ValidUntil: new("2027-01-01")}))
	if p, _ := errors.AsType[*api.Problem](err); p == nil || p.Code != api.CodeInvalidExpiry || !strings.Contains(p.Detail, "Choose a last day") {
		t.Errorf("it ends before it begins: %v", err)
	}
	for _, e := range []api.EntitlementsInput{{ValidFrom: new("2027-02-30")}, {ValidUntil: new("soon")}, {MaxAssets: new(int64(0))}, {MaxAssets: new(int64(1) << 31)}} {
		if err := second(set(e)); !api.HasCode(err, api.CodeInvalidRequest) {
			t.Errorf("%+v: %v", e, err)
		}
	}
	got, err = set(api.EntitlementsInput{})
	must(t, err)
	if got.EffectiveNow || got.MaxAssets != nil || got.ValidFrom+got.ValidUntil != "" || got.Reason != "entitlement_missing" {
		t.Errorf("nothing: %+v", got)
	}
}
