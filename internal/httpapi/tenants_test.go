package httpapi_test

import (
	"errors"
	"slices"
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
	for _, account := range []string{"a b", "ä@x.example", "", "tnt_019a1b2c3d4e7f508a9b0c1d2e3f4a5b", "*"} {
		if err := second(c.CreateTenant(ctx, api.CreateTenantRequest{Name: "x", PGPAccount: &account})); !api.HasCode(err, api.CodeInvalidRequest) {
			t.Errorf("the account %q: %v", account, err)
		}
	}
	suspended, err := c.UpdateTenant(ctx, made.ID, api.TenantPatch{State: new(api.TenantSuspended)}, api.IfMatch(made.ETag))
	must(t, err)
	read, err := c.GetManagedTenant(ctx, made.ID)
	must(t, err)
	if suspended.State != api.TenantSuspended || *read != *suspended || read.ETag == made.ETag {
		t.Errorf("%+v, read as %+v", suspended, read)
	}
	patch(t, c, made)
	entitle(t, c, made.ID)
	list(t, c)
	erase(t, h, c, made.ID)
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
	read, err := c.GetTenantEntitlements(t.Context(), id)
	must(t, err)
	entitleConditionally(t, c, id, read)
	if read.MaxAssets == nil || *read.MaxAssets != 7 || read.ValidUntil != got.ValidUntil || !read.EffectiveNow {
		t.Errorf("read as %+v", read)
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
	got, err = set(api.EntitlementsInput{ValidFrom: new("0000-01-01"), ValidUntil: new("9999-12-31")})
	must(t, err)
	if got.ValidFrom != "0000-01-01" || got.ValidUntil != "9999-12-31" {
		t.Errorf("the first and the last day: %+v", got)
	}
	got, err = set(api.EntitlementsInput{})
	must(t, err)
	if got.EffectiveNow || got.MaxAssets != nil || got.ValidFrom+got.ValidUntil != "" || got.Reason != "entitlement_missing" {
		t.Errorf("nothing: %+v", got)
	}
}

// entitleConditionally sets what is there once more, under tags that let it through and under others.
func entitleConditionally(t *testing.T, c *api.Client, id string, old *api.Entitlements) {
	t.Helper()
	same := api.EntitlementsInput{InternalAssessments: &old.InternalAssessments, MaxAssets: old.MaxAssets, ValidFrom: &old.ValidFrom, ValidUntil: &old.ValidUntil}
	if err := second(c.GetTenantEntitlements(t.Context(), id, api.IfNoneMatch(old.ETag))); !errors.Is(err, api.ErrNotModified) {
		t.Errorf("read again: %v", err)
	}
	now, err := c.SetEntitlements(t.Context(), id, same, api.IfMatch(old.ETag))
	must(t, err)
	owner, err := c.GetManagedTenant(t.Context(), id)
	must(t, err)
	for _, tag := range []string{old.ETag, owner.ETag} {
		if err := second(c.SetEntitlements(t.Context(), id, same, api.IfMatch(tag))); !api.HasCode(err, api.CodePreconditionFailed) {
			t.Errorf("set under %s, the tag is %s: %v", tag, now.ETag, err)
		}
	}
	must(t, second(c.SetEntitlements(t.Context(), id, same, api.IfMatch("*"))))
}

// patch changes everything that can be changed, member by member, and refuses what cannot be.
func patch(t *testing.T, c *api.Client, old *api.ManagedTenant) {
	t.Helper()
	change := func(p api.TenantPatch, o ...api.RequestOption) (*api.ManagedTenant, error) {
		return c.UpdateTenant(t.Context(), old.ID, p, o...)
	}
	if err := second(change(api.TenantPatch{Name: new("x")}, api.IfMatch(old.ETag))); !api.HasCode(err, api.CodePreconditionFailed) {
		t.Errorf("with the tag of before: %v", err)
	}
	must(t, second(change(api.TenantPatch{Name: new("Fabrikam Group")})))
	must(t, second(change(api.TenantPatch{Limits: &api.TenantLimits{MaxIntegrations: new(int64(3))}})))
	got, err := change(api.TenantPatch{PGPAccount: new("")})
	must(t, err)
	if got.Name != "Fabrikam Group" || got.PGPAccount != "" || got.Limits.MaxIntegrations == nil || *got.Limits.MaxIntegrations != 3 || got.State != api.TenantSuspended {
		t.Errorf("%+v", got)
	}
	same, err := change(api.TenantPatch{Name: new("Fabrikam Group")})
	must(t, err)
	if same.ETag != got.ETag {
		t.Error("the tag moved without a change")
	}
	if got, err = change(api.TenantPatch{Limits: &api.TenantLimits{}}); err != nil || got.Limits.MaxIntegrations != nil {
		t.Errorf("without limits: %+v %v", got, err)
	}
	for _, p := range []api.TenantPatch{
		{Name: new("")}, {PGPAccount: new("a b")}, {State: new(api.TenantDeleting)}, {Limits: &api.TenantLimits{MaxIntegrations: new(int64(0))}},
	} {
		if err := second(change(p)); !api.HasCode(err, api.CodeInvalidRequest) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

func list(t *testing.T, c *api.Client) {
	t.Helper()
	for want, o := range map[string]api.ListTenantsOptions{
		"Example Example Fabrikam Group ": {}, "Fabrikam Group ": {Name: "KAM g"}, "Example Example ": {State: []api.TenantState{api.TenantActive}},
		"": {State: []api.TenantState{api.TenantActive}, Name: "fabrikam"},
	} {
		names := ""
		o.Limit = 1
		for one, err := range c.AllTenants(t.Context(), o) {
			must(t, err)
			names += one.Name + " "
		}
		if names != want {
			t.Errorf("%+v: %q", o, names)
		}
	}
}

// erase begins the end of a tenant, after which nothing can be done with it any more.
func erase(t *testing.T, h *house, c *api.Client, id string) {
	t.Helper()
	ctx := t.Context()
	if err := second(c.DeleteTenant(ctx, id, api.IfMatch(`"1.000000000000000000000000"`))); !api.HasCode(err, api.CodePreconditionFailed) {
		t.Errorf("with the tag of before: %v", err)
	}
	if err := second(c.DeleteTenant(ctx, id)); !api.HasCode(err, api.CodePreconditionRequired) {
		t.Errorf("without a tag: %v", err)
	}
	read, err := c.GetManagedTenant(ctx, id)
	must(t, err)
	if read.State == api.TenantDeleting {
		t.Fatal("it is deleted all the same")
	}
	got, err := c.DeleteTenant(ctx, id, api.IfMatch(read.ETag))
	must(t, err)
	read, err = c.GetManagedTenant(ctx, id)
	must(t, err)
	if got.State != api.TenantDeleting || *got != *read {
		t.Errorf("%+v, read as %+v", got, read)
	}
	for what, err := range map[string]error{
		"deleted again": second(c.DeleteTenant(ctx, id, api.IfMatch("*"))), "let back in": second(c.UpdateTenant(ctx, id, api.TenantPatch{State: new(api.TenantActive)})),
		"entitled": second(c.SetEntitlements(ctx, id, api.EntitlementsInput{InternalAssessments: new(true)})),
	} {
		if !api.HasCode(err, api.CodeConflict) {
			t.Errorf("%s while it is deleted: %v", what, err)
		}
	}
	trail := []api.AuditAction{}
	for e, err := range c.AllPlatformAuditEvents(ctx, api.ListAuditEventsOptions{Resource: []string{id}, PageOptions: api.PageOptions{Limit: 1}}) {
		must(t, err)
		trail = append(trail, e.Action)
	}
	if !slices.Equal(trail, []api.AuditAction{api.AuditTenantDeletionRequested, api.AuditTenantCreated}) {
		t.Errorf("the platform's trail: %v", trail)
	}
	lines := 0
	for e, err := range c.StreamPlatformAuditEvents(ctx, api.ListAuditEventsOptions{}) {
		must(t, err)
		if lines++; e.Resource.Type != "tenant" && e.Resource.Type != "operation" {
			t.Errorf("of a tenant's own: %+v", e)
		}
	}
	if lines < 4 {
		t.Errorf("%d lines", lines)
	}
	if len(h.woken) == 0 {
		t.Error("nobody was told that there is something to do")
	}
}
