package metrics_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/metrics"
	"pgp.internal/defender/internal/postgres"
)

// figures is a store with given answers.
type figures struct {
	depth     postgres.QueueDepth
	freshness postgres.Freshness
	err       error
	asked     int
	frozen    bool
}

func (f *figures) Depth(context.Context) (postgres.QueueDepth, error) {
	f.asked++
	if f.frozen {
		select {} // a driver that does not look at its context
	}
	return f.depth, f.err
}

func (f *figures) Freshness(context.Context) (postgres.Freshness, error) { return f.freshness, f.err }

const wantStore = `
# HELP defender_integrations_by_freshness Integrations of active tenants that import by themselves, by their last complete import: fresh within two intervals, late, never.
# TYPE defender_integrations_by_freshness gauge
defender_integrations_by_freshness{freshness="fresh"} 5
defender_integrations_by_freshness{freshness="late"} 2
defender_integrations_by_freshness{freshness="never"} 1
# HELP defender_oldest_success_age_seconds Age of the oldest last complete import among integrations that import by themselves.
# TYPE defender_oldest_success_age_seconds gauge
defender_oldest_success_age_seconds 7200
# HELP defender_queue_jobs Jobs in the queue of all processes by state; dead ones were set aside for good.
# TYPE defender_queue_jobs gauge
defender_queue_jobs{state="dead"} 1
defender_queue_jobs{state="running"} 2
defender_queue_jobs{state="waiting"} 3
# HELP defender_secrets_expiring Client secrets by the days until they expire; each figure includes the smaller ones, 0 counts the expired.
# TYPE defender_secrets_expiring gauge
defender_secrets_expiring{within_days="0"} 1
defender_secrets_expiring{within_days="1"} 2
defender_secrets_expiring{within_days="14"} 4
defender_secrets_expiring{within_days="30"} 5
defender_secrets_expiring{within_days="7"} 3
# HELP defender_store_up Whether the figures of the database could be read: 1 or 0.
# TYPE defender_store_up gauge
defender_store_up 1
`

func TestStoreFigures(t *testing.T) {
	t.Parallel()
	c := metrics.NewStoreCollector(&figures{
		depth: postgres.QueueDepth{Waiting: 3, Running: 2, Dead: 1, Oldest: time.Minute},
		freshness: postgres.Freshness{
			ByState: map[connector.State]int{connector.StateActive: 8}, Fresh: 5, Late: 2, Never: 1, OldestSuccess: 2 * time.Hour,
			Expired: 1, Within1: 2, Within7: 3, Within14: 4, Within30: 5,
		},
	}, time.Now)
	err := testutil.CollectAndCompare(c, strings.NewReader(wantStore), "defender_integrations_by_freshness", "defender_oldest_success_age_seconds",
		"defender_queue_jobs", "defender_secrets_expiring", "defender_store_up")
	if err != nil {
		t.Error(err)
	}
}

func TestStoreIsAskedOnceInFiveSeconds(t *testing.T) {
	t.Parallel()
	store, now := &figures{}, time.Now()
	c := metrics.NewStoreCollector(store, func() time.Time { return now })
	for _, step := range []struct {
		later time.Duration
		asked int
	}{{0, 1}, {0, 1}, {4 * time.Second, 1}, {time.Second, 2}, {time.Second, 2}} {
		now = now.Add(step.later)
		testutil.CollectAndCount(c)
		if store.asked != step.asked {
			t.Fatalf("after %v more: asked %d times, want %d", step.later, store.asked, step.asked)
		}
	}
}

const wantAway = `
# HELP defender_store_up Whether the figures of the database could be read: 1 or 0.
# TYPE defender_store_up gauge
defender_store_up 0
`

func TestStoreAway(t *testing.T) {
	t.Parallel()
	c := metrics.NewStoreCollector(&figures{err: errors.New("no route to host")}, time.Now)
	if err := testutil.CollectAndCompare(c, strings.NewReader(wantAway)); err != nil {
		t.Error(err)
	}
}

// TestStoreFrozen has nothing ever read: no scrape waits for it, neither the first one nor one while it is being asked.
func TestStoreFrozen(t *testing.T) {
	// Not in a bubble: the goroutine that waits for the frozen database never ends, and a bubble must.
	t.Parallel()
	c := metrics.NewStoreCollector(&figures{frozen: true}, time.Now)
	for range 3 {
		began := time.Now()
		if err := testutil.CollectAndCompare(c, strings.NewReader(wantAway)); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 500*time.Millisecond { // 50 ms, and a busy machine
			t.Fatalf("a frozen database holds the scrape for %v", took)
		}
	}
}

// TestStoreIsReadBeforeTheFirstScrape gives the first scrape what was read at the start, from a store that takes longer than a scrape waits.
func TestStoreIsReadBeforeTheFirstScrape(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := metrics.NewStoreCollector(&slow{figures{depth: postgres.QueueDepth{Waiting: 3}}}, time.Now)
		c.Start()
		time.Sleep(slowness)
		if n := testutil.CollectAndCount(c, "defender_queue_jobs"); n != 3 {
			t.Errorf("%d figures of the queue, want 3", n)
		}
	})
}

const slowness = 500 * time.Millisecond

// slow answers after a while.
type slow struct{ figures }

func (s *slow) Depth(ctx context.Context) (postgres.QueueDepth, error) {
	time.Sleep(slowness)
	return s.figures.Depth(ctx)
}
