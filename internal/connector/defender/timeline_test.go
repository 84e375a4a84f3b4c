package defender_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/seal"
)

// timeline is a simulated time. It moves on to the next moment at which somebody wakes as soon as all who take part sleep;
// whoever is busy, with the database or with a call, stops it.
type timeline struct {
	group sync.WaitGroup

	mu    sync.Mutex
	at    time.Time
	awake int
	beds  []bed
}

type bed struct {
	until time.Time
	wake  chan struct{}
}

func newTimeline() *timeline { return &timeline{at: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)} }

func (l *timeline) now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

// take lets f take part from now on.
func (l *timeline) take(f func()) {
	l.mu.Lock()
	l.awake++
	l.mu.Unlock()
	l.group.Go(func() {
		defer l.rest(nil)
		f()
	})
}

// sleep is Config.Sleep. It does not end early: nobody here is cancelled while asleep.
func (l *timeline) sleep(ctx context.Context, d time.Duration) error {
	if d > 0 {
		b := bed{wake: make(chan struct{})}
		l.mu.Lock()
		b.until = l.at.Add(d)
		l.mu.Unlock()
		l.rest(&b)
		<-b.wake
	}
	return ctx.Err()
}

// rest takes one who was awake out of the count, for good or to the bed, and wakes the next if nobody is left.
func (l *timeline) rest(b *bed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b != nil {
		i, _ := slices.BinarySearchFunc(l.beds, *b, func(a, b bed) int { return a.until.Compare(b.until) })
		l.beds = slices.Insert(l.beds, i, *b)
	}
	if l.awake--; l.awake > 0 || len(l.beds) == 0 {
		return
	}
	next := l.beds[0]
	l.beds = l.beds[1:]
	l.at, l.awake = next.until, 1
	close(next.wake)
}

// estate is a simulated Microsoft with many directories under simulated time, and a database.
type estate struct {
	t           *testing.T
	time        *timeline
	sim         *defendersim.Simulator
	server      *httptest.Server
	database    string
	directories []string
	client      string
}

func newEstate(t *testing.T, directories int) *estate {
	t.Helper()
	e := &estate{t: t, time: newTimeline(), database: postgrestest.URL(t), client: uuid.NewString()}
	e.sim = defendersim.New(defendersim.Config{Seed: 3, CatalogueSize: 20, Now: e.time.now})
	e.server = httptest.NewServer(e.sim.Handler())
	t.Cleanup(e.server.Close)
	no, findings := false, 1
	for range directories {
		id := uuid.NewString()
		if err := e.sim.AddDirectory(defendersim.DirectorySpec{ID: id, Domain: id + ".example", Machines: 1, FindingsPerMachine: &findings, EdgeCases: &no,
			Apps: []defendersim.App{{ClientID: e.client, Secret: simSecret, SecretExpiresAt: e.time.now().AddDate(1, 0, 0),
				Roles: []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead}}}}); err != nil {
			t.Fatal(err)
		}
		e.directories = append(e.directories, id)
	}
	return e
}

// replica is one more process's connector, with a store of its own; one call in eight is up to most under way.
func (e *estate) replica(most time.Duration) (*defender.Connector, *postgres.Store) {
	e.t.Helper()
	store := postgrestest.Open(e.t, e.database, postgres.ForWork())
	c, err := defender.New(defender.Config{
		LoginURL: e.server.URL, APIURL: e.server.URL, AllowInsecure: true, Clock: e.time.now, Sleep: e.time.sleep,
		Budget: defender.NewSharedBudget(store).Simulated(e.time.now, e.time.sleep),
		Proxy: func(r *http.Request) (*url.URL, error) { // asked when a request is about to leave
			if most == 0 || rand.N(8) > 0 {
				return nil, nil
			}
			return nil, e.time.sleep(r.Context(), rand.N(most))
		},
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return c, store
}

func (e *estate) open(c *defender.Connector, directory string) connector.Source {
	return c.Open(connector.Credentials{DirectoryID: directory, ClientID: e.client, Secret: seal.NewSecret(simSecret)})
}
