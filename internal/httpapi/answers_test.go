package httpapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/contract"
	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/secrethunt"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// foreign stands in every text with which Microsoft refuses; nothing of it may come out of this service.
const foreign = "foreignwordone <b>foreignwordtwo</b> foreignwordthree"

// answers is the API before a simulated Microsoft, of which each directory can be made to answer as a test says. Everything
// that the API tells is kept.
type answers struct {
	*house
	sim    *defendersim.Simulator
	server *httptest.Server
	links  *connector.Service
	syncer *syncer.Syncer
	told   *secrethunt.Log
	marked atomic.Int64 // refusals that held the foreign words
	signs  signIn

	mu       sync.Mutex
	scripts  map[string]script // by directory
	proxies  map[string]string // by directory: where its connections go instead
	faultIDs map[string][]string
}

// script answers a request itself, or leaves it to the simulator by returning false.
type script func(w http.ResponseWriter, r *http.Request, token bool) bool

func newAnswers(t *testing.T, change ...func(*defender.Config)) *answers {
	t.Helper()
	a := &answers{
		sim:  defendersim.New(defendersim.Config{CatalogueSize: 20, NoQuotas: true}),
		told: &secrethunt.Log{}, scripts: map[string]script{}, proxies: map[string]string{}, faultIDs: map[string][]string{},
	}
	a.server = httptest.NewUnstartedServer(a.front(a.sim.Handler()))
	a.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // connections that faults cut are no news
	a.server.Start()
	t.Cleanup(a.server.Close)
	t.Cleanup(a.sim.ClearFaults) // before the server closes, which waits for calls that hang
	log := &secrethunt.Log{}
	logger := slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg := defender.Config{
		LoginURL: a.server.URL, APIURL: a.server.URL, AllowInsecure: true, Budget: defender.Unlimited{}, Proxy: a.way, Logger: logger,
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
	for _, c := range change {
		c(&cfg)
	}
	link, err := defender.New(cfg)
	must(t, err)
	ring, err := seal.ParseRing(seal.NewKey().Reveal())
	must(t, err)
	a.house = newHouse(t, func(d *httpapi.Deps) {
		a.links = connector.NewService(d.Runs.(connector.Store), sealerOf(d.Runs.(envelope.Store), ring), connector.Registry{defender.Kind: link}, d.Now)
		d.Integrations, d.Log, d.Wake = a.links, logger, func() {} // the test looks into the queue by itself
	})
	a.log = log
	must(t, a.store.SetEntitlement(t.Context(), a.mine.id, tenant.Entitlement{InternalAssessments: true, Source: "test"}))
	a.syncer = syncer.New(a.store, a.links, syncer.Options{SpoolDir: t.TempDir()}, logger, unmetered{}, time.Now)
	return a
}

// front puts scripts before the simulator, and the foreign words into whatever either refuses.
func (a *answers) front(sim http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Accept-Encoding") // so that refusals can be written into
		m := &marking{ResponseWriter: w}
		directory, token := directoryOf(r)
		a.mu.Lock()
		own := a.scripts[directory]
		a.mu.Unlock()
		if own == nil || !own(m, r, token) {
			sim.ServeHTTP(m, r)
		}
		if m.finish() {
			a.marked.Add(1)
		}
	})
}

// directoryOf is the directory that a request is about: named in the path of a token request, in the token of all others.
func directoryOf(r *http.Request) (id string, token bool) {
	if before, _, ok := strings.Cut(r.URL.Path, "/oauth2/"); ok {
		return strings.Trim(before, "/"), true
	}
	parts := strings.Split(r.Header.Get("Authorization"), ".")
	if len(parts) != 3 {
		return "", false
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Directory string `json:"tid"`
	}
	_ = json.Unmarshal(payload, &claims) // what is no token belongs to no directory
	return claims.Directory, false
}

// way sends the connections of a directory where a test wants them.
func (a *answers) way(r *http.Request) (*url.URL, error) {
	directory, _ := directoryOf(r)
	a.mu.Lock()
	defer a.mu.Unlock()
	if to := a.proxies[directory]; to != "" {
		return url.Parse(to)
	}
	return nil, nil
}

// marking holds refusals back until the foreign words stand in them.
type marking struct {
	http.ResponseWriter
	status int
	held   bytes.Buffer
}

func (m *marking) Unwrap() http.ResponseWriter { return m.ResponseWriter }

func (m *marking) WriteHeader(status int) {
	if m.status = status; status < 300 {
		m.ResponseWriter.WriteHeader(status)
	}
}

func (m *marking) Write(p []byte) (int, error) {
	if m.status == 0 {
		m.WriteHeader(http.StatusOK)
	}
	if m.status < 300 {
		return m.ResponseWriter.Write(p)
	}
	return m.held.Write(p)
}

// finish sends a refusal that was held back, and tells whether the foreign words are in it. An empty one stays empty.
func (m *marking) finish() bool {
	if m.status < 300 {
		return false
	}
	text := m.held.String()
	words, _ := json.Marshal(foreign)
	inside := strings.Trim(string(words), `"`)
	changed := text
	for _, member := range []string{`"message":"`, `"error_description":"`} {
		changed = strings.Replace(changed, member, member+inside+" ", 1)
	}
	if changed == text && text != "" && !json.Valid([]byte(text)) {
		changed += foreign
	}
	m.Header().Del("Content-Length")
	m.ResponseWriter.WriteHeader(m.status)
	_, _ = io.WriteString(m.ResponseWriter, changed) // who no longer listens needs no answer
	return changed != text
}

// keeping writes down every answer of the API.
type keeping struct {
	base http.RoundTripper
	told *secrethunt.Log
}

func (k keeping) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := k.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	_, _ = fmt.Fprintf(k.told, "%v\n%s\n", resp.Header, body)
	return resp, nil
}

// client may do everything; its traffic is held against the contract and kept.
func (a *answers) client(t *testing.T) *api.Client {
	k := contract.New(t, contract.RecordIn(a.seen))
	return api.New(a.url, a.mine.keys[tenant.Admin], api.WithHTTPClient(&http.Client{
		Transport: k.Transport(keeping{&http.Transport{}, a.told}), Timeout: time.Minute,
	}))
}

// app is an application to which nothing is lacking.
func app() defendersim.App {
	return defendersim.App{
		ClientID: simClient, Secret: simSecret, SecretExpiresAt: time.Now().AddDate(1, 0, 0),
		Roles: []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead},
	}
}

// open adds a directory with one machine and one finding.
func (a *answers) open(t *testing.T, id string) {
	t.Helper()
	must(t, a.sim.AddDirectory(defendersim.DirectorySpec{
		ID: id, Machines: 1, FindingsPerMachine: new(1), EdgeCases: new(false), Apps: []defendersim.App{a.app()},
	}))
}

// mend takes back whatever was arranged for a directory.
func (a *answers) mend(t *testing.T, id string) {
	t.Helper()
	must(t, a.sim.SetApp(id, a.app()))
	must(t, a.sim.SetLicence(id, defendersim.LicenceFull))
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.faultIDs[id] {
		a.sim.RemoveFault(f)
	}
	delete(a.faultIDs, id)
	delete(a.scripts, id)
	delete(a.proxies, id)
}

// work carries out so many queued runs.
func (a *answers) work(t *testing.T, runs int) {
	t.Helper()
	for done, looks := 0, 0; done < runs; looks++ {
		if looks > runs+200 {
			t.Fatalf("%d of %d runs were found in the queue", done, runs)
		}
		// The first one alone: it reads the catalogue that the others share. Each run holds a session of the small pool.
		jobs, err := a.store.Claim(t.Context(), job.Room{Holder: "test", Jobs: min(4, 1+3*done), PerTenant: 100}, 5*time.Minute)
		must(t, err)
		var group sync.WaitGroup
		for _, j := range jobs {
			group.Go(func() {
				if err := a.store.Finish(t.Context(), j, a.syncer.Handle(t.Context(), j)); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		done += len(jobs)
	}
}
