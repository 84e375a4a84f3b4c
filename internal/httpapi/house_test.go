package httpapi_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	defenderspec "pgp.internal/defender"
	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/contract"
	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/identity"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/secrethunt"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// canary is a client secret that must not come out anywhere but at the connector. No piece of it is a word that may be told.
const canary = "CANARY~8Q.h7Zb1mTx9sK2wE6uD3yJ0vLqP-5789"

// house is the API in front of a database of its own, with two tenants.
type house struct {
	t     *testing.T
	deps  httpapi.Deps
	url   string
	dsn   string
	ring  *seal.Ring
	store *postgres.Store
	owner *sql.DB // sees all tenants
	log   *secrethunt.Log
	meter *countingMeter
	clock *clock
	cloud *cloud
	mine  neighbour
	other neighbour
	seen  *contract.Coverage
	hunt  *secrethunt.Hunt
	woken chan struct{}
}

// neighbour is a tenant with a key for each role.
type neighbour struct {
	id   tenant.ID
	keys map[tenant.Role]string
}

func newHouse(t *testing.T, change ...func(*httpapi.Deps)) *house {
	t.Helper()
	dsn := postgrestest.URL(t)
	owner, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = owner.Close() })
	h := &house{
		t: t, dsn: dsn, store: postgrestest.Open(t, dsn, postgres.ForRequests()), owner: owner, log: &secrethunt.Log{}, meter: &countingMeter{},
		clock: &clock{}, cloud: newCloud(t), seen: contract.NewCoverage(), woken: make(chan struct{}, 100),
		hunt: secrethunt.New(),
	}
	h.mine, h.other = h.neighbour(), h.neighbour()
	h.ring = h.newRing()
	api := postgrestest.OpenUnnamed(t, dsn, postgres.ForRequests()) // refuses what a request does without saying who asks
	h.deps = httpapi.Deps{
		Integrations: connector.NewService(api, sealerOf(api, h.ring), connector.Registry{defender.Kind: h.cloud}, h.clock.now),
		Runs:         api, Assets: api, Vulnerabilities: api, Findings: api, Tenants: api, Keys: api, Tokens: identity.NoIssuer{}, Audit: api, Platform: api, Repeats: api,
		Explain: syncer.Explain, Wake: func() { h.woken <- struct{}{} }, Now: h.clock.now, CursorKey: bytes.Repeat([]byte("k"), 32),
		OpenAPI: defenderspec.OpenAPI, Version: httpapi.Version{Version: "1.2.3", Revision: "abc"},
		Log: slog.New(slog.NewJSONHandler(h.log, nil)), Meter: h.meter,
	}
	for _, c := range change {
		c(&h.deps)
	}
	t.Cleanup(h.endHunt)
	h.url = h.serve(h.deps)
	return h
}

// sealerOf seals with data keys that the ring wraps.
func sealerOf(store envelope.Store, ring *seal.Ring) *envelope.Sealer {
	return envelope.NewSealer(store, envelope.NewKeys(time.Now, envelope.Keyring(ring)), ring)
}

func (h *house) serve(d httpapi.Deps) string {
	h.t.Helper()
	server := httptest.NewServer(h.hunt.Handler(httpapi.New(d)))
	h.t.Cleanup(server.Close)
	return server.URL
}

func (h *house) neighbour() neighbour { return h.neighbourWithKeys("") }

// neighbourWithKeys makes a tenant with a key of each role, whose names begin with a prefix.
func (h *house) neighbourWithKeys(prefix string) neighbour {
	h.t.Helper()
	ctx := context.Background()
	created, err := h.store.CreateTenant(ctx, "Example", "")
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.store.SetEntitlement(ctx, created.ID, tenant.Entitlement{InternalAssessments: true, MaxAssets: 100, Source: "test"}); err != nil {
		h.t.Fatal(err)
	}
	n := neighbour{id: created.ID, keys: map[tenant.Role]string{}}
	for _, role := range []tenant.Role{tenant.ReadOnly, tenant.Analyst, tenant.Admin} {
		n.keys[role] = h.key(created.ID, tenant.APIKey{Name: prefix + string(role), Role: role, ExpiresAt: time.Now().Add(time.Hour)})
	}
	return n
}

// key makes an API key of a tenant.
func (h *house) key(id tenant.ID, k tenant.APIKey) string {
	h.t.Helper()
	made := tenant.NewKey()
	h.hunt.Bearer(made.Reveal())
	if _, err := h.store.CreateAPIKey(context.Background(), id, k, made); err != nil {
		h.t.Fatal(err)
	}
	return made.Reveal()
}

// client is a typed client whose traffic is held against the contract.
func (h *house) client(n neighbour, role tenant.Role) *api.Client {
	return api.New(h.url, n.keys[role], api.WithHTTPClient(h.checked()))
}

func (h *house) checked() *http.Client {
	k := contract.New(h.t, contract.RecordIn(h.seen))
	return &http.Client{Transport: k.Transport(nil), Timeout: time.Minute}
}

// admin is a client of the first tenant that may do everything.
func (h *house) admin() *api.Client { return h.client(h.mine, tenant.Admin) }

// exec seeds as the owner of the database.
func (h *house) exec(statements string) {
	h.t.Helper()
	if _, err := h.owner.Exec(statements); err != nil {
		h.t.Fatalf("seed: %v", err)
	}
}

// answered is an answer that was read whole.
type answered struct {
	status int
	header http.Header
	body   string
}

func (a answered) problem(t *testing.T) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("no problem document: %v: %s", err, a.body)
	}
	return p
}

// plain has connections of its own: those of http.DefaultClient are broken off when any test closes its server.
var plain = &http.Client{Transport: &http.Transport{}}

// raw is a request that no well-behaved client makes.
type raw struct {
	method, path, key, body string
	header                  map[string]string
	client                  *http.Client // plain when nil
	base                    string
}

func (h *house) send(r raw) answered {
	h.t.Helper()
	base := h.url
	if r.base != "" {
		base = r.base
	}
	req, err := http.NewRequest(r.method, base+r.path, strings.NewReader(r.body))
	if err != nil {
		h.t.Fatal(err)
	}
	if r.key != "" {
		req.Header.Set("Authorization", "Bearer "+r.key)
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	client := r.client
	if client == nil {
		client = plain
	}
	resp, err := client.Do(req)
	if err != nil {
		h.t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	got, err := read(resp)
	if err != nil {
		h.t.Fatal(err)
	}
	return got
}

func read(resp *http.Response) (answered, error) {
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return answered{resp.StatusCode, resp.Header, string(body)}, err
}

// clock is the time that the API sees; it can be moved.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

type countingMeter struct {
	mu     sync.Mutex
	active int
	counts map[string]int // "method route status"
}

func (m *countingMeter) RequestStarted() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.active++
}

func (m *countingMeter) RequestFinished(route, method string, status int, _ time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.active--
	if m.counts == nil {
		m.counts = map[string]int{}
	}
	m.counts[fmt.Sprintf("%s %s %d", method, route, status)]++
}

// brokenKeys fails at finding out who asks, as a database does that is away or broken.
type brokenKeys struct {
	httpapi.KeyStore
	err error
}

func (b brokenKeys) PrincipalByKey(context.Context, seal.Secret) (tenant.Principal, error) {
	return tenant.Principal{}, b.err
}
