package syncer_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"io"
	"log"
	"net/http/httptest"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/secrethunt"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// house is the whole way of a sync: simulator over HTTP, client, service, syncer, queue and a real database.
type house struct {
	t      testing.TB
	url    string
	store  *postgres.Store
	sim    *defendersim.Simulator
	server *httptest.Server
	links  *connector.Service
	syncer *syncer.Syncer
	ring   *seal.Ring
	kek    envelope.KEK // nil: the ring wraps
	keys   string       // of the ring, as text
	tenant tenant.ID
	now    time.Time
	hunt   *secrethunt.Hunt
	log    secrethunt.Log
}

type silence struct{}

func (silence) RunEnded(syncer.Kind, syncer.RunState, string, time.Duration) {}
func (silence) StageEnded(syncer.Stage, syncer.RunState, time.Duration)      {}
func (silence) Records(syncer.Stage, string, int64)                          {}
func (silence) JobEnded(job.Kind, string, time.Duration)                     {}
func (silence) JobsRunning(int)                                              {}

const directory, client, secret = "5a1e5b0c-0c8e-4d1c-9a52-3f5c1d0e7a01", "0b9d6c7e-61f4-4f0e-8d3a-2c7b5e9f1a01", "abc8Q~hT5vB2nG7xR4jM9cP1wZ6dF3qLsUe-abcd"

func ptr[T any](v T) *T { return &v }

// newHouse builds a house around a directory of the given size, edge cases included, with one tenant that has the
// entitlement.
func newHouse(t testing.TB, machines, findings int) *house {
	t.Helper()
	return newHouseOf(t, spec(directory, machines, findings))
}

// newPlainHouse is newHouse without edge cases: every machine counts.
func newPlainHouse(t testing.TB, machines, findings int) *house {
	t.Helper()
	return newHouseOf(t, plain(spec(directory, machines, findings)))
}

func newHouseOf(t testing.TB, s defendersim.DirectorySpec) *house {
	t.Helper()
	h := &house{t: t, url: postgrestest.URL(t), now: time.Now(), hunt: secrethunt.New()}
	t.Cleanup(h.endHunt)
	h.store = postgrestest.Open(t, h.url, postgres.ForWork())
	h.sim = defendersim.New(defendersim.Config{CatalogueSize: 600, NoQuotas: true})
	h.addDirectory(s)
	h.server = httptest.NewUnstartedServer(h.hunt.Issuer(h.sim.Handler()))
	h.server.Config.ErrorLog = log.New(io.Discard, "", 0) // connections that faults cut are no news
	h.server.Start()
	t.Cleanup(h.server.Close)
	t.Cleanup(h.sim.ClearFaults) // before the server closes, which waits for calls that are held
	h.wire(defender.Config{})
	h.tenant = h.newTenant("Contoso", true)
	return h
}

func (h *house) addDirectory(s defendersim.DirectorySpec) {
	h.t.Helper()
	if err := h.sim.AddDirectory(s); err != nil {
		h.t.Fatal(err)
	}
}

func plain(s defendersim.DirectorySpec) defendersim.DirectorySpec {
	s.EdgeCases = ptr(false)
	return s
}

func spec(id string, machines, findings int) defendersim.DirectorySpec {
	return defendersim.DirectorySpec{ID: id, Machines: machines, FindingsPerMachine: ptr(findings), Apps: []defendersim.App{{
		ClientID: client, Secret: secret, SecretExpiresAt: time.Now().AddDate(1, 0, 0),
		Roles: []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead},
	}}}
}

// wire connects client, service and syncer; cfg adds to what the simulator needs.
func (h *house) wire(cfg defender.Config) {
	h.t.Helper()
	cfg.LoginURL, cfg.APIURL, cfg.AllowInsecure = h.server.URL, h.server.URL, true
	cfg.Sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	if cfg.Budget == nil {
		cfg.Budget = defender.Unlimited{} // tests make more calls in a second than Microsoft allows in a minute
	}
	conn, err := defender.New(cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	if h.ring == nil {
		h.ring, h.keys = newRing(h.t)
		h.hunt.Keyring(h.keys)
	}
	h.links = connector.NewService(h.store, h.sealer(h.ring), connector.Registry{defender.Kind: conn}, h.clock)
	policy := syncer.DefaultCataloguePolicy()
	policy.MaxAge = 0 // every run looks at the catalogue
	h.readCatalogue(policy)
}

// readCatalogue makes a syncer with another policy for the shared catalogue.
func (h *house) readCatalogue(policy syncer.CataloguePolicy) {
	h.syncer = syncer.New(h.store, h.links, syncer.Options{Catalogue: policy, SpoolDir: h.t.TempDir()}, h.logger(), silence{}, h.clock)
}

func (h *house) clock() time.Time { return h.now }

// sealer seals with data keys that the ring wraps, or the house's key service.
func (h *house) sealer(ring *seal.Ring) *envelope.Sealer {
	kek := envelope.Keyring(ring)
	if h.kek != nil {
		kek = h.kek
	}
	return envelope.NewSealer(h.store, envelope.NewKeys(time.Now, kek), ring)
}

func newRing(t testing.TB) (*seal.Ring, string) {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	text := "test:" + base64.StdEncoding.EncodeToString(key)
	ring, err := seal.ParseRing(text)
	if err != nil {
		t.Fatal(err)
	}
	return ring, text
}

func (h *house) newTenant(name string, entitled bool) tenant.ID {
	h.t.Helper()
	t, err := h.store.CreateTenant(h.t.Context(), name, "")
	if err == nil {
		err = h.store.SetEntitlement(h.t.Context(), t.ID, tenant.Entitlement{InternalAssessments: entitled, Source: "test"})
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return t.ID
}

// connect connects the directory; its first run is left in the queue.
func (h *house) connect(t tenant.ID, change func(*inventory.Settings)) connector.Integration {
	h.t.Helper()
	return h.connectTo(t, directory, change)
}

func (h *house) connectTo(t tenant.ID, directoryID string, change func(*inventory.Settings)) connector.Integration {
	h.t.Helper()
	settings := inventory.DefaultSettings()
	if change != nil {
		change(&settings)
	}
	i, _, err := h.links.Connect(h.t.Context(), t, connector.Draft{
		Kind: defender.Kind, Credentials: connector.Credentials{DirectoryID: directoryID, ClientID: client, Secret: seal.NewSecret(secret)},
		Settings: settings,
	})
	if err != nil {
		h.t.Fatalf("connect: %v", err)
	}
	return i
}

// work carries out the next job of the queue and gives the run as it ended.
func (h *house) work() syncer.Run {
	h.t.Helper()
	return h.workUnder(h.t.Context())
}

func (h *house) workUnder(ctx context.Context) syncer.Run {
	h.t.Helper()
	j := h.claim()
	outcome := h.syncer.Handle(ctx, j)
	if err := h.store.Finish(context.WithoutCancel(ctx), j, outcome); err != nil {
		h.t.Fatalf("finish the job: %v", err)
	}
	run, err := h.store.Run(context.WithoutCancel(ctx), j.Tenant, j.Subject)
	if err != nil {
		h.t.Fatal(err)
	}
	return run
}

func (h *house) claim() job.Job {
	h.t.Helper()
	// A row that its holder is just writing under is skipped by a claim, so one look may not be enough.
	for range 200 {
		jobs, err := h.store.Claim(h.t.Context(), job.Room{Holder: "test", Jobs: 1, PerTenant: 1}, time.Minute)
		if err != nil {
			h.t.Fatalf("claim: %v", err)
		}
		if len(jobs) == 1 {
			return jobs[0]
		}
	}
	h.t.Fatal("there is no job to claim")
	panic("unreachable")
}

// again starts a further run by hand and carries it out.
func (h *house) again(i connector.Integration, mode syncer.Mode) syncer.Run {
	h.t.Helper()
	if _, err := h.store.StartRun(h.t.Context(), i.Tenant, i.PublicID, mode); err != nil {
		h.t.Fatalf("start a run: %v", err)
	}
	return h.work()
}
