package defender

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

var _ Ledger = (*postgres.Store)(nil)

var families = []Family{FamilyToken, FamilyCheckToken, FamilyMachines, FamilyVulnerabilities, FamilyExport, FamilyChanges, FamilyExportFiles}

// underWay is how much longer than another a call may take to arrive.
const underWay = 8 * time.Second

func TestRatesLeaveRoomUnderMicrosoftsLimits(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		q := f.quota()
		minute, hour := q.rates()
		for limit, r := range map[int]struct {
			window, every time.Duration
			burst         int
		}{q.minute: {time.Minute, minute.Every, minute.Burst}, q.hour: {time.Hour, hour.Every, hour.Burst}} {
			if most := float64(r.burst) + float64(r.window+underWay)/float64(r.every); r.burst < 1 || most > float64(limit)+1 {
				t.Errorf("%s: a burst of %d and one every %v are %.2f in %v, and %d are allowed", f, r.burst, r.every, most, r.window, limit)
			}
		}
		if perHour := float64(time.Hour) / float64(max(minute.Every, hour.Every)); perHour < 0.75*float64(q.hour) {
			t.Errorf("%s: only %.0f calls an hour of %d", f, perHour, q.hour)
		}
	}
}

// TestNoScheduleExceedsAnyWindow makes random schedules of takes, give-backs and holds, lets the calls arrive later than
// they were allowed, and counts them as Microsoft does.
func TestNoScheduleExceedsAnyWindow(t *testing.T) {
	t.Parallel()
	store := postgrestest.New(t)
	for _, family := range families {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 1))
		arrived := schedule(t, store, family, random, max(200, 5*family.quota().hour/4))
		q := family.quota()
		for limit, window := range map[int]time.Duration{q.minute: time.Minute, q.hour: time.Hour} {
			for i := limit; i < len(arrived); i++ {
				if took := arrived[i].Sub(arrived[i-limit]); took < window {
					t.Fatalf("seed %d, %s: %d calls within %v", seed, family, limit+1, took)
				}
			}
		}
		if len(arrived) < 3*q.hour/4 {
			t.Errorf("seed %d, %s: only %d calls were made: nothing was tried", seed, family, len(arrived))
		}
	}
}

// schedule takes calls at random moments, most of them far too many, and gives the moments at which they arrive.
func schedule(t *testing.T, store *postgres.Store, family Family, random *rand.Rand, takes int) (arrived []time.Time) {
	t.Helper()
	ctx, now := context.Background(), time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	budget := NewSharedBudget(store).Simulated(func() time.Time { return now }, nil)
	key := BudgetKey{DirectoryID: uuid.NewString(), ClientID: uuid.NewString(), Family: family}
	every, _ := family.quota().rates()
	for range takes {
		if random.IntN(20) == 0 { // a pause fills the buckets
			now = now.Add(time.Duration(random.Int64N(int64(time.Minute))))
		}
		now = now.Add(time.Duration(random.Int64N(int64(every.Every))))
		r, err := budget.request(ctx, key, Caller{})
		if err != nil {
			t.Fatal(err)
		}
		r.MostWait = 10 * time.Minute
		if random.IntN(200) == 0 {
			if err := budget.Hold(ctx, key, 10*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		g, err := store.TakeCall(ctx, r)
		switch {
		case err != nil:
			t.Fatal(err)
		case g.Refused != "":
			now = now.Add(g.Wait / 2)
		case g.Wait > 0 && random.IntN(10) == 0:
			if err := store.ReturnCall(ctx, r, g); err != nil {
				t.Fatal(err)
			}
		default:
			arrived = append(arrived, now.Add(g.Wait+time.Duration(random.Int64N(int64(underWay)))))
		}
	}
	slices.SortFunc(arrived, time.Time.Compare)
	return arrived
}

// spender spends the budget of a key of its own under simulated time.
type spender struct {
	*SharedBudget
	t     *testing.T
	store *postgres.Store
	clock *testClock
	key   BudgetKey
}

func newSpender(t *testing.T) spender {
	t.Helper()
	store, clock := postgrestest.New(t), &testClock{at: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)}
	return spender{NewSharedBudget(store).Simulated(clock.now, clock.sleep), t, store, clock,
		BudgetKey{DirectoryID: uuid.NewString(), ClientID: uuid.NewString(), Family: FamilyExport}}
}

// drain takes all calls that may be made at once.
func (s spender) drain() {
	s.t.Helper()
	minute, _ := s.key.Family.quota().rates()
	for range minute.Burst {
		if waited, err := s.take(s.SharedBudget); err != nil || waited != 0 {
			s.t.Fatalf("waited %v, %v", waited, err)
		}
	}
}

// take takes a call of b, and tells how long it waited for it.
func (s spender) take(b *SharedBudget) (waited time.Duration, err error) {
	_, err = b.Take(context.Background(), s.key, Caller{Waits: func(d time.Duration) { waited += d }})
	return waited, err
}

func TestAWaitBeyondTheDeadlineIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	s := newSpender(t)
	s.drain()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := s.Take(ctx, s.key, Caller{})
	if e := fault.As(err); !fault.Is(err, fault.CodeUpstreamThrottled) || e.RetryAfter < time.Second || e.RetryAfter > 3*time.Second+time.Millisecond {
		t.Fatalf("%v, try again after %v", err, e.RetryAfter)
	}
	if len(s.clock.sleeps()) != 0 {
		t.Error("it waited all the same")
	}
}

func TestACallThatIsGivenUpIsGivenBack(t *testing.T) {
	t.Parallel()
	s := newSpender(t)
	s.drain()
	ctx, cancel := context.WithCancel(context.Background())
	gone := s.Simulated(s.clock.now, func(ctx context.Context, _ time.Duration) error { cancel(); return ctx.Err() })
	if _, err := gone.Take(ctx, s.key, Caller{}); err != context.Canceled {
		t.Fatalf("%v", err)
	}
	minute, _ := s.key.Family.quota().rates()
	if waited, err := s.take(s.SharedBudget); err != nil || waited > minute.Every {
		t.Fatalf("waits %v, %v: behind a call that nobody makes", waited, err)
	}
}

func TestWhoWaitsIsHeldToo(t *testing.T) {
	t.Parallel()
	s := newSpender(t)
	s.drain()
	throttling := s.Simulated(s.clock.now, func(ctx context.Context, d time.Duration) error {
		if len(s.clock.sleeps()) == 0 { // another worker meets a 429 meanwhile
			if err := s.Hold(ctx, s.key, time.Minute); err != nil {
				return err
			}
		}
		return s.clock.sleep(ctx, d)
	})
	if waited, err := s.take(throttling); err != nil || waited < time.Minute {
		t.Fatalf("waited %v, %v", waited, err)
	}
}

func TestWhoWaitsLearnsThatTheBreakerOpened(t *testing.T) {
	t.Parallel()
	s := newSpender(t)
	s.drain()
	failing := s.Simulated(s.clock.now, func(ctx context.Context, d time.Duration) error {
		for range breakerThreshold { // of other workers meanwhile
			if _, err := s.End(ctx, s.key, Caller{ID: 1}, Permit{}, Unanswered); err != nil {
				return err
			}
		}
		return s.clock.sleep(ctx, d)
	})
	if _, err := failing.Take(context.Background(), s.key, Caller{ID: 2}); !fault.Is(err, fault.CodeUpstreamUnavailable) {
		t.Fatalf("%v", err)
	}
}

func TestAnOpenBreakerSaysSinceWhenAndUntilWhen(t *testing.T) {
	t.Parallel()
	s := newSpender(t)
	ctx := context.Background()
	for i := range breakerThreshold {
		if opened, err := s.End(ctx, s.key, Caller{ID: 1}, Permit{}, Unanswered); err != nil || opened != (i == breakerThreshold-1) {
			t.Fatalf("failure %d: opened %v, %v", i+1, opened, err)
		}
	}
	_, err := s.Take(ctx, s.key, Caller{ID: 2})
	e := fault.As(err)
	if e.Code != fault.CodeUpstreamUnavailable || !strings.Contains(e.Detail, "since 5 January 2026, 00:00:00 UTC; the next try is at 5 January 2026, 00:00:") {
		t.Fatalf("%v", err)
	}
	if e.RetryAfter < breakerShortest*4/5 || e.RetryAfter > breakerShortest {
		t.Errorf("try again after %v", e.RetryAfter)
	}
	other := s.key
	other.Family = FamilyMachines
	if _, err := s.Take(ctx, other, Caller{ID: 2}); !fault.Is(err, fault.CodeUpstreamUnavailable) {
		t.Errorf("another family of the directory: %v", err)
	}
	other.DirectoryID = uuid.NewString()
	if _, err := s.Take(ctx, other, Caller{ID: 2}); err != nil {
		t.Errorf("another directory: %v", err)
	}
}

func TestWhatOutcomesTellAboutADirectory(t *testing.T) {
	t.Parallel()
	for o, want := range map[Outcome][2]Ending{
		OutcomeOK: {Answered, TokenGranted}, OutcomeRefused: {Answered, Undecided}, OutcomeThrottled: {Answered, Undecided},
		OutcomeMalformed: {Answered, Undecided}, OutcomeCancelled: {Undecided, Undecided}, OutcomeServerError: {Unanswered, Unanswered},
		OutcomeTimeout: {Unanswered, Unanswered}, OutcomeNetworkError: {Unanswered, Unanswered},
	} {
		if got := [2]Ending{endingOf(EndpointMachines, o), endingOf(EndpointToken, o)}; got != want {
			t.Errorf("%s: %v, want %v", o, got, want)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	budget := NewSharedBudget(postgrestest.New(b))
	key := BudgetKey{ClientID: uuid.NewString(), Family: FamilyMachines}
	for i := 0; b.Loop(); i++ {
		if i%10 == 0 {
			key.DirectoryID = uuid.NewString() // nobody waits
		}
		if _, err := budget.Take(b.Context(), key, Caller{}); err != nil {
			b.Fatal(err)
		}
	}
}
