package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/syncer"
)

// Ids and secret of the simulated directory. The secret looks like a real one, so that it is hunted for as one.
const (
	simDirectory = "5a1e5b0c-0c8e-4d1c-9a52-3f5c1d0e7a01"
	simClient    = "0b9d6c7e-61f4-4f0e-8d3a-2c7b5e9f1a01"
	simSecret    = "cnR8Q~hq7Zb1mV4xT9sK2wE6uD3yJ0pLfGaNcXo"
	waiting      = "wTs8Q~Ky5nB2vG7hR4jM9cP1xZ6dF3qLsUeIoAa" // staged
)

// microsoft is a house whose connector is the real one, before a simulated Microsoft.
type microsoft struct {
	*house
	sim    *defendersim.Simulator
	server *httptest.Server
	links  *connector.Service
	syncer *syncer.Syncer
	key    seal.Secret // the line of the keyring

	mu     sync.Mutex
	issued []string // access tokens
}

func newMicrosoft(t *testing.T) *microsoft {
	t.Helper()
	m := &microsoft{sim: defendersim.New(defendersim.Config{CatalogueSize: 300, NoQuotas: true})}
	m.key = seal.NewKey()
	m.server = httptest.NewServer(http.HandlerFunc(m.witness))
	t.Cleanup(m.server.Close)
	roles := []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead}
	findings := 20
	m.addDirectory(t, defendersim.DirectorySpec{ID: simDirectory, Machines: 20, FindingsPerMachine: &findings}, roles)
	real, err := defender.New(defender.Config{
		LoginURL: m.server.URL, APIURL: m.server.URL, AllowInsecure: true, Budget: defender.Unlimited{},
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.ParseRing(m.key.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	m.house = newHouse(t, func(d *httpapi.Deps) {
		m.links = connector.NewService(d.Runs.(connector.Store), sealerOf(d.Runs.(envelope.Store), ring), connector.Registry{defender.Kind: real}, d.Now)
		d.Integrations = m.links
	})
	m.hunt.Keyring(m.key.Reveal())
	log := slog.New(slog.NewJSONHandler(m.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	m.syncer = syncer.New(m.store, m.links, syncer.Options{SpoolDir: t.TempDir()}, log, unmetered{}, time.Now)
	return m
}

func (m *microsoft) addDirectory(t *testing.T, d defendersim.DirectorySpec, roles []string, change ...func(*defendersim.App)) {
	t.Helper()
	app := defendersim.App{ClientID: simClient, Secret: simSecret, SecretExpiresAt: time.Now().AddDate(1, 0, 0), Roles: roles}
	for _, c := range change {
		c(&app)
	}
	d.Apps = []defendersim.App{app}
	if err := m.sim.AddDirectory(d); err != nil {
		t.Fatal(err)
	}
}

type unmetered struct{}

func (unmetered) RunEnded(syncer.Kind, syncer.RunState, string, time.Duration) {}
func (unmetered) StageEnded(syncer.Stage, syncer.RunState, time.Duration)      {}
func (unmetered) Records(syncer.Stage, string, int64)                          {}

func entered(directory, client, secret string) api.ConnectRequest {
	return api.ConnectRequest{Type: "microsoft-defender", Credentials: api.CredentialsInput{TenantID: directory, ClientID: client, ClientSecret: api.Secret(secret)}}
}

// TestEveryWayToFailAtConnect shows the code, cause and remedy of each trouble, through the public API and against the
// simulated Microsoft, and that nothing is stored.
func TestEveryWayToFailAtConnect(t *testing.T) {
	t.Parallel()
	m := newMicrosoft(t)
	both := []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead}
	directory := func(n string) string { return strings.Replace(simDirectory, "5a1e5b0c", "5a1e5b"+n, 1) }
	plain := func(id string) defendersim.DirectorySpec { return defendersim.DirectorySpec{ID: id, Machines: 10} }
	m.addDirectory(t, plain(directory("01")), both, func(a *defendersim.App) { a.SecretExpiresAt = time.Now().Add(-time.Hour) })
	m.addDirectory(t, plain(directory("02")), nil)
	m.addDirectory(t, plain(directory("03")), both[:1])
	m.addDirectory(t, plain(directory("04")), both[1:])
	m.addDirectory(t, defendersim.DirectorySpec{ID: directory("05"), Machines: 10, Licence: defendersim.LicenceMachinesOnly}, both)
	m.addDirectory(t, defendersim.DirectorySpec{ID: directory("06"), Machines: 10, Licence: defendersim.LicenceInactive}, both)
	m.addDirectory(t, defendersim.DirectorySpec{ID: directory("07"), Machines: 10, NotProvisioned: true}, both)
	m.addDirectory(t, plain(directory("08")), both, func(a *defendersim.App) { a.Disabled = true })
	m.addDirectory(t, plain(directory("09")), both, func(a *defendersim.App) { a.ConditionalAccessBlocked = true })
	m.addDirectory(t, plain(directory("0a")), both, func(a *defendersim.App) { a.NoServicePrincipal = true })
	m.addDirectory(t, plain(directory("0b")), both)
	for _, f := range []defendersim.Fault{
		{Directory: directory("0b"), PathPrefix: "/api/machines", Status: 503, Body: "html"},
	} {
		if _, err := m.sim.AddFault(f); err != nil {
			t.Fatal(err)
		}
	}
	cases := []struct {
		name   string
		form   api.ConnectRequest
		status int
		code   string
		title  string
		says   string // part of cause, detail or remedy of the failed check
	}{
		{"wrong secret", entered(simDirectory, simClient, "wrong~secret~of~some~length~000"), 422, fault.CodeCredentialsInvalid, "Failed to get access token", "Value"},
		{"expired secret", entered(directory("01"), simClient, simSecret), 422, fault.CodeSecretExpired, "Failed to get access token", "expir"},
		{"Secret ID pasted", entered(simDirectory, simClient, "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0"), 422, fault.CodeSecretIDPasted, "Failed to get access token", "Value"},
		{"unknown application", entered(simDirectory, "0b9d6c7e-61f4-4f0e-8d3a-2c7b5e9f1aff", simSecret), 422, fault.CodeApplicationNotFound, "Failed to get access token", "client"},
		{"unknown directory", entered("5a1e5b0c-0c8e-4d1c-9a52-3f5c1d0e7aff", simClient, simSecret), 422, fault.CodeDirectoryNotFound, "Failed to get access token", "tenant"},
		{"no consent", entered(directory("02"), simClient, simSecret), 422, fault.CodeConsentMissing, "Insufficient privileges", "Grant admin consent"},
		{"no service principal", entered(directory("0a"), simClient, simSecret), 422, fault.CodeConsentMissing, "Insufficient privileges", "consent"},
		{"vulnerability role missing", entered(directory("03"), simClient, simSecret), 422, fault.CodePermissionMissing, "Insufficient privileges", "Vulnerability.Read.All"},
		{"machine role missing", entered(directory("04"), simClient, simSecret), 422, fault.CodePermissionMissing, "Insufficient privileges", "Machine.Read.All"},
		{"no licence for vulnerabilities", entered(directory("05"), simClient, simSecret), 422, fault.CodeLicenceMissing, "Access denied", "Plan 2"},
		{"inactive licence", entered(directory("06"), simClient, simSecret), 422, fault.CodeLicenceMissing, "Access denied", "licence"},
		{"never set up", entered(directory("07"), simClient, simSecret), 422, fault.CodeServiceNotEnabled, "Access denied", "set"},
		{"application disabled", entered(directory("08"), simClient, simSecret), 422, fault.CodeApplicationDisabled, "Failed to get access token", "disabled"},
		{"conditional access", entered(directory("09"), simClient, simSecret), 422, fault.CodeAccessBlocked, "Access denied", "policy"},
		{"Microsoft down", entered(directory("0b"), simClient, simSecret), 503, fault.CodeUpstreamUnavailable, "Cannot reach Microsoft Defender", "again"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, connect := range []func() error{
				func() error { _, err := m.admin().ConnectIntegration(t.Context(), c.form); return err },
				func() error { _, err := m.admin().PreviewIntegration(t.Context(), c.form); return err },
			} {
				var p *api.Problem
				if err := connect(); !errors.As(err, &p) {
					t.Fatalf("connected, or failed without a problem: %v", err)
				}
				if p.Status != c.status || p.Code != c.code || p.Title != c.title {
					t.Errorf("%d %s %q, want %d %s %q", p.Status, p.Code, p.Title, c.status, c.code, c.title)
				}
				mustExplain(t, p, c.says)
			}
		})
	}
	if page, err := m.admin().ListIntegrations(t.Context(), api.ListIntegrationsOptions{}); err != nil || len(page.Items) != 0 {
		t.Errorf("something was stored: %d integrations, %v", len(page.Items), err)
	}
}

// mustExplain wants the failed check to say what, why and what to do, in our words and not in Microsoft's.
func mustExplain(t *testing.T, p *api.Problem, says string) {
	t.Helper()
	var failed *api.Check
	for i := range p.Checks {
		if !p.Checks[i].OK && failed == nil {
			failed = &p.Checks[i]
		}
	}
	if failed == nil {
		t.Fatalf("no failed check: %+v", p)
	}
	if failed.Code != p.Code || failed.Detail == "" || failed.Cause == "" || failed.Remedy == "" {
		t.Errorf("the check does not explain itself: %+v", *failed)
	}
	if all := failed.Detail + failed.Cause + failed.Remedy; !strings.Contains(strings.ToLower(all), strings.ToLower(says)) || strings.Contains(all, "AADSTS") {
		t.Errorf("want %q and no AADSTS text in %s", says, all)
	}
}

// TestSecretNeverComesOut hunts for client secrets, Microsoft's tokens, an API key and
// the keys that seal, whole and in pieces and in the usual encodings, in everything that leaves the service: answers, logs and
// every table of the database.
func TestSecretNeverComesOut(t *testing.T) {
	t.Parallel()
	m := newMicrosoft(t)
	admin := m.admin()
	ctx := t.Context()
	var answers strings.Builder
	keep := func(v any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		answers.Write(body)
	}
	keep(admin.PreviewIntegration(ctx, entered(simDirectory, simClient, simSecret)))
	i, err := admin.ConnectIntegration(ctx, entered(simDirectory, simClient, simSecret))
	keep(i, err)
	m.work(t)
	keep(admin.RotateIntegrationSecret(ctx, i.ID, api.RotateSecretRequest{ClientSecret: api.Secret(simSecret)}))
	keep(admin.ValidateIntegration(ctx, i.ID))
	keep(admin.RotateIntegrationSecret(ctx, i.ID, api.RotateSecretRequest{ClientSecret: waiting, Stage: new(true)}))
	keep(admin.ValidateIntegration(ctx, i.ID))
	keep(admin.GetIntegration(ctx, i.ID))
	keep(admin.ListIntegrations(ctx, api.ListIntegrationsOptions{}))
	runs, err := admin.ListRuns(ctx, api.ListRunsOptions{})
	keep(runs, err)
	keep(admin.GetRunDiagnostics(ctx, runs.Items[0].ID))
	keep(admin.ListAssets(ctx, api.ListAssetsOptions{}))
	// A refused request quotes nothing of what it held.
	refused := m.send(raw{method: "POST", path: "/v1/integrations", key: m.mine.keys["admin"], header: map[string]string{"Content-Type": "application/json"},
		body: `{"type":"microsoft-defender","credentials":{"tenant_id":"x","client_id":"y","client_secret":"` + simSecret + `","` + simSecret + `":1}}`})
	answers.WriteString(refused.body)

	places := map[string]string{"answers": answers.String(), "log": m.log.String(), "database": m.dump(t), "pg_dump": m.backup(t), "metrics": m.metrics(t)}
	for place, least := range map[string]int{"answers": 5000, "log": 1000, "database": 50_000, "pg_dump": 50_000, "metrics": 1000} {
		if n := len(places[place]); n < least {
			t.Fatalf("too little to search of %s: %d bytes", place, n)
		}
	}
	_, apiKey, _ := strings.Cut(m.mine.keys["admin"], "_")
	_, kek, _ := strings.Cut(m.key.Reveal(), ":")
	secrets := map[string]string{
		"the client secret": simSecret, "the staged secret": waiting, "the tenant's data key": m.dataKey(t), "the API key": apiKey, "the key of the keyring": kek,
	}
	for n, token := range m.tokens() {
		secrets[fmt.Sprintf("Microsoft's token %d", n)] = token[strings.LastIndex(token, ".")+1:]
	}
	if len(secrets) < 6 {
		t.Fatal("no token was issued")
	}
	mustHideFrom(t, places, secrets)
}

// work carries out the queued run.
func (m *microsoft) work(t *testing.T) {
	t.Helper()
	jobs, err := m.store.Claim(t.Context(), job.Room{Holder: "test", Jobs: 1, PerTenant: 1}, time.Minute)
	if err != nil || len(jobs) != 1 {
		t.Fatalf("claim: %d jobs, %v", len(jobs), err)
	}
	if outcome := m.syncer.Handle(t.Context(), jobs[0]); outcome.Ending != job.Done {
		t.Fatalf("the run ended %v", outcome.Ending)
	}
	if err := m.store.Finish(t.Context(), jobs[0], job.Outcome{Ending: job.Done}); err != nil {
		t.Fatal(err)
	}
}

// dump gives every row of every table as text, as its owner sees them.
func (m *microsoft) dump(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	tables := m.column(t, `select quote_ident(relname) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`)
	for _, table := range tables {
		for _, row := range m.column(t, "select t::text from "+table+" t") {
			out.WriteString(row)
			out.WriteByte('\n')
		}
	}
	return out.String()
}

func (m *microsoft) column(t *testing.T, query string) (out []string) {
	t.Helper()
	rows, err := m.owner.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		out = append(out, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
