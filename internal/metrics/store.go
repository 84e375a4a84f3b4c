package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/postgres"
)

// Store is what is asked at a scrape; *postgres.Store is one.
type Store interface {
	Depth(ctx context.Context) (postgres.QueueDepth, error)
	Freshness(ctx context.Context) (postgres.Freshness, error)
}

const (
	storeCache   = 5 * time.Second // several scrapers, or an impatient one, ask the database no more often
	storeTimeout = time.Second     // after which the database counts as away
	// storePatience is how long a scrape waits for it, the first one too; then it tells what was read before, if anything was, and the
	// next one what comes of it.
	storePatience = 50 * time.Millisecond
)

// StoreCollector reads the queue and the integrations at a scrape. With the database away it leaves these figures out and
// says so in defender_store_up; everything else is scraped as ever.
type StoreCollector struct {
	store Store
	now   func() time.Time

	mu        sync.Mutex
	readAt    time.Time
	up        bool
	depth     postgres.QueueDepth
	freshness postgres.Freshness
	asking    chan struct{} // closed when the answer is there; nil while nothing is asked
}

// NewStoreCollector makes a collector to register.
func NewStoreCollector(s Store, now func() time.Time) *StoreCollector {
	return &StoreCollector{store: s, now: now}
}

// Start has the store asked now, beside the caller, so that the first scrape finds the figures instead of waiting for them.
func (c *StoreCollector) Start() { c.askAgain() }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

var (
	descUp       = desc("store_up", "Whether the figures of the database could be read: 1 or 0.")
	descJobs     = desc("queue_jobs", "Jobs in the queue of all processes by state; dead ones were set aside for good.", "state")
	descOldest   = desc("queue_oldest_due_seconds", "How long the oldest waiting job has been due.")
	descStates   = desc("integrations", "Integrations by state, of all tenants, suspended ones included.", "state")
	descFresh    = desc("integrations_by_freshness", "Integrations of active tenants that import by themselves, by their last complete import: fresh within two intervals, late, never.", "freshness")
	descAge      = desc("oldest_success_age_seconds", "Age of the oldest last complete import among integrations that import by themselves.")
	descExpiring = desc("secrets_expiring", "Client secrets by the days until they expire; each figure includes the smaller ones, 0 counts the expired.", "within_days")
)

var integrationStates = []connector.State{
	connector.StateActive, connector.StatePaused, connector.StateDegraded, connector.StateActionRequired,
	connector.StateDisconnecting, connector.StateDisconnected,
}

// Describe implements prometheus.Collector.
func (c *StoreCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descUp, descJobs, descOldest, descStates, descFresh, descAge, descExpiring} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *StoreCollector) Collect(out chan<- prometheus.Metric) {
	up, depth, freshness := c.read()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	if !up {
		gauge(descUp, 0)
		return
	}
	gauge(descUp, 1)
	gauge(descJobs, float64(depth.Waiting), "waiting")
	gauge(descJobs, float64(depth.Running), "running")
	gauge(descJobs, float64(depth.Dead), "dead")
	gauge(descOldest, depth.Oldest.Seconds())
	for _, state := range integrationStates {
		gauge(descStates, float64(freshness.ByState[state]), string(state))
	}
	gauge(descFresh, float64(freshness.Fresh), "fresh")
	gauge(descFresh, float64(freshness.Late), "late")
	gauge(descFresh, float64(freshness.Never), "never")
	gauge(descAge, freshness.OldestSuccess.Seconds())
	gauge(descExpiring, float64(freshness.Expired), "0")
	gauge(descExpiring, float64(freshness.Within1), "1")
	gauge(descExpiring, float64(freshness.Within7), "7")
	gauge(descExpiring, float64(freshness.Within14), "14")
	gauge(descExpiring, float64(freshness.Within30), "30")
}

// read asks the store unless it did a moment ago. Failures are remembered as long as successes, so that a database that
// is away is asked once each few seconds. Nothing read yet counts as away.
func (c *StoreCollector) read() (up bool, _ postgres.QueueDepth, _ postgres.Freshness) {
	if asked := c.askAgain(); asked != nil {
		timer := time.NewTimer(storePatience)
		defer timer.Stop()
		select {
		case <-asked:
		case <-timer.C:
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.up, c.depth, c.freshness
}

// askAgain has the store asked if it is time, by one goroutine at a time, and gives what is closed when the answer is there: nil if
// what is known is fresh.
func (c *StoreCollector) askAgain() (asked <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.readAt.IsZero() && c.now().Sub(c.readAt) < storeCache {
		return nil
	}
	if c.asking == nil {
		c.asking = make(chan struct{})
		go c.refresh(c.asking)
	}
	return c.asking
}

func (c *StoreCollector) refresh(done chan struct{}) {
	r := c.ask()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.up, c.depth, c.freshness = r.err == nil, r.depth, r.freshness
	c.readAt, c.asking = c.now(), nil
	close(done)
}

type reading struct {
	depth     postgres.QueueDepth
	freshness postgres.Freshness
	err       error
}

// ask waits for the answer no longer than the time-out, whatever the driver does with its context.
func (c *StoreCollector) ask() reading {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	result := make(chan reading, 1)
	go func() {
		defer cancel()
		var r reading
		if r.depth, r.err = c.store.Depth(ctx); r.err == nil {
			r.freshness, r.err = c.store.Freshness(ctx)
		}
		result <- r
	}()
	select {
	case r := <-result:
		return r
	case <-ctx.Done():
		select {
		case r := <-result: // both at once: the answer counts
			return r
		default:
			return reading{err: ctx.Err()}
		}
	}
}
