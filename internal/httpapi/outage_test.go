package httpapi_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/metrics"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// weir is a TCP proxy that can hold everything back without closing anything, as a network does that loses all packets.
type weir struct {
	listener net.Listener
	to       string
	gate     sync.RWMutex // held while nothing passes

	trap  string // once a client has sent it, nothing passes any more
	shut  sync.Once
	ended chan struct{} // closed when all is to pass again
}

// freezeAt lets nothing pass from the moment in which a client sends a text, until the test ends.
func (w *weir) freezeAt(t *testing.T, text string) {
	t.Helper()
	w.gate.Lock()
	w.trap, w.ended = text, make(chan struct{})
	w.gate.Unlock()
	t.Cleanup(func() { close(w.ended) })
}

// snap shuts the gate if the trap is sent.
func (w *weir) snap(p []byte) {
	if w.trap == "" || !strings.Contains(string(p), w.trap) {
		return
	}
	w.shut.Do(func() {
		shut := make(chan struct{})
		go func() {
			w.gate.Lock()
			close(shut)
			<-w.ended
			w.gate.Unlock()
		}()
		<-shut
	})
}

func newWeir(t *testing.T, to string) *weir {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &weir{listener: l, to: to}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(c)
		}
	}()
	return w
}

func (w *weir) carry(c net.Conn) {
	defer func() { _ = c.Close() }()
	up, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer func() { _ = up.Close() }()
	go func() { _, _ = io.Copy(held{up, w}, c); _ = up.Close() }()
	_, _ = io.Copy(held{c, w}, up)
}

// held writes while the gate is open.
type held struct {
	io.Writer
	weir *weir
}

func (h held) Write(p []byte) (int, error) {
	h.weir.snap(p)
	h.weir.gate.RLock()
	defer h.weir.gate.RUnlock()
	return h.Writer.Write(p)
}

// through is a house with the API's connections to the database going through a weir.
func through(t *testing.T) (*house, *weir, *postgres.Store) {
	t.Helper()
	h := newHouse(t)
	w, store := h.through(t)
	h.reopened(store, h.cloud, h.ring)
	return h, w, store
}

// through is the service with simulated Microsoft, whose calls are counted, all by way of a weir.
func (m *microsoft) through(t *testing.T) *weir {
	t.Helper()
	w, store := m.house.through(t)
	counted, err := defender.New(defender.Config{LoginURL: m.server.URL, APIURL: m.server.URL, AllowInsecure: true, Budget: defender.NewSharedBudget(store)})
	must(t, err)
	ring, err := seal.ParseRing(m.key.Reveal())
	must(t, err)
	m.reopened(store, counted, ring)
	return w
}

// through is a way to the database by a weir.
func (h *house) through(t *testing.T) (*weir, *postgres.Store) {
	t.Helper()
	var dsn string
	must(t, h.owner.QueryRow(`select current_database()`).Scan(&dsn))
	u, err := url.Parse(databaseURL(t))
	must(t, err)
	w := newWeir(t, u.Host)
	u.Host, u.Path = w.listener.Addr().String(), "/"+dsn
	store := postgrestest.OpenUnnamed(t, u.String(), postgres.ForRequests())
	return w, store
}

// reopened serves with another store.
func (h *house) reopened(store *postgres.Store, source connector.Connector, ring *seal.Ring) {
	d := h.deps
	d.Integrations = connector.NewService(store, sealerOf(store, ring), connector.Registry{defender.Kind: source}, h.clock.now)
	d.Runs, d.Assets, d.Vulnerabilities, d.Findings, d.Tenants, d.Keys, d.Audit, d.Platform, d.Repeats = store, store, store, store, store, store, store, store, store
	h.url = h.serve(d)
}

// reads and writes that need the database, and nothing else.
func needing(h *house, integration string) []raw {
	key := h.mine.keys[tenant.Admin]
	return []raw{
		{method: http.MethodGet, path: "/v1/assets", key: key}, {method: http.MethodGet, path: "/v1/summary", key: key}, {method: http.MethodGet, path: "/v1/integrations/" + integration, key: key},
		{method: http.MethodPost, path: "/v1/integrations/" + integration + "/pause", key: key},
		{method: http.MethodPost, path: "/v1/api-keys", key: key, body: `{"name":"x","role":"readonly"}`, header: map[string]string{"Content-Type": "application/json", "Idempotency-Key": "k"}},
	}
}

// mustBeUnavailable sends requests at once, each of which has to be refused in time.
func (h *house) mustBeUnavailable(requests []raw, within time.Duration) {
	h.t.Helper()
	var all sync.WaitGroup
	for _, r := range requests {
		r.client = h.checked()
		all.Go(func() {
			began := time.Now()
			got := h.send(r)
			if took := time.Since(began); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || took > within {
				h.t.Errorf("%s %s: %d after %v, want 503 within %v: %s", r.method, r.path, got.status, took, within, got.body)
			}
		})
	}
	all.Wait()
}

// mustAnswerAlone asks for what needs no database.
func (h *house) mustAnswerAlone(within time.Duration, operator http.Handler) {
	h.t.Helper()
	large := strings.Repeat("x", 100_000)
	for status, r := range map[int]raw{
		http.StatusUnauthorized: {method: http.MethodGet, path: "/v1/assets"}, http.StatusNotFound: {method: http.MethodGet, path: "/v1/nothing"},
		http.StatusMethodNotAllowed:      {method: http.MethodPut, path: "/v1/assets", key: h.mine.keys[tenant.Admin]},
		http.StatusRequestEntityTooLarge: {method: http.MethodPost, path: "/v1/integrations", key: h.mine.keys[tenant.Admin], body: large},
		http.StatusOK:                    {method: http.MethodGet, path: "/v1/version"},
	} {
		var got answered
		if best, worst := timesOf(func() { got = h.send(r) }); got.status != status || best > within || worst > stuck {
			h.t.Errorf("%s %s: %d after %v to %v, want %d within %v", r.method, r.path, got.status, best, worst, status, within)
		}
	}
	for _, path := range []string{"/healthz", "/metrics"} {
		var rec *httptest.ResponseRecorder
		best, worst := timesOf(func() {
			rec = httptest.NewRecorder()
			operator.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		})
		if rec.Code != http.StatusOK || best > within || worst > stuck {
			h.t.Errorf("%s: %d after %v to %v", path, rec.Code, best, worst)
		}
	}
}

// stuck tells whoever waits for the database, which takes a second or longer, from whoever is slow on a busy machine.
const stuck = 900 * time.Millisecond

// timesOf is how long f takes at best and at worst, of a few times.
func timesOf(f func()) (best, worst time.Duration) {
	best = time.Hour
	for range 5 {
		began := time.Now()
		f()
		took := time.Since(began)
		best, worst = min(best, took), max(worst, took)
	}
	return best, worst
}

// unscrapedOperator is the operator's listener on a store, as of a process that has just started.
func unscrapedOperator(store *postgres.Store, h *house) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.NewStoreCollector(store, h.clock.now))
	return httpapi.Admin(httpapi.AdminDeps{Metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), Ready: store.Ping, Log: h.deps.Log})
}

// operatorOf is the operator's listener on a store, scraped, a while ago.
func operatorOf(t *testing.T, store *postgres.Store, h *house) http.Handler {
	t.Helper()
	admin := unscrapedOperator(store, h)
	var said string
	for began := time.Now(); !strings.Contains(said, "defender_store_up 1"); { // which a busy machine may not manage at once
		if time.Since(began) > 10*time.Second {
			t.Fatalf("the scrapes of a good database: %s", said)
		}
		rec := httptest.NewRecorder()
		admin.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		said = rec.Body.String()
		h.clock.move(time.Minute) // what was scraped is old
	}
	return h.hunt.Handler(admin)
}

// TestAFrozenDatabaseHoldsNobody holds back what the database says; every request ends in time, and soon after it is over all is well.
func TestAFrozenDatabaseHoldsNobody(t *testing.T) {
	t.Parallel()
	h, w, store := through(t)
	i := h.connect(h.mine)
	scraped, unscraped := operatorOf(t, store, h), unscrapedOperator(store, h)
	w.gate.Lock()
	var frozen []raw
	for range 8 { // more than there are connections
		frozen = append(frozen, needing(h, i.ID)...)
	}
	h.mustBeUnavailable(frozen, 5*time.Second)
	h.mustAnswerAlone(100*time.Millisecond, unscraped)
	h.mustAnswerAlone(100*time.Millisecond, scraped)
	w.gate.Unlock()
	h.mustHeal(5 * time.Second)
}

// TestAFreezeInTheMiddleOfARequestHoldsNobody freezes the database in a change that an Idempotency-Key goes with, and where a live
// check counts its calls: what was found until then decides nothing about the credentials.
func TestAFreezeInTheMiddleOfARequestHoldsNobody(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		at      string
		request func(integration string) raw
	}{
		"change": {"insert into api_key", func(string) raw {
			return raw{method: http.MethodPost, path: "/v1/api-keys", body: `{"name":"x","role":"readonly"}`, header: map[string]string{"Content-Type": "application/json", "Idempotency-Key": "k"}}
		}},
		"live check": {"upstream_take(", func(id string) raw {
			return raw{method: http.MethodPost, path: "/v1/integrations/" + id + "/validate", header: map[string]string{"Idempotency-Key": "k"}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMicrosoft(t)
			i, err := m.admin().ConnectIntegration(t.Context(), entered(simDirectory, simClient, simSecret))
			must(t, err)
			w := m.through(t)
			w.freezeAt(t, tc.at)
			r := tc.request(i.ID)
			r.key = m.mine.keys[tenant.Admin]
			m.mustBeUnavailable([]raw{r}, 5*time.Second)
		})
	}
}

func (h *house) mustHeal(within time.Duration) {
	h.t.Helper()
	began, status := time.Now(), 0
	for status != http.StatusOK && time.Since(began) < within {
		status = h.send(raw{method: http.MethodGet, path: "/v1/assets", key: h.mine.keys[tenant.Admin]}).status
	}
	if status != http.StatusOK {
		h.t.Errorf("%v after it was over: %d", time.Since(began), status)
	}
}

// TestAnExhaustedPoolHoldsNobodyWhoDoesNotNeedIt has all of the API's connections wait for a lock.
func TestAnExhaustedPoolHoldsNobodyWhoDoesNotNeedIt(t *testing.T) {
	t.Parallel()
	h, _, store := through(t)
	i := h.connect(h.mine)
	scraped, unscraped := operatorOf(t, store, h), unscrapedOperator(store, h)
	lock, err := h.owner.Begin()
	must(t, err)
	defer func() { _ = lock.Rollback() }()
	_, err = lock.Exec(`lock table api_key in access exclusive mode`)
	must(t, err)
	most := store.DB().Stats().MaxOpenConnections
	var waiting sync.WaitGroup
	for range most {
		waiting.Go(func() { h.mustBeUnavailable(needing(h, i.ID)[:1], 3*time.Second) })
	}
	for began, waits := time.Now(), 0; waits < most; {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("%d of %d connections wait", waits, most)
		}
		must(t, h.owner.QueryRow(`select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).Scan(&waits))
	}
	waiting.Go(func() { h.mustBeUnavailable(needing(h, i.ID), 2*time.Second) }) // while none of those before has given up
	h.mustAnswerAlone(100*time.Millisecond, unscraped)
	h.mustAnswerAlone(100*time.Millisecond, scraped)
	waiting.Wait()
	must(t, lock.Rollback())
	h.mustHeal(5 * time.Second)
}

func databaseURL(t *testing.T) string {
	t.Helper()
	text := os.Getenv("DATABASE_URL")
	if text == "" {
		t.Fatal("DATABASE_URL is not set: run the tests with \"make test\"")
	}
	return text
}

// TestConnectionsThatAreCutAreReplaced cuts all of the API's connections again and again under requests: none is answered otherwise
// than by what it asked for or as unavailable, and all is well right after.
func TestConnectionsThatAreCutAreReplaced(t *testing.T) {
	t.Parallel()
	h, _, _ := through(t)
	i := h.connect(h.mine)
	requests := needing(h, i.ID)[:3]
	stop := make(chan struct{})
	var all sync.WaitGroup
	for n := range 6 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := h.send(requests[n%len(requests)]); got.status != http.StatusOK && got.status != http.StatusServiceUnavailable {
					t.Errorf("%d %s", got.status, got.body)
				}
			}
		})
	}
	for range 20 {
		_, err := h.owner.Exec(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'defenderd http'`)
		must(t, err)
	}
	close(stop)
	all.Wait()
	h.mustHeal(time.Second)
}
