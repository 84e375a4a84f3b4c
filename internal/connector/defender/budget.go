package defender

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"pgp.internal/defender/internal/fault"
)

// Family groups routes that share one of Microsoft's quotas.
type Family string

// Families.
const (
	FamilyToken           Family = "token"
	FamilyMachines        Family = "machines"
	FamilyVulnerabilities Family = "vulnerabilities"
	FamilyExport          Family = "export"
	FamilyChanges         Family = "changes"
)

// BudgetKey names one quota: Microsoft counts by application and directory.
type BudgetKey struct {
	DirectoryID string
	ClientID    string
	Family      Family
}

// Budget keeps calls under Microsoft's limits. An implementation shared by all replicas may replace [MemoryBudget];
// its methods are called at the same time.
type Budget interface {
	// Take waits until one more call is allowed and returns how long it waited. It fails at once with upstream_throttled
	// when the context would end before that.
	Take(ctx context.Context, key BudgetKey) (waited time.Duration, err error)
	// Retry reports whether one more repeat is allowed; repeats may be no more than a tenth of the calls, beyond a small
	// reserve, so that an outage is not answered with more load.
	Retry(key BudgetKey) bool
	// Hold lets no call through for d, after Microsoft said so to one of them.
	Hold(key BudgetKey, d time.Duration)
}

// quota is a limit per minute and per hour, as Microsoft documents it on each API's page.
type quota struct{ minute, hour int }

// quota of a family. Those of the vulnerability lists are not documented: the export's are taken, the lowest there is.
// Token requests are one an hour in the normal case; their limit only stops a defect from storming the login service.
func (f Family) quota() quota {
	switch f {
	case FamilyMachines:
		return quota{100, 1500}
	case FamilyToken:
		return quota{60, 600}
	default:
		return quota{30, 1000}
	}
}

// MemoryBudget is a [Budget] for one process.
type MemoryBudget struct {
	clock func() time.Time
	sleep func(context.Context, time.Duration) error

	mu      sync.Mutex
	buckets map[BudgetKey]*bucket
}

type bucket struct {
	minute, hour *rate.Limiter
	held         time.Time // no call before
	used         time.Time
	repeats      float64 // repeats that are allowed now
}

const (
	maxBuckets     = 20_000
	bucketIdle     = time.Hour // after this a bucket is full again and says nothing a new one does not
	repeatReserve  = 10
	repeatsPerCall = 0.1
)

// NewMemoryBudget makes a budget that reads the time from clock and waits by sleep.
func NewMemoryBudget(clock func() time.Time, sleep func(context.Context, time.Duration) error) *MemoryBudget {
	return &MemoryBudget{clock: clock, sleep: sleep, buckets: map[BudgetKey]*bucket{}}
}

// Take implements [Budget].
func (m *MemoryBudget) Take(ctx context.Context, key BudgetKey) (time.Duration, error) {
	wait, giveBack := m.reserve(key)
	if wait <= 0 {
		return 0, nil
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		giveBack()
		e := fault.New(fault.CodeUpstreamThrottled, "The request budget that Microsoft grants this application in this directory is used up for the moment.")
		e.RetryAfter = wait
		return 0, e
	}
	if err := m.sleep(ctx, wait); err != nil {
		giveBack()
		return 0, err
	}
	return wait, nil
}

func (m *MemoryBudget) reserve(key BudgetKey) (wait time.Duration, giveBack func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	b := m.bucket(key, now)
	b.repeats = min(b.repeats+repeatsPerCall, repeatReserve)
	minute, hour := b.minute.ReserveN(now, 1), b.hour.ReserveN(now, 1)
	wait = max(minute.DelayFrom(now), hour.DelayFrom(now), b.held.Sub(now))
	return wait, func() { minute.CancelAt(now); hour.CancelAt(now) }
}

// Retry implements [Budget].
func (m *MemoryBudget) Retry(key BudgetKey) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.bucket(key, m.clock())
	if b.repeats < 1 {
		return false
	}
	b.repeats--
	return true
}

// Hold implements [Budget].
func (m *MemoryBudget) Hold(key BudgetKey, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	if b := m.bucket(key, now); now.Add(d).After(b.held) {
		b.held = now.Add(d)
	}
}

func (m *MemoryBudget) bucket(key BudgetKey, now time.Time) *bucket {
	b := m.buckets[key]
	if b == nil {
		m.evict(now)
		q := key.Family.quota()
		b = &bucket{minute: limiter(q.minute, time.Minute, q.minute/4), hour: limiter(q.hour, time.Hour, q.hour/8), repeats: repeatReserve}
		m.buckets[key] = b
	}
	b.used = now
	return b
}

// Unlimited is a [Budget] without limits, for measuring against a simulator that has none either.
type Unlimited struct{}

// Take implements [Budget].
func (Unlimited) Take(context.Context, BudgetKey) (time.Duration, error) { return 0, nil }

// Retry implements [Budget].
func (Unlimited) Retry(BudgetKey) bool { return true }

// Hold implements [Budget].
func (Unlimited) Hold(BudgetKey, time.Duration) {}

// evict keeps the map bounded: idle buckets go first, and if none is idle any one does.
func (m *MemoryBudget) evict(now time.Time) {
	if len(m.buckets) < maxBuckets {
		return
	}
	for key, b := range m.buckets {
		if now.Sub(b.used) >= bucketIdle {
			delete(m.buckets, key)
		}
	}
	for key := range m.buckets {
		if len(m.buckets) < maxBuckets {
			return
		}
		delete(m.buckets, key)
	}
}

// limiter keeps any window, not only an average one, below limit: a full burst and the refill of one window together
// stay a twentieth under it.
func limiter(limit int, window time.Duration, burst int) *rate.Limiter {
	refill := float64(limit)*0.95 - float64(burst)
	return rate.NewLimiter(rate.Limit(refill/window.Seconds()), burst)
}
