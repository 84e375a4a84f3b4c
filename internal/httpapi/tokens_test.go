package httpapi_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/identity"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// mint issues tokens.
type mint struct {
	t   *testing.T
	key *ecdsa.PrivateKey
}

const tokenIssuer, tokenAudience = "https://login.pgp.example", "https://defender.pgp.example"

func newMint(t *testing.T) *mint {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return &mint{t, key}
}

// Key makes the mint a source of keys.
func (m *mint) Key(_ context.Context, kid, _ string) (crypto.PublicKey, error) {
	if kid != "mint" {
		return nil, errors.New("no such key")
	}
	return m.key.Public(), nil
}

func (m *mint) into(d *httpapi.Deps) {
	d.Tokens = identity.New(identity.Config{
		Issuer: tokenIssuer, Audience: tokenAudience, Algorithms: []string{"ES256"}, TenantClaim: "tenants", RoleClaim: "role", Keys: m, Now: time.Now,
	})
}

func (m *mint) token(role tenant.Role, tenants ...string) string {
	m.t.Helper()
	return m.until(time.Now().Add(time.Hour), role, tenants)
}

func (m *mint) expired(role tenant.Role, tenants ...string) string {
	m.t.Helper()
	return m.until(time.Now().Add(-time.Hour), role, tenants)
}

func (m *mint) until(expiry time.Time, role tenant.Role, tenants []string) string {
	m.t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": tokenIssuer, "aud": tokenAudience, "sub": "ada@contoso.example", "role": string(role), "tenants": tenants, "exp": expiry.Unix(),
	})
	token.Header["kid"] = "mint"
	text, err := token.SignedString(m.key)
	must(m.t, err)
	return text
}

// named gives both neighbours a PGP account.
func (h *house) named() (mine, other string) {
	h.t.Helper()
	h.exec("update tenant set pgp_account = 'desk@mine.example' where id = " + number(h.mine.id))
	h.exec("update tenant set pgp_account = 'desk@other.example' where id = " + number(h.other.id))
	return "desk@mine.example", "desk@other.example"
}

// asks sends a request for the caller's tenant, with the header account unless that is empty.
func (h *house) asks(credential, account string) answered {
	h.t.Helper()
	r := raw{method: http.MethodGet, path: "/v1/tenant", key: credential, client: h.checked()}
	if account != "" {
		r.header = map[string]string{"account": account}
	}
	return h.send(r)
}

func (h *house) publicID(n neighbour) string {
	h.t.Helper()
	t, err := h.store.Tenant(context.Background(), n.id)
	must(h.t, err)
	return tenant.PublicText(tenant.TenantPrefix, t.PublicID)
}

func TestATokenActsForTheTenantsItNames(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	h := newHouse(t, m.into)
	mine, other := h.named()
	mineID, otherID := h.publicID(h.mine), h.publicID(h.other)
	for name, c := range map[string]struct {
		credential, account string
		status              int
		tenant              string
	}{
		"its only one":                                 {m.token(tenant.ReadOnly, mine), "", 200, mineID},
		"its only one, named":                          {m.token(tenant.ReadOnly, mine), strings.ToUpper(mine), 200, mineID},
		"by id":                                        {m.token(tenant.ReadOnly, mineID), "", 200, mineID},
		"its only one, twice":                          {m.token(tenant.ReadOnly, mine, strings.ToUpper(mine)), "", 200, mineID},
		"one by both its names":                        {m.token(tenant.ReadOnly, mine, mineID), "", 400, ""},
		"by both, the account":                         {m.token(tenant.ReadOnly, mine, mineID), mine, 200, mineID},
		"by both, the id":                              {m.token(tenant.ReadOnly, mine, mineID), mineID, 200, mineID},
		"by id, and its account":                       {m.token(tenant.ReadOnly, mineID), mine, 403, ""},
		"by account, and its id":                       {m.token(tenant.ReadOnly, mine), mineID, 403, ""},
		"one of two":                                   {m.token(tenant.ReadOnly, mine, otherID), otherID, 200, otherID},
		"none of two":                                  {m.token(tenant.ReadOnly, mine, other), "", 400, ""},
		"another than its own":                         {m.token(tenant.Admin, mine), other, 403, ""},
		"another's id":                                 {m.token(tenant.Admin, mine), otherID, 403, ""},
		"one that is not there":                        {m.token(tenant.Admin, "no@body.example"), "", 403, ""},
		"none at all":                                  {m.token(tenant.Admin), "", 403, ""},
		"platform is for none":                         {m.token(tenant.Platform), "", 403, ""},
		"platform with an account":                     {m.token(tenant.Platform), mine, 403, ""},
		"a key for its own":                            {h.mine.keys[tenant.ReadOnly], mine, 200, mineID},
		"a key for its own, by id":                     {h.mine.keys[tenant.ReadOnly], mineID, 200, mineID},
		"by id, in capitals":                           {m.token(tenant.ReadOnly, mineID), strings.ToUpper(mineID), 200, mineID},
		"a key, in capitals":                           {h.mine.keys[tenant.ReadOnly], strings.ToUpper(mine), 200, mineID},
		"a key, by id, in capitals":                    {h.mine.keys[tenant.ReadOnly], strings.ToUpper(mineID), 200, mineID},
		"a letter that folds to another's, by account": {m.token(tenant.Admin, strings.Replace(other, "k", "\u212a", 1)), other, 403, ""},
		"a letter that folds to another's":             {m.token(tenant.Admin, strings.Replace(other, "k", "\u212a", 1)), "", 403, ""},
		"a letter that folds to its own, by account":   {m.token(tenant.Admin, mine), strings.Replace(mine, "k", "\u212a", 1), 403, ""},
		"a key for all":                                {h.mine.keys[tenant.Admin], "*", 403, ""},
		"a token for all":                              {m.token(tenant.Admin, "*"), "", 403, ""},
		"a key for another":                            {h.mine.keys[tenant.Admin], other, 403, ""},
		"a key for one not there":                      {h.mine.keys[tenant.Admin], "no@body.example", 403, ""},
		"an account that cannot be one":                {m.token(tenant.ReadOnly, mine), "a b", 403, ""},
	} {
		got := h.asks(c.credential, c.account)
		if got.status != c.status || c.tenant != "" && !strings.Contains(got.body, c.tenant) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	c := api.New(h.url, m.token(tenant.ReadOnly, mine, other), api.WithAccount(other), api.WithHTTPClient(h.checked()))
	if got, err := c.GetTenant(context.Background()); err != nil || got.ID != otherID {
		t.Errorf("by the client: %+v %v", got, err)
	}
	missing, foreign := h.asks(m.token(tenant.Admin, "no@body.example"), "").problem(t), h.asks(m.token(tenant.Admin, mine), other).problem(t)
	must(t, h.store.SetTenantState(context.Background(), h.other.id, tenant.Suspended))
	suspended := h.asks(m.token(tenant.Admin, other), "").problem(t)
	missing.RequestID, foreign.RequestID, suspended.RequestID = "", "", ""
	if !sameProblem(missing, foreign) || !sameProblem(missing, suspended) {
		t.Errorf("they differ: %+v, %+v, %+v", missing, foreign, suspended)
	}
	if log := h.log.String(); strings.Contains(log, "ada@contoso.example") || !strings.Contains(log, `"subject":"`) {
		t.Error("the log names the bearer's address, or nobody")
	}
}

// untouchable fails the test when the database is asked for anything.
type untouchable struct {
	httpapi.KeyStore
	httpapi.TenantReader
	asked *atomic.Int64
}

func (u untouchable) PrincipalByKey(context.Context, seal.Secret) (tenant.Principal, error) {
	u.asked.Add(1)
	return tenant.Principal{}, errors.New("asked")
}

func (u untouchable) ActiveTenant(context.Context, uuid.UUID, string) (tenant.Tenant, error) {
	u.asked.Add(1)
	return tenant.Tenant{}, errors.New("asked")
}

// TestForgedTokensCostNoQuery sends what looks like a token to every operation. Which forgeries there are is the business of
// package identity.
func TestForgedTokensCostNoQuery(t *testing.T) {
	t.Parallel()
	m, stranger := newMint(t), newMint(t)
	u := untouchable{asked: &atomic.Int64{}}
	h := newHouse(t, m.into, func(d *httpapi.Deps) { d.Keys, d.Tenants = u, u })
	good := m.token(tenant.Admin, "desk@mine.example")
	for name, text := range map[string]string{
		"a stranger's": stranger.token(tenant.Admin, "desk@mine.example"), "a stranger's, expired": stranger.expired(tenant.Admin, "desk@mine.example"),
		"cut": good[:len(good)-3], "noise": "a.b.c", "huge": strings.Repeat("a", 9000), "key-like": "pgpd_short",
	} {
		for _, op := range operations(t) {
			if op.role == "" {
				continue
			}
			got := h.send(op.request(nobodys, text))
			if got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") != `Bearer realm="pgp", error="invalid_token"` {
				t.Errorf("%s, %s: %d %v", op.id, name, got.status, got.header)
			}
		}
	}
	if log := h.log.String(); !strings.Contains(log, `"refused":"signature"`) || !strings.Contains(log, `"refused":"too_long"`) {
		t.Error("the log does not say why tokens were refused")
	}
	if n := u.asked.Load(); n != 0 {
		t.Errorf("the database was asked %d times", n)
	}
}

// TestFunctionMatrixOfTokens asks every operation with a token of every role.
func TestFunctionMatrixOfTokens(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	h := newHouse(t, m.into)
	mine, _ := h.named()
	for _, op := range operations(t) {
		for _, role := range []tenant.Role{tenant.ReadOnly, tenant.Analyst, tenant.Admin} {
			got := h.send(op.request(nobodys, m.token(role, mine)))
			allowed := op.role == "" || role.Includes(op.role)
			if refused := got.status == http.StatusForbidden; refused == allowed || got.status == http.StatusUnauthorized {
				t.Errorf("%s as %s: %d, allowed %v", op.id, role, got.status, allowed)
			}
		}
		if got := h.send(op.request(nobodys, m.token(tenant.Platform))); op.role != "" && op.role != tenant.Platform && got.status != http.StatusForbidden {
			t.Errorf("%s as platform: %d", op.id, got.status)
		}
	}
}

// TestATokenWithAnothersIdEverywhere puts the id and the account of another tenant wherever a request has a place for one.
func TestATokenWithAnothersIdEverywhere(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	h := newHouse(t, m.into)
	mine, other := h.named()
	theirs, otherID := h.furnish(h.other), h.publicID(h.other)
	before := h.fingerprint(h.other)
	token := m.token(tenant.Admin, mine)
	asked := 0
	for _, op := range operations(t) {
		if _, ofTenant := op.at(theirs); !ofTenant || slices.Contains([]string{"getVulnerability", "listVulnerabilityAssets"}, op.id) {
			continue
		}
		asked++
		if got := h.send(op.request(theirs, token)); got.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", op.id, got.status, got.body)
		}
		r := op.request(theirs, token)
		if r.header == nil {
			r.header = map[string]string{}
		}
		r.header["account"] = other
		if got := h.send(r); got.status != http.StatusForbidden {
			t.Errorf("%s with the other's account: %d", op.id, got.status)
		}
	}
	if asked < 15 {
		t.Errorf("only %d operations were asked", asked)
	}
	for _, name := range []string{"tenant", "tenant_id", "account", "integration_id"} {
		got := h.send(raw{method: http.MethodGet, path: "/v1/assets?" + url.Values{name: {otherID}}.Encode(), key: token, client: h.checked()})
		if got.status != http.StatusBadRequest {
			t.Errorf("?%s: %d %s", name, got.status, got.body)
		}
	}
	got := h.send(raw{method: http.MethodPost, path: "/v1/api-keys", key: token, client: h.checked(), header: map[string]string{"Content-Type": "application/json"}, body: `{"name":"x","role":"readonly","expires_at":"2027-01-01T00:00:00Z","tenant_id":"` + otherID + `"}`})
	if got.status != http.StatusBadRequest {
		t.Errorf("in the body: %d %s", got.status, got.body)
	}
	if h.fingerprint(h.other) != before {
		t.Error("the other tenant's objects changed")
	}
}
