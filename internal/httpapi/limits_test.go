package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// askedKeys counts how often the database is asked who presents a key.
type askedKeys struct {
	httpapi.KeyStore
	asked *atomic.Int64
}

func (a askedKeys) PrincipalByKey(ctx context.Context, text seal.Secret) (tenant.Principal, error) {
	a.asked.Add(1)
	return a.KeyStore.PrincipalByKey(ctx, text)
}

// limited is a house with limits, whose clock stands still, and the count of looks into the database for a key.
func limited(t *testing.T, l httpapi.Limits, change ...func(*httpapi.Deps)) (*house, *atomic.Int64) {
	t.Helper()
	asked := &atomic.Int64{}
	start := time.Now()
	var h *house
	h = newHouse(t, append(change, func(d *httpapi.Deps) {
		d.Limits, d.Keys = l, askedKeys{d.Keys, asked}
		d.Now = func() time.Time { return start.Add(h.clock.moved()) }
	})...)
	return h, asked
}

func (c *clock) moved() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead
}

func mustBeLimited(t *testing.T, what string, got answered, wait string) {
	t.Helper()
	if got.status != http.StatusTooManyRequests || got.problem(t).Code != api.CodeRateLimited || got.header.Get("Retry-After") != wait {
		t.Errorf("%s: %d, Retry-After %s, want 429 and %s: %s", what, got.status, got.header.Get("Retry-After"), wait, got.body)
	}
}

// TestLimitsOfACredential lets one key use up its requests: others go on, and it is let in again as time goes by.
func TestLimitsOfACredential(t *testing.T) {
	t.Parallel()
	h, asked := limited(t, httpapi.Limits{Credential: 60, Tenant: 240}) // 10 and 40 at once
	r := raw{method: http.MethodGet, path: "/v1/tenant", key: h.mine.keys[tenant.Admin], client: h.checked()}
	for i := range 10 {
		got := h.send(r)
		want := fmt.Sprintf(`"credential";r=%d;t=%d, "tenant";r=%d;t=%d`, 9-i, i+1, 39-i, (i+4)/4)
		if got.status != http.StatusOK || got.header.Get("RateLimit") != want || got.header.Get("RateLimit-Policy") != `"credential";q=10;w=10, "tenant";q=40;w=10` {
			t.Errorf("request %d: %d %v, want %s", i, got.status, got.header, want)
		}
	}
	before := asked.Load()
	mustBeLimited(t, "the eleventh", h.send(r), "1")
	if asked.Load() != before {
		t.Error("the database was asked about a request that is refused")
	}
	for _, key := range []string{h.mine.keys[tenant.ReadOnly], h.other.keys[tenant.Admin]} {
		if got := h.send(raw{method: http.MethodGet, path: "/v1/tenant", key: key}); got.status != http.StatusOK {
			t.Errorf("another credential: %d", got.status)
		}
	}
	h.clock.move(time.Second)
	if got := h.send(r); got.status != http.StatusOK {
		t.Errorf("a second later: %d", got.status)
	}
	mustBeLimited(t, "and once more", h.send(r), "1")
}

func TestLimitsOfATenant(t *testing.T) {
	t.Parallel()
	h, _ := limited(t, httpapi.Limits{Tenant: 6}) // one at once
	ask := func(n neighbour, role tenant.Role) answered {
		return h.send(raw{method: http.MethodGet, path: "/v1/tenant", key: n.keys[role], client: h.checked()})
	}
	for _, n := range []neighbour{h.mine, h.other} { // makes the credentials known
		for _, role := range []tenant.Role{tenant.Admin, tenant.ReadOnly} {
			ask(n, role)
		}
	}
	h.clock.move(10 * time.Second)
	if got := ask(h.mine, tenant.Admin); got.status != http.StatusOK {
		t.Errorf("the first: %d", got.status)
	}
	mustBeLimited(t, "by another key of the tenant", ask(h.mine, tenant.ReadOnly), "10")
	if got := ask(h.other, tenant.Admin); got.status != http.StatusOK {
		t.Errorf("another tenant: %d", got.status)
	}
}

// TestLimitsOfAnAddress guesses keys; who has a good one goes on from the same address, and forged headers change nothing.
func TestLimitsOfAnAddress(t *testing.T) {
	t.Parallel()
	h, asked := limited(t, httpapi.Limits{Address: 60})
	good := raw{method: http.MethodGet, path: "/v1/tenant", key: h.mine.keys[tenant.Admin], client: h.checked()}
	if got := h.send(good); got.status != http.StatusOK || got.header.Get("RateLimit") != "" {
		t.Errorf("%d %v", got.status, got.header)
	}
	for i := range 10 {
		guess := tenant.NewKey().Reveal()
		if got := h.send(raw{method: http.MethodGet, path: "/v1/tenant", key: guess, header: map[string]string{"X-Forwarded-For": fmt.Sprintf("203.0.113.%d", i)}}); got.status != http.StatusUnauthorized {
			t.Errorf("guess %d: %d", i, got.status)
		}
	}
	before := asked.Load()
	guess := tenant.NewKey().Reveal()
	for what, r := range map[string]raw{
		"a guess": {method: http.MethodGet, path: "/v1/tenant", key: guess}, "no key": {method: http.MethodGet, path: "/v1/tenant"},
		"what is open to everybody": {method: http.MethodGet, path: "/v1/version"}, "no path": {method: http.MethodGet, path: "/v1/nothing"},
		"no method": {method: http.MethodPut, path: "/v1/tenant"},
	} {
		r.header = map[string]string{"X-Forwarded-For": "203.0.113.200", "X-Real-IP": "203.0.113.201", "Forwarded": "for=203.0.113.202"}
		mustBeLimited(t, what, h.send(r), "1")
	}
	if asked.Load() != before {
		t.Error("the database was asked about a request that is refused")
	}
	if got := h.send(good); got.status != http.StatusOK {
		t.Errorf("a good key from the same address: %d", got.status)
	}
	h.exec(`update api_key set revoked_at = now()`)
	if got := h.send(good); got.status != http.StatusUnauthorized {
		t.Errorf("a revoked key: %d", got.status)
	}
	mustBeLimited(t, "a key that is good no more", h.send(good), "1")
}

// TestTheClientIsBehindTheTrustedProxies takes the last address that is none of theirs, for limits and for the audit trail.
func TestTheClientIsBehindTheTrustedProxies(t *testing.T) {
	t.Parallel()
	h, _ := limited(t, httpapi.Limits{Address: 6}, func(d *httpapi.Deps) { d.TrustedProxies = []string{"127.0.0.0/8", "::1/128", "10.0.0.0/8"} })
	from := func(forwarded string) answered {
		return h.send(raw{method: http.MethodGet, path: "/v1/version", client: h.checked(), header: map[string]string{"X-Forwarded-For": forwarded}})
	}
	for _, forwarded := range []string{"198.51.100.1", "198.51.100.2, 10.1.2.3", "2001:db8::1"} {
		if got := from(forwarded); got.status != http.StatusOK {
			t.Errorf("%s: %d", forwarded, got.status)
		}
	}
	for _, forwarded := range []string{"203.0.113.9, 198.51.100.1", "198.51.100.77, 198.51.100.2, 10.9.9.9", "2001:db8::2"} {
		mustBeLimited(t, forwarded, from(forwarded), "10")
	}
	h.send(raw{method: http.MethodPost, path: "/v1/api-keys", key: h.mine.keys[tenant.Admin], body: `{"name":"x","role":"readonly"}`,
		header: map[string]string{"Content-Type": "application/json", "X-Forwarded-For": "203.0.113.9, 198.51.100.3, 10.1.2.3"}})
	if e := h.newest(h.mine); e.Address != "198.51.100.3" {
		t.Errorf("the audit trail has %q", e.Address)
	}
}

// tried is a house that bounds live checks, all of them made in the same moment.
func tried(t *testing.T, perMinute, atOnce int) *house {
	t.Helper()
	ring, err := seal.ParseRing(seal.NewKey().Reveal())
	must(t, err)
	cloud, began := newCloud(t), time.Now()
	h := newHouse(t, func(d *httpapi.Deps) {
		d.Integrations = connector.NewService(d.Runs.(connector.Store), sealerOf(d.Runs.(envelope.Store), ring), connector.Registry{defender.Kind: cloud}, func() time.Time { return began },
			connector.WithTrials(connector.NewTrials(perMinute, atOnce)))
	})
	h.cloud = cloud
	return h
}

func (c *cloud) tries() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.secrets)
}

// TestLiveChecksAreLimited tries secrets in every way there is, for one directory and for many, as two tenants.
func TestLiveChecksAreLimited(t *testing.T) {
	t.Parallel()
	h := tried(t, 10, 100)
	i := h.connect(h.mine)
	directory := uuid.New()
	connect := func(n neighbour, directory uuid.UUID, query string) answered {
		body := fmt.Sprintf(`{"type":"microsoft-defender","credentials":{"client_id":%q,"client_secret":%q,"tenant_id":%q}}`, uuid.New(), canary, directory)
		return h.send(raw{method: http.MethodPost, path: "/v1/integrations" + query, key: n.keys[tenant.Admin], body: body, client: h.checked(), header: map[string]string{"Content-Type": "application/json"}})
	}
	refused := 0
	note := func(got answered) {
		if got.status == http.StatusTooManyRequests {
			refused++
			mustBeLimited(t, "a check too many", got, got.header.Get("Retry-After"))
		}
	}
	for range 50 {
		note(connect(h.mine, uuid.New(), "?validate_only=true"))
		note(connect(h.mine, directory, "?validate_only=true"))
		note(h.send(raw{method: http.MethodPost, path: "/v1/integrations/" + i.ID + "/validate", key: h.mine.keys[tenant.Analyst], client: h.checked()}))
		note(h.send(raw{method: http.MethodPost, path: "/v1/integrations/" + i.ID + "/rotate-secret", key: h.mine.keys[tenant.Admin], client: h.checked(),
			body: `{"client_secret":"` + canary + `"}`, header: map[string]string{"Content-Type": "application/json"}}))
	}
	if tries := h.cloud.tries(); tries != 10 || refused != 200-9 {
		t.Errorf("%d tries of a tenant reached Microsoft, %d were refused", tries, refused)
	}
	third := h.neighbour()
	for n := range 12 {
		note(connect([]neighbour{h.other, third}[n%2], directory, "?validate_only=true"))
	}
	if tries := h.cloud.tries(); tries > 10+10 {
		t.Errorf("%d tries for one directory reached Microsoft", tries-10)
	}
}

// TestStagedSecretsAreLimited stages one after the other, each of which a run would try.
func TestStagedSecretsAreLimited(t *testing.T) {
	t.Parallel()
	h := tried(t, 4, 100)
	i := h.connect(h.mine)
	stage := func() error {
		return second(h.admin().RotateIntegrationSecret(t.Context(), i.ID, api.RotateSecretRequest{ClientSecret: canary, Stage: new(true)}))
	}
	if err := stage(); err != nil {
		t.Errorf("after connecting, the other of two checks that one tenant has of a directory: %v", err)
	}
	if err := stage(); !api.HasCode(err, api.CodeRateLimited) {
		t.Errorf("one more: %v", err)
	}
}

// TestRunsThatTryARefusedSecretAreLimited asks for runs, dry runs and their resuming again and again, while the last one ended in each way
// it can. What is refused for another reason does not count.
func TestRunsThatTryARefusedSecretAreLimited(t *testing.T) {
	t.Parallel()
	h := tried(t, 8, 100) // four of one tenant, of which connecting is one
	for last, most := range map[string]int{"failed": 3, "cancelled": 3, "succeeded": 6, "partially_succeeded": 6} {
		for name, ask := range map[string]func(c *api.Client, id string) error{
			"run": func(c *api.Client, id string) error {
				return second(c.StartRun(t.Context(), id, api.StartRunRequest{}))
			},
			"dry run": func(c *api.Client, id string) error {
				return second(c.StartRun(t.Context(), id, api.StartRunRequest{DryRun: new(true)}))
			},
			"resume": func(c *api.Client, id string) error {
				must(t, second(c.PauseIntegration(t.Context(), id, false)))
				return second(c.ResumeIntegration(t.Context(), id))
			},
		} {
			n := h.neighbour()
			c, i := h.client(n, tenant.Admin), h.connect(n)
			if err := second(c.StartRun(t.Context(), i.ID, api.StartRunRequest{})); !api.HasCode(err, api.CodeRunInProgress) {
				t.Errorf("%s while one is queued: %v", name, err)
			}
			done := 0
			for range 6 {
				h.exec(`delete from job; update run set state = '` + last + `', finished_at = now() where state = 'queued'`)
				if err := ask(c, i.ID); err == nil {
					done++
				} else if !api.HasCode(err, api.CodeRateLimited) {
					t.Errorf("%s after one that %s: %v", name, last, err)
				}
			}
			if done != most {
				t.Errorf("%s after one that %s: %d times, want %d", name, last, done, most)
			}
		}
	}
}

// TestRunsOfWhatNeedsActionAreLimited asks for runs of an integration whose credentials a check found refused after its last run went well.
func TestRunsOfWhatNeedsActionAreLimited(t *testing.T) {
	t.Parallel()
	h := tried(t, 4, 100)
	c, i := h.admin(), h.connect(h.mine)
	ask := func() error {
		h.exec(`delete from job; update run set state = 'succeeded', finished_at = now(); update integration set state = 'action_required', state_reason = 'secret_expired'`)
		return second(c.StartRun(t.Context(), i.ID, api.StartRunRequest{}))
	}
	if err := ask(); err != nil {
		t.Errorf("after connecting, the other of two checks that one tenant has of a directory: %v", err)
	}
	if err := ask(); !api.HasCode(err, api.CodeRateLimited) {
		t.Errorf("one more: %v", err)
	}
}

// TestOneTenantLeavesOthersChecksOfADirectory has a tenant check a directory as often as it may, and the one it belongs to after it.
func TestOneTenantLeavesOthersChecksOfADirectory(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{1, 4} {
		h := tried(t, perMinute, 100)
		directory := uuid.New()
		try := func(n neighbour) error {
			return second(h.client(n, tenant.Admin).PreviewIntegration(t.Context(), form(directory)))
		}
		var last error
		for range 2 * perMinute {
			last = try(h.other)
		}
		if !api.HasCode(last, api.CodeRateLimited) {
			t.Errorf("%d a minute: a tenant's %d checks of one directory: %v", perMinute, 2*perMinute, last)
		}
		for i := range max(1, perMinute/2) {
			if err := try(h.mine); api.HasCode(err, api.CodeRateLimited) {
				t.Errorf("%d a minute: check %d of another tenant: %v", perMinute, i+1, err)
			}
		}
		if err := try(h.neighbour()); !api.HasCode(err, api.CodeRateLimited) {
			t.Errorf("%d a minute: a check more than the directory has: %v", perMinute, err)
		}
		if err := second(h.client(h.other, tenant.Admin).PreviewIntegration(t.Context(), form(uuid.New()))); perMinute > 1 && api.HasCode(err, api.CodeRateLimited) {
			t.Errorf("checks that were refused are counted for another directory: %v", err)
		}
	}
}

func TestLiveChecksAtOnceAreLimited(t *testing.T) {
	t.Parallel()
	h := tried(t, 0, 1)
	begun, end := make(chan struct{}), make(chan struct{})
	h.cloud.answers(func(connector.Credentials) []connector.Check {
		close(begun)
		<-end
		return nil
	})
	var first sync.WaitGroup
	first.Go(func() {
		must(t, second(h.admin().PreviewIntegration(context.WithoutCancel(t.Context()), form(uuid.New()))))
	})
	<-begun
	_, err := h.client(h.other, tenant.Admin).PreviewIntegration(t.Context(), form(uuid.New()))
	if !api.HasCode(err, api.CodeRateLimited) || !strings.Contains(err.Error(), "at once") {
		t.Errorf("a check that no place became free for: %v", err)
	}
	close(end)
	first.Wait()
	h.cloud.answers(func(connector.Credentials) []connector.Check { return nil })
	if err := second(h.client(h.other, tenant.Admin).PreviewIntegration(t.Context(), form(uuid.New()))); api.HasCode(err, api.CodeRateLimited) {
		t.Errorf("the next one: %v", err)
	}
}
