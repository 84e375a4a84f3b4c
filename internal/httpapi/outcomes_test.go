package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/identity"
	"pgp.internal/defender/internal/tenant"
)

// TestEveryDocumentedOutcome makes every operation answer with every status that the contract documents for it. Each
// answer is held against the contract on its way.
func TestEveryDocumentedOutcome(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	h := newHouse(t, m.into)
	x := h.furnish(h.mine)
	t.Run("refused alike everywhere", func(t *testing.T) { sweep(t, h, x, m.token(tenant.Platform)) })
	t.Run("managed", func(t *testing.T) { manage(t, h, m.token(tenant.Platform)) })
	t.Run("done", func(t *testing.T) { succeed(t, h, x) })
	t.Run("refused for reasons of their own", func(t *testing.T) { refuse(t, h) })
	report, err := h.seen.Report()
	if err != nil {
		t.Fatal(err)
	}
	if !report.Complete() {
		t.Error(report)
	}
	t.Log(report)
}

// sweep asks every operation in every way that is refused alike everywhere; the token is for the role platform.
func sweep(t *testing.T, h *house, x objects, token string) {
	down := h.serve(failing(h.deps, fault.Wrap(errors.New("pq: dial tcp 10.1.2.3"), fault.CodeUnavailable, "")))
	limits := h.deps
	limits.Limits = httpapi.Limits{Address: 1}
	limited := h.serve(limits)
	h.send(raw{method: http.MethodGet, path: "/v1/version", base: limited}) // the only request of a minute
	broken := h.serve(failing(h.deps, errors.New("pq: relation does not exist (SQLSTATE 42P01)")))
	for _, op := range operations(t) {
		key := h.mine.keys[tenant.Admin]
		if op.role == tenant.Platform {
			key = token
		}
		good := op.request(x, key)
		good.client = h.checked()
		vary := func(status int, change func(*raw)) {
			t.Helper()
			if !op.answers(itoa(status)) {
				return
			}
			r := good
			change(&r)
			if got := h.send(r); got.status != status {
				t.Errorf("%s: %d, want %d: %s", op.id, got.status, status, got.body)
			}
		}
		vary(http.StatusNotModified, func(r *raw) { r.header = map[string]string{"If-None-Match": "*"} })
		vary(http.StatusBadRequest, func(r *raw) { r.path += "?nonsense=1" })
		vary(http.StatusUnauthorized, func(r *raw) { r.key = "" })
		vary(http.StatusForbidden, func(r *raw) {
			if op.role != tenant.ReadOnly {
				r.key = h.mine.keys[tenant.ReadOnly]
				return
			}
			r.header = map[string]string{"account": "another@tenant.example"}
		})
		vary(http.StatusPreconditionFailed, func(r *raw) {
			r.header = map[string]string{"Content-Type": op.mediaType, "If-Match": `"99.000000000000000000000000"`}
		})
		vary(http.StatusTooManyRequests, func(r *raw) { r.base = limited })
		vary(http.StatusInternalServerError, func(r *raw) { r.base = broken })
		vary(http.StatusServiceUnavailable, func(r *raw) { r.base = down })
		if op.mediaType != "" {
			vary(http.StatusRequestEntityTooLarge, func(r *raw) { r.body = `{"name":"` + strings.Repeat("x", 70_000) + `"}` })
			vary(http.StatusUnsupportedMediaType, func(r *raw) { r.header = map[string]string{"Content-Type": "text/plain"} })
		}
		missing := op.request(nobodys, key)
		vary(http.StatusNotFound, func(r *raw) {
			r.path = strings.NewReplacer("microsoft-defender", "nothing", "/problems/internal", "/problems/nothing").Replace(missing.path)
		})
	}
}

func failing(d httpapi.Deps, err error) httpapi.Deps {
	d.Keys, d.Tokens = brokenKeys{d.Keys, err}, brokenTokens{err}
	return d
}

// brokenTokens fails at checking a token.
type brokenTokens struct{ err error }

func (b brokenTokens) Verify(context.Context, string) (identity.Token, error) {
	return identity.Token{}, b.err
}

func itoa(status int) string {
	return string([]byte{byte('0' + status/100), byte('0' + status/10%10), byte('0' + status%10)})
}

// succeed makes every operation succeed in every way it can.
func succeed(t *testing.T, h *house, x objects) {
	ctx := context.Background()
	for _, op := range operations(t) {
		if op.method == http.MethodGet && op.role != tenant.Platform {
			r := op.request(x, h.mine.keys[tenant.ReadOnly])
			if op.role != tenant.ReadOnly {
				r.key = h.mine.keys[tenant.Admin]
			}
			r.client = h.checked()
			if got := h.send(r); got.status != http.StatusOK {
				t.Errorf("%s: %d: %s", op.id, got.status, got.body)
			}
		}
	}
	c := h.admin()
	must(t, second(c.PreviewIntegration(ctx, form(uuid.New()))))
	i, err := c.GetIntegration(ctx, x.integration)
	must(t, err)
	if _, err := c.GetIntegration(ctx, x.integration, api.IfNoneMatch(i.ETag)); !errors.Is(err, api.ErrNotModified) {
		t.Errorf("If-None-Match: %v", err)
	}
	must(t, second(c.UpdateIntegration(ctx, x.integration, api.IntegrationPatch{Name: new("Europe")})))
	must(t, second(c.RotateIntegrationSecret(ctx, x.integration, api.RotateSecretRequest{ClientSecret: canary})))
	must(t, second(c.RotateIntegrationSecret(ctx, x.integration, api.RotateSecretRequest{ClientSecret: canary, Stage: new(true)})))
	must(t, c.DropStagedSecret(ctx, x.integration))
	must(t, second(c.ValidateIntegration(ctx, x.integration)))
	must(t, second(c.CancelRun(ctx, x.run)))
	must(t, second(c.StartRun(ctx, x.integration, api.StartRunRequest{})))
	approveHeld(t, h, c, x)
	must(t, second(c.PauseIntegration(ctx, x.integration, true)))
	must(t, second(c.ResumeIntegration(ctx, x.integration)))
	key, err := c.CreateAPIKey(ctx, api.CreateAPIKeyRequest{Name: "SIEM", Role: api.RoleAnalyst})
	must(t, err)
	must(t, c.DeleteAPIKey(ctx, key.ID))
	disconnect(t, c, x.integration)
}

// approveHeld lets through what a run is said to have held back.
func approveHeld(t *testing.T, h *house, c *api.Client, x objects) {
	t.Helper()
	ctx := t.Context()
	run, err := c.GetRun(ctx, x.run)
	must(t, err)
	h.exec(`update integration set guard = '{"held": {"assets": {"run": "` + plainID(x.run) + `", "before": 9, "after": 2, "leaving": 7, "at": "2026-11-28T10:00:00Z",
		"samples": [{"SourceID": "00aa", "Name": "build-07", "Detail": "removed"}],
		"latest": {"run": "` + plainID(x.run) + `", "before": 9, "after": 1, "leaving": 8, "at": "2026-11-28T11:00:00Z"}}}}' where public_id = '` + plainID(run.IntegrationID) + `'`)
	held, err := c.ListHeldChanges(ctx, run.IntegrationID)
	must(t, err)
	if len(held.Items) != 1 || held.Items[0].RunID != x.run || held.Items[0].Leaving != 7 || len(held.Items[0].Samples) != 1 || !held.Items[0].ApprovedAt.IsZero() {
		t.Fatalf("held changes: %+v", held)
	}
	request := api.ApproveHeldChangeRequest{Kind: api.HeldAssets, RunID: x.run}
	approved, err := c.ApproveHeldChange(ctx, run.IntegrationID, request)
	must(t, err)
	again, err := c.ApproveHeldChange(ctx, run.IntegrationID, request)
	must(t, err)
	if approved.ApprovedAt.IsZero() || approved.Latest.Leaving != 8 || !again.ApprovedAt.Equal(approved.ApprovedAt) {
		t.Errorf("approved at %v, and again at %v", approved.ApprovedAt, again.ApprovedAt)
	}
	told, err := c.ListAuditEvents(ctx, api.ListAuditEventsOptions{Action: []api.AuditAction{api.AuditHeldChangeApproved}})
	must(t, err)
	if changes := told.Items[0].Changes; len(changes) != 3 || changes[2].Field != "latest_run_id" || changes[2].After != x.run {
		t.Errorf("the audit trail tells %+v", changes)
	}
	request.Kind = api.HeldFindings
	if err := second(c.ApproveHeldChange(ctx, run.IntegrationID, request)); !api.HasCode(err, api.CodeConflict) {
		t.Errorf("approving of what is not held: %v", err)
	}
}

// plainID is the UUID in a public id.
func plainID(id string) string {
	_, digits, _ := strings.Cut(id, "_")
	return uuid.MustParse(digits).String()
}

// disconnect retains the data, then purges them, and asks for that twice.
func disconnect(t *testing.T, c *api.Client, id string) {
	t.Helper()
	must(t, second(c.DisconnectIntegration(t.Context(), id, api.DataRetain)))
	run, err := c.DisconnectIntegration(t.Context(), id, api.DataPurge)
	must(t, err)
	if run == nil || run.Mode != api.ModePurge || run.Trigger != api.TriggerDisconnect {
		t.Fatalf("purge: %+v", run)
	}
	if again, err := c.DisconnectIntegration(t.Context(), id, api.DataPurge); err != nil || again.ID != run.ID {
		t.Errorf("the purge again: %+v %v, not %s", again, err, run.ID)
	}
}

// refuse meets the refusals that belong to single operations.
func refuse(t *testing.T, h *house) {
	ctx := context.Background()
	c := h.admin()
	i := h.connect(h.mine)
	past := new(time.Now().Add(-time.Hour))
	want := func(code string, err error) {
		t.Helper()
		if !api.HasCode(err, code) {
			t.Errorf("got %v, want %s", err, code)
		}
	}
	twice := form(uuid.MustParse(i.Credentials.TenantID))
	err := second(c.ConnectIntegration(ctx, twice))
	want(api.CodeAlreadyConnected, err)
	if p, _ := errors.AsType[*api.Problem](err); p == nil || p.IntegrationID != i.ID {
		t.Errorf("already_connected does not name %s: %+v", i.ID, p)
	}
	err = second(c.StartRun(ctx, i.ID, api.StartRunRequest{}))
	want(api.CodeRunInProgress, err)
	if p, _ := errors.AsType[*api.Problem](err); p == nil || p.RunID != i.LastRun.ID {
		t.Errorf("run_in_progress does not name %s: %+v", i.LastRun.ID, p)
	}
	nothing := api.SettingsInput{ImportAssets: new(false), ImportVulnerabilities: new(false)}
	none := form(uuid.New())
	none.Settings = &nothing
	want(api.CodeNoImportSelected, second(c.ConnectIntegration(ctx, none)))
	want(api.CodeNoImportSelected, second(c.UpdateIntegration(ctx, i.ID, api.IntegrationPatch{Settings: &nothing})))
	want(api.CodeInvalidExpiry, second(c.RotateIntegrationSecret(ctx, i.ID, api.RotateSecretRequest{ClientSecret: canary, SecretExpiresAt: past})))
	want(api.CodeInvalidExpiry, second(c.CreateAPIKey(ctx, api.CreateAPIKeyRequest{Name: "x", Role: api.RoleAdmin, ExpiresAt: past})))
	forgetting := h.deps
	forgetting.Repeats = forgetful{h.deps.Repeats}
	dying := api.New(h.serve(forgetting), h.mine.keys[tenant.Admin])
	once := api.IdempotencyKey("once") // of a request that was refused by a process that died then
	tooEarly := api.CreateAPIKeyRequest{Name: "x", Role: api.RoleAdmin, ExpiresAt: past}
	want(api.CodeInvalidExpiry, second(dying.CreateAPIKey(ctx, tooEarly, once)))
	want(api.CodeIdempotencyInProgress, second(c.CreateAPIKey(ctx, tooEarly, once)))
	want(api.CodeNoImportSelected, second(c.StartRun(ctx, i.ID, api.StartRunRequest{DryRun: new(true), Settings: &nothing})))
	want(api.CodeInvalidRequest, second(c.StartRun(ctx, i.ID, api.StartRunRequest{Settings: &nothing})))
	stale := api.IfMatch(`"99.000000000000000000000000"`)
	want(api.CodePreconditionFailed, second(c.UpdateIntegration(ctx, i.ID, api.IntegrationPatch{Name: new("x")}, stale)))
	want(api.CodePreconditionFailed, second(c.DisconnectIntegration(ctx, i.ID, api.DataRetain, stale)))
	must(t, second(c.DisconnectIntegration(ctx, i.ID, api.DataRetain)))
	refuseDisconnected(c, i.ID, want)
}

// refuseDisconnected tries everything that cannot be done with a disconnected integration.
func refuseDisconnected(c *api.Client, id string, want func(code string, err error)) {
	ctx := context.Background()
	want(api.CodeConflict, second(c.DisconnectIntegration(ctx, id, api.DataRetain)))
	want(api.CodeConflict, second(c.UpdateIntegration(ctx, id, api.IntegrationPatch{Name: new("x")})))
	want(api.CodeConflict, second(c.RotateIntegrationSecret(ctx, id, api.RotateSecretRequest{ClientSecret: canary})))
	want(api.CodeConflict, second(c.RotateIntegrationSecret(ctx, id, api.RotateSecretRequest{ClientSecret: canary, Stage: new(true)})))
	want(api.CodeNotFound, c.DropStagedSecret(ctx, id))
	want(api.CodeConflict, second(c.ValidateIntegration(ctx, id)))
	want(api.CodeConflict, second(c.PauseIntegration(ctx, id, false)))
	want(api.CodeConflict, second(c.ResumeIntegration(ctx, id)))
	want(api.CodeConflict, second(c.StartRun(ctx, id, api.StartRunRequest{})))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// second drops an answer that only has to come without an error.
func second[T any](_ T, err error) error { return err }
