package httpapi_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/tenant"
)

// TestNoOperationIgnoresIfMatch sends a tag that nothing has to each operation of the contract that writes: those that the contract lets
// have one answer 412, all others refuse it, and none does anything.
func TestNoOperationIgnoresIfMatch(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	h := newHouse(t, m.into)
	x := h.furnish(h.mine)
	before := h.everything()
	heeded := 0
	for _, op := range operations(t) {
		if op.method == http.MethodGet {
			continue
		}
		r := op.request(x, h.mine.keys[tenant.Admin])
		if op.role == tenant.Platform {
			r.key = m.token(tenant.Platform)
		}
		if r.client = h.checked(); r.header == nil {
			r.header = map[string]string{}
		}
		r.header["If-Match"] = `"99.000000000000000000000000"`
		got := h.send(r)
		if op.answers("412") {
			heeded++
			if got.status != http.StatusPreconditionFailed || got.problem(t).Code != api.CodePreconditionFailed {
				t.Errorf("%s: %d %s", op.id, got.status, got.body)
			}
			continue
		}
		if p := got.problem(t); got.status != http.StatusBadRequest || len(p.Errors) != 1 || p.Errors[0].Parameter != "If-Match" {
			t.Errorf("%s: %d %s", op.id, got.status, got.body)
		}
	}
	if heeded < 12 {
		t.Errorf("%d operations heed If-Match", heeded)
	}
	if after := h.everything(); after != before {
		t.Errorf("something was changed:\n%s\n%s", before, after)
	}
}

// everything sums up what writing operations change: all that the first tenant has, and tenants with what they are entitled to.
func (h *house) everything() string {
	h.t.Helper()
	var tenants string
	must(h.t, h.owner.QueryRow(`select md5(string_agg(t::text || e::text, ';' order by t.id)) from tenant t join entitlement e on e.tenant_id = t.id`).Scan(&tenants))
	return h.fingerprint(h.mine) + tenants
}

// TestOneTagLetsOneChangeThrough sends many changes under one tag at once, to operations that read it before they write.
func TestOneTagLetsOneChangeThrough(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	h := newHouse(t, m.into)
	i := h.connect(h.mine)
	c, ctx := h.admin(), context.Background()
	platform := api.New(h.url, m.token(tenant.Platform), api.WithHTTPClient(h.checked()))
	mine := h.publicID(h.mine)
	rotation := api.RotateSecretRequest{ClientSecret: canary}
	staging := api.RotateSecretRequest{ClientSecret: canary, Stage: new(true)}
	for _, step := range []struct {
		name string
		do   func(tag api.RequestOption) error
	}{
		{"pause", func(tag api.RequestOption) error { return second(c.PauseIntegration(ctx, i.ID, false, tag)) }},
		{"resume", func(tag api.RequestOption) error { return second(c.ResumeIntegration(ctx, i.ID, tag)) }},
		{"rotate", func(tag api.RequestOption) error { return second(c.RotateIntegrationSecret(ctx, i.ID, rotation, tag)) }},
		{"stage", func(tag api.RequestOption) error { return second(c.RotateIntegrationSecret(ctx, i.ID, staging, tag)) }},
		{"drop", func(tag api.RequestOption) error { return c.DropStagedSecret(ctx, i.ID, tag) }},
		{"entitle", func(tag api.RequestOption) error {
			return second(platform.SetEntitlements(ctx, mine, api.EntitlementsInput{InternalAssessments: new(true)}, tag))
		}},
	} {
		now, err := c.GetIntegration(ctx, i.ID)
		must(t, err)
		tag := now.ETag
		if step.name == "entitle" {
			e, err := c.GetEntitlements(ctx)
			must(t, err)
			tag = e.ETag
		}
		var won atomic.Int32
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				if err := step.do(api.IfMatch(tag)); err == nil {
					won.Add(1)
				} else if !api.HasCode(err, api.CodePreconditionFailed) {
					t.Errorf("%s: %v", step.name, err)
				}
			})
		}
		if group.Wait(); won.Load() != 1 {
			t.Errorf("%s: %d won", step.name, won.Load())
		}
	}
}
