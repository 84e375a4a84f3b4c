package httpapi_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/repeat"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// TestADatabaseThatStopsAtARefusedSignInIsAskedOnce freezes the database where the answer of a login service that is down is to be
// counted. Nothing more is asked of it but the Idempotency-Key back, and that for a moment.
func TestADatabaseThatStopsAtARefusedSignInIsAskedOnce(t *testing.T) {
	t.Parallel()
	other := strings.Replace(simDirectory, "5a1e5b0c", "5a1e5bff", 1)
	form := `{"type":"microsoft-defender","credentials":{"tenant_id":"` + other + `","client_id":"` + simClient + `","client_secret":"` + simSecret + `"}}`
	for name, tc := range map[string]struct{ path, body string }{
		"validate": {path: "/v1/integrations/{id}/validate"},
		"connect":  {"/v1/integrations", form},
		"rotate":   {"/v1/integrations/{id}/rotate-secret", `{"client_secret":"` + waiting + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMicrosoft(t)
			i, err := m.admin().ConnectIntegration(t.Context(), entered(simDirectory, simClient, simSecret))
			must(t, err)
			w := m.through(t)
			_, err = m.sim.AddFault(defendersim.Fault{Route: "token", Status: http.StatusServiceUnavailable, Body: "html"})
			must(t, err)
			w.freezeAt(t, "upstream_fail(")
			m.mustBeOurFault(raw{
				method: http.MethodPost, path: strings.Replace(tc.path, "{id}", i.ID, 1), body: tc.body, key: m.mine.keys[tenant.Admin],
				header: map[string]string{"Content-Type": "application/json", "Idempotency-Key": "k"},
			}, 3*time.Second)
		})
	}
}

// mustBeOurFault sends a request that has to be answered in time as one of this service's own trouble.
func (m *microsoft) mustBeOurFault(r raw, within time.Duration) {
	m.t.Helper()
	r.client = m.checked()
	began := time.Now()
	got := m.send(r)
	var p api.Problem
	if got.status == http.StatusServiceUnavailable {
		p = got.problem(m.t)
	}
	if took := time.Since(began); p.Code != fault.CodeUnavailable || took > within {
		m.t.Errorf("%s: %d after %v, want 503 of this service within %v: %s", r.path, got.status, took, within, got.body)
	}
}

// waitedFor is a store of keys behind a database that is waited for in vain, for a key named "long" as long as there is time.
type waitedFor struct{ httpapi.KeyStore }

func (waitedFor) CreateAPIKey(ctx context.Context, _ tenant.ID, k tenant.APIKey, _ seal.Secret) (tenant.APIKey, error) {
	if k.Name == "long" {
		<-ctx.Done()
	}
	return tenant.APIKey{}, fault.New(fault.CodeUnavailable, "")
}

// hurried tells how long giving a name back may take.
type hurried struct {
	httpapi.RepeatStore
	within chan time.Duration
}

func (h hurried) GiveUpRequest(ctx context.Context, a *repeat.Attempt) error {
	until, _ := ctx.Deadline()
	h.within <- time.Until(until)
	return h.RepeatStore.GiveUpRequest(ctx, a)
}

// TestAnIdempotencyKeyIsGivenBackInWhatTimeIsLeft tries to give a key back after a request that may have waited for the database already,
// where both waits are to stay below 5 seconds, and after another one. Either is free again.
func TestAnIdempotencyKeyIsGivenBackInWhatTimeIsLeft(t *testing.T) {
	t.Parallel()
	times := hurried{within: make(chan time.Duration, 1)}
	h := newHouse(t, func(d *httpapi.Deps) {
		times.RepeatStore = d.Repeats
		d.Keys, d.Repeats = waitedFor{d.Keys}, times
	})
	for body, want := range map[string]struct {
		status int
		most   time.Duration
	}{
		`{"name":"long","role":"readonly"}`:  {http.StatusServiceUnavailable, 300 * time.Millisecond},
		`{"name":"short","role":"readonly"}`: {http.StatusServiceUnavailable, time.Second}, // such as for want of a connection
		`{"name":"short","role":"nobody"}`:   {http.StatusBadRequest, time.Second},
	} {
		r := raw{method: http.MethodPost, path: "/v1/api-keys", key: h.mine.keys[tenant.Admin], body: body, header: map[string]string{"Content-Type": "application/json"}}
		r.header["Idempotency-Key"] = "k-" + strconv.Itoa(len(body))
		for range 2 { // the second is not told that the first is under way
			got := h.send(r)
			for tries := 1; len(times.within) == 0 && tries < 5; tries++ { // a busy machine's database did not let it begin
				got = h.send(r)
			}
			if got.status != want.status || len(times.within) == 0 { // it is given back before the answer
				t.Fatalf("%s: %d %s", body, got.status, got.body)
			}
			if within := <-times.within; within > want.most || within < want.most/2 {
				t.Errorf("%s: %v for giving the key back, want %v", body, within, want.most)
			}
		}
	}
}
