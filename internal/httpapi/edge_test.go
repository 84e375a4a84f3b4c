package httpapi_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/tenant"
)

func TestHeadersOfEveryAnswer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	x := h.furnish(h.mine)
	for _, op := range operations(t) {
		got := h.send(op.request(x, h.mine.keys[tenant.ReadOnly]))
		want := map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Server": "", "X-Powered-By": "", "Access-Control-Allow-Origin": ""}
		for name, value := range want {
			if got.header.Get(name) != value {
				t.Errorf("%s: %s is %q, want %q", op.id, name, got.header.Get(name), value)
			}
		}
		if got.header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no X-Request-Id", op.id)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for sent, kept := range map[string]bool{
		"abc-DEF_1.2": true, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false, "a b": false, "a\"b": false, "ä": false, "a;b": false, "": false,
	} {
		got := h.send(raw{method: http.MethodGet, path: "/v1/version", header: map[string]string{"X-Request-Id": sent}}).header.Get("X-Request-Id")
		if (got == sent) != kept || !regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`).MatchString(got) {
			t.Errorf("sent %q, got %q", sent, got)
		}
	}
}

// TestLogsHoldNoQueriesBodiesOrIds looks for what a log must not hold, and for what it must.
func TestLogsHoldNoQueriesBodiesOrIds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	x := h.furnish(h.mine)
	key := h.mine.keys[tenant.Admin]
	h.send(raw{method: http.MethodGet, path: "/v1/assets?hostname=very-private-host", key: key, header: map[string]string{"X-Request-Id": "the-list", "X-Forwarded-For": "203.0.113.99"}})
	h.send(raw{method: http.MethodGet, path: "/v1/assets/" + x.asset, key: key})
	h.send(raw{method: http.MethodGet, path: "/v1/nothing/very-private-path%0d%0aforged=1", key: key})
	log := h.log.String()
	for _, secret := range []string{"very-private", x.asset, key, canary, "203.0.113.99", "forged"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	h.logged(t, "the-list", `"route":"/v1/assets"`, `"method":"GET"`, `"status":200`, `"tenant":"tnt_`, `"key":"key_`, `"duration":`)
}

func TestLabelsComeFromTemplates(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := h.mine.keys[tenant.Admin]
	for _, r := range []raw{
		{method: http.MethodGet, path: "/v1/assets/" + nobodys.asset, key: key}, {method: http.MethodGet, path: "/v1/made-up", key: key}, {method: "MADEUP", path: "/v1/assets", key: key},
	} {
		h.send(r)
	}
	for _, want := range []string{"GET /v1/assets/{id} 404", "GET unmatched 404", "OTHER unmatched 405"} {
		if h.meter.count(want) != 1 {
			t.Errorf("%q was counted %d times: %v", want, h.meter.count(want), h.meter.counts)
		}
	}
	if h.meter.active != 0 {
		t.Errorf("%d requests in flight", h.meter.active)
	}
}

func TestLargeAnswersAreCompressed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	got := h.send(raw{method: http.MethodGet, path: "/openapi.json", header: map[string]string{"Accept-Encoding": "gzip"}, client: &http.Client{Transport: &http.Transport{DisableCompression: true}}})
	if got.header.Get("Content-Encoding") != "gzip" || got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("headers %v", got.header)
	}
	z, err := gzip.NewReader(strings.NewReader(got.body))
	must(t, err)
	plain, err := io.ReadAll(z)
	must(t, err)
	if len(plain) < 4*len(got.body) || !strings.HasPrefix(string(plain), "{") {
		t.Errorf("%d bytes from %d", len(plain), len(got.body))
	}
}

// TestDocsNeedNothingFromElsewhere loads the page and every file that it names, and holds inline scripts to the policy.
func TestDocsNeedNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	page := h.send(raw{method: http.MethodGet, path: "/docs"})
	if page.status != http.StatusOK || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") {
		t.Fatalf("%d %v", page.status, page.header)
	}
	policy := page.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'self'") || strings.Count(policy, "sha256-") != strings.Count(page.body, "<script>") || strings.Contains(policy, "script-src 'self' 'unsafe-inline'") {
		t.Errorf("policy %q", policy)
	}
	if elsewhere := regexp.MustCompile(`(src|href)="(https?:)?//`).FindString(page.body); elsewhere != "" {
		t.Errorf("the page loads from elsewhere: %s", elsewhere)
	}
	files := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page.body, -1)
	if len(files) < 3 {
		t.Fatalf("only %d files: %s", len(files), page.body)
	}
	for _, f := range files {
		if got := h.send(raw{method: http.MethodGet, path: f[1]}); got.status != http.StatusOK || len(got.body) < 100 {
			t.Errorf("%s: %d, %d bytes", f[1], got.status, len(got.body))
		}
	}
}

// TestSecretsComeOutNowhere sends a canary through every way in and looks for it in every answer and in the log.
func TestSecretsComeOutNowhere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	x := h.furnish(h.mine)
	key := h.mine.keys[tenant.Admin]
	good := bodies["connectIntegration"]
	posts := []struct{ path, body string }{
		{"/v1/integrations", good}, {"/v1/integrations?validate_only=true", strings.Replace(good, "0c8a", "1c8a", 1)},
		{"/v1/integrations", strings.Replace(good, `"`+canary+`"`, `["`+canary+`"]`, 1)}, {"/v1/integrations", strings.Replace(good, canary, canary+" "+canary, 1)},
		{"/v1/integrations", strings.Replace(good, canary, canary+strings.Repeat("x", 300), 1)}, {"/v1/integrations", good + canary},
		{"/v1/integrations", strings.Replace(good, "5f0c7d1e", canary, 1)},
		{"/v1/integrations/" + x.integration + "/rotate-secret", `{"client_secret":"` + canary + `"}`},
		{"/v1/integrations/" + x.integration + "/rotate-secret", `{"client_secret":"` + canary + `","secret_expires_at":"x"}`},
		{"/v1/integrations/" + x.integration + "/validate", ``},
	}
	for _, outcome := range []func(){func() { h.cloud.answers(nil) }, func() { h.cloud.fails(fault.CodeCredentialsInvalid) }, func() { h.cloud.fails(fault.CodeUpstreamUnavailable) }} {
		outcome()
		for _, p := range posts {
			got := h.send(raw{method: http.MethodPost, path: p.path, key: key, body: p.body, header: map[string]string{"Content-Type": "application/json"}})
			if strings.Contains(got.body+fmt.Sprint(got.header), canary) {
				t.Errorf("%s echoes the secret: %s", p.path, got.body)
			}
			if got.status >= http.StatusInternalServerError && got.status != http.StatusServiceUnavailable {
				t.Errorf("%s: %d %s", p.path, got.status, got.body)
			}
		}
	}
	for _, op := range operations(t) {
		if op.method == http.MethodGet {
			if got := h.send(op.request(x, key)); strings.Contains(got.body, canary) {
				t.Errorf("%s shows the secret", op.id)
			}
		}
	}
	if strings.Contains(h.log.String(), canary) || strings.Contains(h.log.String(), key) {
		t.Error("the log holds a secret")
	}
	if len(h.cloud.secrets) == 0 || h.cloud.secrets[0] != canary {
		t.Error("the secret never reached the connector, so this test proves nothing")
	}
	var stored int
	must(t, h.owner.QueryRow(`select count(*) from integration where position(convert_to($1, 'UTF8') in secret_box) > 0`, canary).Scan(&stored))
	if stored != 0 {
		t.Error("the secret is stored in the clear")
	}
}

// TestFailedChecksTellWhatToDo covers the answers of the connect form.
func TestFailedChecksTellWhatToDo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, c := context.Background(), h.admin()
	for code, status := range map[string]int{
		fault.CodeCredentialsInvalid: http.StatusUnprocessableEntity, fault.CodePermissionMissing: http.StatusUnprocessableEntity,
		fault.CodeAccessBlocked: http.StatusUnprocessableEntity, fault.CodeUpstreamUnavailable: http.StatusServiceUnavailable,
	} {
		h.cloud.fails(code)
		err := second(c.ConnectIntegration(ctx, form(uuid.New())))
		p, _ := errors.AsType[*api.Problem](err)
		if p == nil || p.Status != status || p.Code != code || len(p.Checks) != 1 || p.Checks[0].OK || p.Checks[0].Title != p.Title {
			t.Errorf("%s: %v %+v", code, err, p)
			continue
		}
		if status == http.StatusServiceUnavailable && p.RetryAfter == 0 {
			t.Errorf("%s: no Retry-After", code)
		}
	}
	pasted := form(uuid.New())
	pasted.Credentials.ClientSecret = api.Secret(uuid.NewString())
	p, _ := errors.AsType[*api.Problem](second(c.ConnectIntegration(ctx, pasted)))
	if p == nil || p.Status != http.StatusUnprocessableEntity || p.Code != fault.CodeSecretIDPasted || len(p.Checks) != 1 || len(p.Errors) != 1 || p.Errors[0].Pointer != "/credentials/client_secret" {
		t.Errorf("pasted Secret ID: %+v", p)
	}
	i := func() *api.Integration { h.cloud.answers(nil); return h.connect(h.mine) }()
	p, _ = errors.AsType[*api.Problem](second(c.RotateIntegrationSecret(ctx, i.ID, api.RotateSecretRequest{ClientSecret: pasted.Credentials.ClientSecret})))
	if p == nil || p.Code != fault.CodeSecretIDPasted || len(p.Errors) != 1 || p.Errors[0].Pointer != "/client_secret" {
		t.Errorf("pasted Secret ID on rotation: %+v", p)
	}
	page, err := c.ListIntegrations(ctx, api.ListIntegrationsOptions{})
	if err != nil || len(page.Items) != 1 {
		t.Errorf("stored: %+v %v", page, err)
	}
	h.cloud.answers(func(connector.Credentials) []connector.Check {
		return []connector.Check{{Name: "token", Code: fault.CodeSecretExpired, Title: "Failed to get access token"}, {Name: "permissions", Skipped: true}}
	})
	v, err := c.ValidateIntegration(ctx, i.ID)
	if err != nil || v.OK || len(v.Checks) != 1 || v.Checks[0].Code != fault.CodeSecretExpired {
		t.Errorf("validation: %+v %v", v, err)
	}
	now, err := c.GetIntegration(ctx, i.ID)
	if err != nil || now.State != api.IntegrationActionRequired || now.StateReason == nil || now.StateReason.Code != fault.CodeSecretExpired || now.StateReason.Remedy == "" {
		t.Errorf("state: %+v %v", now, err)
	}
}

func TestAdminListener(t *testing.T) {
	t.Parallel()
	var ready error
	h := httpapi.Admin(httpapi.AdminDeps{
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "figures") }),
		Ready:   func(context.Context) error { return ready }, Log: slog.New(slog.DiscardHandler),
	})
	ask := func(method, path string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(method, path, nil))
		return rec
	}
	for path, body := range map[string]string{"/metrics": "figures", "/healthz": "ok", "/readyz": "ready"} {
		if rec := ask(http.MethodGet, path); rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), body) {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	ready = errors.New("draining: pq: secret reason")
	rec := ask(http.MethodGet, "/readyz")
	if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" || strings.Contains(rec.Body.String(), "secret reason") ||
		rec.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("not ready: %d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	if rec := ask(http.MethodGet, "/healthz"); rec.Code != http.StatusOK {
		t.Errorf("alive although not ready: %d", rec.Code)
	}
	if rec := ask(http.MethodGet, "/v1/assets"); rec.Code != http.StatusNotFound {
		t.Errorf("the API on the operator's listener: %d", rec.Code)
	}
	if rec := ask(http.MethodPost, "/readyz"); rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST /readyz: %d", rec.Code)
	}
	if rec := ask(http.MethodGet, "/debug/pprof/heap"); rec.Code != http.StatusNotFound {
		t.Errorf("profiles nobody asked for: %d", rec.Code)
	}
}

func TestAdminListenerServesProfiles(t *testing.T) {
	t.Parallel()
	h := httpapi.Admin(httpapi.AdminDeps{
		Metrics: http.NotFoundHandler(), Ready: func(context.Context) error { return nil }, Log: slog.New(slog.DiscardHandler), Profiles: true,
	})
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/trace?seconds=0.01"} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		if rec.Code != http.StatusOK || rec.Body.Len() == 0 {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
}

// TestHeadTellsNoOtherLengthThanGet asks for short and long answers, plain and compressed.
func TestHeadTellsNoOtherLengthThanGet(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	plain := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	for _, path := range []string{"/openapi.json", "/v1/assets", "/v1/catalog/integrations", "/v1/nowhere"} {
		for _, coding := range []string{"", "gzip", "identity"} {
			ask := raw{method: http.MethodGet, path: path, key: h.mine.keys[tenant.Admin], client: plain, header: map[string]string{"Accept-Encoding": coding}}
			if coding == "" {
				ask.header = nil
			}
			got := h.send(ask)
			ask.method = http.MethodHead
			head := h.send(ask)
			if length := head.header.Get("Content-Length"); head.status != got.status || length != "" && length != strconv.Itoa(len(got.body)) {
				t.Errorf("%s as %q: HEAD %d with length %q, GET %d with %d bytes", path, coding, head.status, length, got.status, len(got.body))
			}
			if length := head.header.Get("Content-Length"); path == "/v1/catalog/integrations" && coding == "" && length == "" {
				t.Errorf("%s: HEAD tells no length", path)
			}
		}
	}
}
