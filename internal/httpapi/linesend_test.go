package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/identity"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// longFindings gives so many batches of so many findings, and says before each which one comes.
type longFindings struct {
	httpapi.FindingReader
	batches int
	each    int
	before  func(n int)
}

func (f longFindings) EachFinding(_ context.Context, _ tenant.ID, _ inventory.FindingFilter, take func([]inventory.Finding) error) error {
	for n := range f.batches {
		f.before(n)
		if err := take(manyFindings()[:f.each]); err != nil {
			return err
		}
	}
	return nil
}

// countedKeys counts how often the database is asked for a key.
type countedKeys struct {
	httpapi.KeyStore
	asked *atomic.Int64
}

func (c countedKeys) PrincipalByKey(ctx context.Context, text seal.Secret) (tenant.Principal, error) {
	c.asked.Add(1)
	return c.KeyStore.PrincipalByKey(ctx, text)
}

// TestAListEndsWithItsCredential takes a list's credential away while it is being streamed, in every way there is. The clock makes a
// step with each batch that is longer than a credential counts unseen.
func TestAListEndsWithItsCredential(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	for name, c := range map[string]struct {
		end   func(h *house)
		token bool
	}{
		"key revoked":                {func(h *house) { h.exec(`update api_key set revoked_at = now()`) }, false},
		"key expired":                {func(h *house) { h.exec(`update api_key set expires_at = now()`) }, false},
		"tenant suspended, by key":   {func(h *house) { must(t, h.store.SetTenantState(t.Context(), h.mine.id, tenant.Suspended)) }, false},
		"token expired":              {func(h *house) { h.clock.move(2 * time.Hour) }, true},
		"tenant suspended, by token": {func(h *house) { must(t, h.store.SetTenantState(t.Context(), h.mine.id, tenant.Suspended)) }, true},
		"account of another, by name": {func(h *house) {
			h.exec(`update tenant set pgp_account = 'x' || id where pgp_account = 'desk@mine.example'; update tenant set pgp_account = 'desk@mine.example' where id = ` + number(h.other.id))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h *house
			given := 0
			h = newHouse(t, func(d *httpapi.Deps) {
				d.Tokens = identity.New(identity.Config{
					Issuer: tokenIssuer, Audience: tokenAudience, Algorithms: []string{"ES256"}, TenantClaim: "tenants", RoleClaim: "role", Keys: m, Now: d.Now,
				})
				d.Findings = longFindings{d.Findings, 50, 1000, func(n int) {
					if given = n; n == 3 {
						c.end(h)
					}
					h.clock.move(6 * time.Second)
				}}
			})
			mine, _ := h.named()
			credential := h.mine.keys[tenant.ReadOnly]
			if c.token {
				credential = m.token(tenant.ReadOnly, mine)
			}
			lines, broke := 0, error(nil)
			for _, err := range api.New(h.url, credential).StreamFindings(t.Context(), api.ListFindingsOptions{}) {
				if broke = err; err == nil {
					lines++
				}
			}
			var p *api.Problem
			if broke == nil || errors.As(broke, &p) || lines == 0 || given != 3 {
				t.Errorf("%d lines of %d batches, then %v", lines, given+1, broke)
			}
			if log := h.log.String(); !strings.Contains(log, `"code":"unauthenticated"`) && !strings.Contains(log, `"code":"forbidden"`) || strings.Contains(log, `"level":"ERROR"`) {
				t.Errorf("logged: %s", log)
			}
		})
	}
}

// TestAListAsksSeldomForItsCredential streams many batches, in no time and over a minute.
func TestAListAsksSeldomForItsCredential(t *testing.T) {
	t.Parallel()
	for step, most := range map[time.Duration]int64{0: 1, time.Second: 1 + 60/5, 10 * time.Second: 1 + 61} {
		var asked, steps atomic.Int64
		began := time.Now()
		h := newHouse(t, func(d *httpapi.Deps) {
			d.Now = func() time.Time { return began.Add(time.Duration(steps.Load()) * step) }
			d.Keys = countedKeys{d.Keys, &asked}
			d.Findings = longFindings{d.Findings, 60, 200, func(int) { steps.Add(1) }}
		})
		a := h.send(raw{method: http.MethodGet, path: "/v1/findings", key: h.mine.keys[tenant.ReadOnly], header: map[string]string{"Accept": "application/x-ndjson"}})
		if n := asked.Load(); !strings.HasSuffix(a.body, "{\"_end\":true,\"count\":12000}\n") || n > most || step > 0 && n < most-3 {
			t.Errorf("asked %d times in steps of %v, and the list ends with %q", n, step, a.body[max(0, len(a.body)-40):])
		}
	}
}
