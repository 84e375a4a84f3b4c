package httpapi_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// half is one of two tenants that share a connection: what it has, and a word that is in all of it.
type half struct {
	neighbour
	objects
	word  string
	trail int64 // how many events there were before
}

// falling panics in the middle of a transaction.
type falling struct {
	httpapi.Integrations
	store *postgres.Store
}

func (f falling) Resume(ctx context.Context, t tenant.ID, id uuid.UUID, _ int64) (connector.Integration, error) {
	return f.store.UpdateIntegration(ctx, t, id, 0, func(i *connector.Integration) error {
		i.Name = "of a transaction that fell"
		panic("in the middle of a transaction")
	})
}

// walls is the traffic of two tenants through one connection to the database.
type walls struct {
	t      *testing.T
	h      *house
	client *http.Client
	sides  [2]half
	keys   [2]atomic.Int64 // made, by what was answered
	unsure [2]atomic.Int64 // asked for, and not answered
	did    []atomic.Int64  // of each kind
}

// wallKinds are the kinds of requests, by how often they come among a hundred.
var wallKinds = [...]struct {
	name   string
	weight int
	ask    func(*walls, int, *rand.Rand)
}{
	{"list", 35, (*walls).list}, {"read", 15, (*walls).read}, {"write", 12, (*walls).write}, {"foreign", 12, (*walls).foreign},
	{"wrong", 8, (*walls).wrong}, {"fall", 6, (*walls).fall}, {"leave", 12, (*walls).leave},
}

// TestTwoTenantsOnOneConnection mixes requests of two tenants, some of which are left by their caller, are wrong, reach for the other's
// objects, or panic in a transaction. Nothing of the one may come to the other. WALLS sets how many, WALLS_SEED which.
func TestTwoTenantsOnOneConnection(t *testing.T) {
	t.Parallel()
	requests, seed := setting(t, "WALLS", 600), uint64(setting(t, "WALLS_SEED", 1)) //nolint:gosec // any number will do
	w := newWalls(t)
	var all sync.WaitGroup
	const callers = 6
	for caller := range callers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(caller))) //nolint:gosec // a repeatable choice is wanted
			for range (requests + callers - 1 - caller) / callers {
				w.next(random)
			}
		})
	}
	all.Wait()
	w.settle()
	for i, kind := range wallKinds {
		if w.did[i].Load() == 0 {
			t.Errorf("no request of the kind %s", kind.name)
		}
		t.Logf("%s: %d", kind.name, w.did[i].Load())
	}
}

func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	must(t, err)
	return n
}

func newWalls(t *testing.T) *walls {
	t.Helper()
	h := newHouse(t)
	one := postgres.ForRequests()
	one.MaxConns = 1
	store := postgrestest.OpenUnnamed(t, h.dsn, one)
	ring, err := seal.ParseRing(seal.NewKey().Reveal())
	must(t, err)
	w := &walls{t: t, h: h, did: make([]atomic.Int64, len(wallKinds)), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 20}, Timeout: time.Minute}}
	for i, word := range []string{"redwall", "bluewall"} {
		n := h.neighbourWithKeys(word + " ")
		s := half{neighbour: n, objects: h.furnish(n), word: word}
		h.exec(fmt.Sprintf(`update asset set hostname = '%[1]s-' || hostname, hostname_raw = '' where tenant_id = %[2]d; update integration set name = '%[1]s' where tenant_id = %[2]d;
			update tenant set name = '%[1]s' where id = %[2]d`, s.word, n.id))
		must(t, h.owner.QueryRow(`select max(sequence) from audit_event where tenant_id = $1`, n.id).Scan(&s.trail))
		w.sides[i] = s
	}
	d := h.deps
	d.Integrations = falling{connector.NewService(store, sealerOf(store, ring), connector.Registry{defender.Kind: h.cloud}, h.clock.now), store}
	d.Runs, d.Assets, d.Vulnerabilities, d.Findings, d.Tenants, d.Keys, d.Audit, d.Platform = store, store, store, store, store, store, store, store
	d.Wake = func() {}
	h.url = h.serve(d)
	return w
}

// next makes a request of a kind that the weights choose, for either tenant.
func (w *walls) next(random *rand.Rand) {
	whose, chosen := random.IntN(2), random.IntN(100)
	for i, kind := range wallKinds {
		if chosen -= kind.weight; chosen < 0 {
			kind.ask(w, whose, random)
			w.did[i].Add(1)
			return
		}
	}
}

// ask sends a request for a tenant and holds the answer against what may not be in it: anything of the other one.
func (w *walls) ask(ctx context.Context, whose int, method, path, body string) (status int, text string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, w.h.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+w.sides[whose].keys[tenant.Admin])
	req.Header.Set("Content-Type", "application/json")
	if strings.HasSuffix(path, "#lines") {
		req.Header.Set("Accept", "application/x-ndjson")
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	read, err := io.ReadAll(resp.Body)
	text = string(read)
	other := w.sides[1-whose]
	for _, theirs := range []string{other.word, other.integration, other.run, other.asset, other.key, other.tenant, plainID(other.asset), plainID(other.integration)} {
		if strings.Contains(text, theirs) && !strings.Contains(path, theirs) {
			w.t.Errorf("%s %s by %s: %d with %q of the other: %s", method, path, w.sides[whose].word, resp.StatusCode, theirs, text)
		}
	}
	return resp.StatusCode, text, err
}

// expect makes a request that has to end with a status, and with the tenant's own word unless that is empty.
func (w *walls) expect(whose int, method, path, body string, status int, word string) {
	got, text, err := w.ask(w.t.Context(), whose, method, path, body)
	if err != nil || got != status || !strings.Contains(text, word) {
		w.t.Errorf("%s %s by %s: %d %v %s, want %d with %q", method, path, w.sides[whose].word, got, err, text, status, word)
	}
}

func (w *walls) list(whose int, random *rand.Rand) {
	paths := []string{"/v1/assets", "/v1/assets?q=wall", "/v1/findings?sort=-severity", "/v1/integrations", "/v1/api-keys", "/v1/tenant", "/v1/assets#lines", "/v1/findings#lines",
		"/v1/vulnerabilities/CVE-2026-21412/assets"}
	path := paths[random.IntN(len(paths))]
	word := w.sides[whose].word
	if path == "/v1/assets?q=wall" { // begins no word of a host name
		word = `"items":[]`
	}
	w.expect(whose, http.MethodGet, path, "", http.StatusOK, word)
}

func (w *walls) read(whose int, random *rand.Rand) {
	s := w.sides[whose]
	paths := map[string]string{
		"/v1/integrations/" + s.integration: s.word, "/v1/runs/" + s.run: s.integration, "/v1/assets/" + s.asset: s.word, "/v1/findings/" + s.finding: s.word,
		"/v1/summary": s.integration, "/v1/audit-events?limit=5": `"sequence"`, "/v1/runs": s.run,
	}
	skip := random.IntN(len(paths))
	for path, word := range paths {
		if skip--; skip < 0 {
			w.expect(whose, http.MethodGet, path, "", http.StatusOK, word)
			return
		}
	}
}

func (w *walls) write(whose int, random *rand.Rand) {
	s := w.sides[whose]
	if random.IntN(2) == 0 {
		w.expect(whose, http.MethodPatch, "/v1/integrations/"+s.integration, fmt.Sprintf(`{"name":"%s %d"}`, s.word, random.IntN(1e9)), http.StatusOK, s.word)
		return
	}
	w.expect(whose, http.MethodPost, "/v1/api-keys", fmt.Sprintf(`{"name":"%s made","role":"readonly"}`, s.word), http.StatusCreated, s.word)
	w.keys[whose].Add(1)
}

// foreign reaches for what the other one has.
func (w *walls) foreign(whose int, random *rand.Rand) {
	x := w.sides[1-whose]
	switch random.IntN(5) {
	case 0:
		w.expect(whose, http.MethodGet, "/v1/assets/"+x.asset, "", http.StatusNotFound, "not_found")
	case 1:
		w.expect(whose, http.MethodPatch, "/v1/integrations/"+x.integration, `{"name":"`+w.sides[whose].word+`"}`, http.StatusNotFound, "not_found")
	case 2:
		w.expect(whose, http.MethodDelete, "/v1/api-keys/"+x.key, "", http.StatusNotFound, "not_found")
	case 3:
		w.expect(whose, http.MethodPost, "/v1/runs/"+x.run+"/cancel", "", http.StatusNotFound, "not_found")
	case 4:
		w.expect(whose, http.MethodGet, "/v1/findings?asset_id="+x.asset, "", http.StatusOK, `"items":[]`)
	}
}

func (w *walls) wrong(whose int, random *rand.Rand) {
	if random.IntN(2) == 0 {
		w.expect(whose, http.MethodGet, "/v1/assets?cursor=nonsense", "", http.StatusBadRequest, "invalid_cursor")
		return
	}
	w.expect(whose, http.MethodPost, "/v1/integrations/"+w.sides[whose].integration+"/runs", `{}`, http.StatusConflict, "run_in_progress") // inside a transaction
}

func (w *walls) fall(whose int, _ *rand.Rand) {
	w.expect(whose, http.MethodPost, "/v1/integrations/"+w.sides[whose].integration+"/resume", "", http.StatusInternalServerError, "internal")
}

// leave makes a request whose caller goes away at some moment.
func (w *walls) leave(whose int, random *rand.Rand) {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Duration(random.IntN(6000))*time.Microsecond)
	defer cancel()
	s := w.sides[whose]
	switch random.IntN(3) {
	case 0:
		_, _, _ = w.ask(ctx, whose, http.MethodGet, "/v1/findings", "")
	case 1:
		_, _, _ = w.ask(ctx, whose, http.MethodPatch, "/v1/integrations/"+s.integration, `{"name":"`+s.word+` left"}`)
	case 2:
		if status, _, err := w.ask(ctx, whose, http.MethodPost, "/v1/api-keys", `{"name":"`+s.word+` made","role":"readonly"}`); err == nil && status == http.StatusCreated {
			w.keys[whose].Add(1)
		} else {
			w.unsure[whose].Add(1)
		}
	}
}

// settle holds what is stored against what was answered.
func (w *walls) settle() {
	count := func(query string, args ...any) (n int64) {
		must(w.t, w.h.owner.QueryRow(query, args...).Scan(&n))
		return n
	}
	for i, s := range w.sides {
		other := "%" + w.sides[1-i].word + "%"
		for _, query := range []string{
			`select count(*) from integration where tenant_id = $1 and (name like $2 or name not like $3)`,
			`select count(*) from api_key where tenant_id = $1 and (name like $2 or name not like $3 or revoked_at is not null)`,
			`select count(*) from audit_event where tenant_id = $1 and (changes::text like $2 or changes::text like '%fell%' or actor_name not like $3 and sequence > ` + strconv.FormatInt(s.trail, 10) + `)`,
			`select count(*) from run where tenant_id = $1 and state <> 'queued' and $2 <> $3`,
		} {
			if n := count(query, s.id, other, "%"+s.word+"%"); n != 0 {
				w.t.Errorf("%s: %d: %s", s.word, n, query)
			}
		}
		made, surely := count(`select count(*) from api_key where tenant_id = $1 and name like '% made'`, s.id), w.keys[i].Load()
		if made < surely || made > surely+w.unsure[i].Load() {
			w.t.Errorf("%s has %d keys; %d were answered, and %d left", s.word, made, surely, w.unsure[i].Load())
		}
	}
}
