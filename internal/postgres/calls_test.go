package postgres_test

import (
	"context"
	"database/sql"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

var noon = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

// counting is a ledger of calls with a key of its own, asked at times of the test's making.
type counting struct {
	t     *testing.T
	store *postgres.Store
	key   connector.CallKey
}

func newCounting(t *testing.T) counting {
	t.Helper()
	return counting{t, postgrestest.New(t), connector.CallKey{Application: uuid.NewString(), Directory: uuid.NewString(), Family: "machines"}}
}

// request asks as caller 1 some time after noon: 3 at once and one every 10 s, of which 5 at once and one every 60 s.
func (c counting) request(after time.Duration) connector.CallRequest {
	return connector.CallRequest{
		CallKey: c.key, Minute: connector.CallRate{Every: 10 * time.Second, Burst: 3}, Hour: connector.CallRate{Every: time.Minute, Burst: 5},
		MostRepeats: 2, Caller: 1, ProbeLease: 2 * time.Minute, At: noon.Add(after),
	}
}

func (c counting) take(r connector.CallRequest) connector.CallGrant {
	c.t.Helper()
	g, err := c.store.TakeCall(c.t.Context(), r)
	if err != nil {
		c.t.Fatal(err)
	}
	return g
}

func (c counting) mustDo(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// fail fails calls in a row, and tells how many of them opened the breaker.
func (c counting) fail(r connector.CallRequest, calls int) (opened int) {
	c.t.Helper()
	for range calls {
		yes, err := c.store.CallFailed(c.t.Context(), connector.CallFailure{CallRequest: r, Threshold: 5, Shortest: 30 * time.Second, Longest: 10 * time.Minute})
		c.mustDo(err)
		if yes {
			opened++
		}
	}
	return opened
}

func TestCallsComeAtTheRateOfBothBuckets(t *testing.T) {
	t.Parallel()
	c := newCounting(t)
	for i, step := range []struct{ after, wait time.Duration }{
		{0, 0}, {0, 0}, {0, 0}, // the minute's burst
		{0, 10 * time.Second}, {5 * time.Second, 15 * time.Second}, // one every 10 s, in the order they asked
		{25 * time.Second, 35 * time.Second}, {time.Minute, time.Minute}, // the hour's burst was 5
		{10 * time.Minute, 0}, {10 * time.Minute, 0}, {10 * time.Minute, 0}, {10 * time.Minute, 10 * time.Second}, // full again after a pause
	} {
		if g := c.take(c.request(step.after)); g.Wait != step.wait || g.Refused != connector.CallGranted {
			t.Errorf("call %d: %+v, want a wait of %v", i, g, step.wait)
		}
	}
}

func TestACallThatWouldWaitTooLongIsRefusedAndCostsNothing(t *testing.T) {
	t.Parallel()
	c := newCounting(t)
	for range 3 {
		c.take(c.request(0))
	}
	r := c.request(0)
	r.MostWait = 9 * time.Second
	for range 4 {
		if g := c.take(r); g.Refused != connector.RefusedWait || g.Wait != 10*time.Second {
			t.Fatalf("%+v", g)
		}
	}
	r.MostWait = 10 * time.Second
	if g := c.take(r); g.Refused != connector.CallGranted || g.Wait != 10*time.Second {
		t.Fatalf("%+v: the refused ones were counted", g)
	}
}

func TestTheLastReservationIsGivenBackAndOthersAreLost(t *testing.T) {
	t.Parallel()
	c, ctx := newCounting(t), context.Background()
	r := c.request(0)
	for range 3 {
		c.take(r)
	}
	first := c.take(r)
	c.mustDo(c.store.ReturnCall(ctx, r, first))
	if again := c.take(r); again.Wait != first.Wait {
		t.Fatalf("waits %v after the reservation for %v was given back", again.Wait, first.Wait)
	}
	behind := c.take(r)
	c.mustDo(c.store.ReturnCall(ctx, r, first)) // its successor's ticket is the same moment, but somebody is behind it
	if g := c.take(r); g.Wait <= behind.Wait {
		t.Fatalf("waits %v; the time of %v is somebody else's", g.Wait, behind.Wait)
	}
}

func TestAHoldStopsWhoComesAndWhoWaits(t *testing.T) {
	t.Parallel()
	c, ctx := newCounting(t), context.Background()
	for range 3 {
		c.take(c.request(0))
	}
	c.take(c.request(0)) // waits until 10 s
	stands := func(after time.Duration) bool {
		t.Helper()
		yes, err := c.store.CallStands(ctx, c.request(after))
		c.mustDo(err)
		return yes
	}
	if !stands(10 * time.Second) {
		t.Error("a reservation does not stand though nothing happened")
	}
	c.mustDo(c.store.HoldCalls(ctx, c.request(5*time.Second), 55*time.Second))
	c.mustDo(c.store.HoldCalls(ctx, c.request(5*time.Second), time.Second)) // a shorter one takes nothing back
	if stands(10*time.Second) || !stands(time.Minute) {
		t.Error("who waits is not held, or is held for too long")
	}
	for after, want := range map[time.Duration]time.Duration{10 * time.Second: 50 * time.Second, time.Minute: 0, time.Hour: 0} {
		if left, err := c.store.CallsHeld(ctx, c.request(after)); err != nil || left != want {
			t.Errorf("after %v it is held for %v more, %v", after, left, err)
		}
	}
	if g := c.take(c.request(10 * time.Second)); g.Wait != 50*time.Second {
		t.Errorf("held for %v", g.Wait)
	}
	if g := c.take(c.request(10 * time.Second)); g.Wait < 60*time.Second {
		t.Errorf("waits %v: behind a hold calls come one by one", g.Wait)
	}
	other := c.request(10 * time.Second)
	other.Family = "export"
	if left, err := c.store.CallsHeld(ctx, other); left != 0 || err != nil {
		t.Errorf("another family is held for %v, %v", left, err)
	}
	if g := c.take(other); g.Wait != 0 {
		t.Errorf("another family waits %v", g.Wait)
	}
}

func TestATenthOfTheCallsMayBeRepeats(t *testing.T) {
	t.Parallel()
	c := newCounting(t)
	repeats, calls := 0, 0
	for i := range 100 {
		c.take(c.request(time.Duration(i) * time.Hour))
		calls++
		for {
			again, err := c.store.RepeatCall(t.Context(), c.key)
			c.mustDo(err)
			if !again {
				break
			}
			c.take(c.request(time.Duration(i) * time.Hour))
			repeats++
		}
	}
	if repeats < 2+8 || repeats > 2+10 { // what was saved up, and a tenth
		t.Errorf("%d repeats of %d calls", repeats, calls)
	}
}

func TestTheBreakerOpensForGrowingTimesAndCloses(t *testing.T) {
	t.Parallel()
	c, ctx := newCounting(t), context.Background()
	after := time.Duration(0)
	if opened := c.fail(c.request(after), 4); opened != 0 || c.take(c.request(after)).Refused != connector.CallGranted {
		t.Fatal("four failures opened it")
	}
	if opened := c.fail(c.request(after), 3); opened != 1 {
		t.Fatalf("opened %d times; those on their way count no more", opened)
	}
	for _, length := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute} {
		g := c.take(c.request(after + length/2))
		if g.Refused != connector.RefusedOpen || g.Wait != length-length/2 || !g.Since.Equal(noon) {
			t.Fatalf("open for %v: %+v", length, g)
		}
		after += length
		if g := c.take(c.request(after)); !g.Probe || g.Refused != connector.CallGranted {
			t.Fatalf("after %v: %+v", after, g)
		}
		if opened := c.fail(c.request(after), 1); opened != 1 {
			t.Fatalf("after %v: a failed probe did not open it again", after)
		}
	}
	c.mustDo(c.store.CallAnswered(ctx, c.key))
	if g := c.take(c.request(after)); g.Refused != connector.CallGranted || g.Failing || g.Probe {
		t.Fatalf("closed: %+v", g)
	}
}

func TestOneCallerAtATimeTriesADirectoryThatFailed(t *testing.T) {
	t.Parallel()
	c, ctx := newCounting(t), context.Background()
	c.fail(c.request(0), 5)
	as := func(caller int64, person bool, after time.Duration) connector.CallGrant {
		t.Helper()
		r := c.request(after)
		r.Caller, r.Person = caller, person
		return c.take(r)
	}
	if g := as(7, true, 10*time.Second); !g.Probe {
		t.Errorf("a person may not try early: %+v", g)
	}
	if g := as(7, true, 10*time.Second); !g.Probe {
		t.Errorf("the same caller's next call: %+v", g)
	}
	if g := as(8, true, 10*time.Second); g.Refused != connector.RefusedOpen {
		t.Errorf("a second person: %+v", g)
	}
	early := c.request(10 * time.Second)
	early.Caller = 7
	if c.fail(early, 1) != 0 {
		t.Error("a person who tried early made it last longer")
	}
	if g := as(2, false, 29*time.Second); g.Refused != connector.RefusedOpen || g.Wait != time.Second {
		t.Errorf("a run before its time: %+v", g)
	}
	if g := as(2, false, 30*time.Second); !g.Probe {
		t.Errorf("a run in time: %+v", g)
	}
	if g := as(3, false, 31*time.Second); g.Refused != connector.RefusedOpen || g.Wait < time.Minute {
		t.Errorf("a second run: %+v", g)
	}
	undecided := c.request(31 * time.Second)
	undecided.Caller = 2
	c.mustDo(c.store.ProbeEnded(ctx, undecided))
	if g := as(3, false, 32*time.Second); !g.Probe {
		t.Errorf("behind one who learnt nothing: %+v", g)
	}
	if g := as(4, false, 3*time.Minute); !g.Probe {
		t.Errorf("behind one who died: %+v", g)
	}
}

// TestProcessesShareWhatIsCounted lets many callers of two processes ask at once, by the database's clock.
func TestProcessesShareWhatIsCounted(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	stores := []*postgres.Store{postgrestest.Open(t, url, postgres.ForWork()), postgrestest.Open(t, url, postgres.ForWork())} // neither refuses who waits long
	c := counting{t, stores[0], connector.CallKey{Application: uuid.NewString(), Directory: uuid.NewString(), Family: "machines"}}
	r := c.request(0)
	r.At, r.Minute, r.Hour = time.Time{}, connector.CallRate{Every: time.Minute, Burst: 10}, connector.CallRate{Every: time.Minute, Burst: 50}
	var mu sync.Mutex
	var group sync.WaitGroup
	waits := map[int]int{}
	for i := range 40 {
		group.Go(func() {
			g, err := stores[i%2].TakeCall(t.Context(), r)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			waits[int(g.Wait.Round(time.Minute).Minutes())]++
		})
	}
	group.Wait()
	for minute := range 31 {
		want := 1
		if minute == 0 {
			want = 10
		}
		if waits[minute] != want {
			t.Errorf("%d calls in minute %d, want %d", waits[minute], minute, want)
		}
	}
}

func TestWhatWasCountedLongAgoIsForgotten(t *testing.T) {
	t.Parallel()
	c, ctx := newCounting(t), context.Background()
	c.take(c.request(0))
	c.fail(c.request(0), 5)
	for _, step := range []struct {
		after   time.Duration
		deleted int64
	}{{7*24*time.Hour - time.Second, 0}, {7*24*time.Hour + time.Second, 1}} {
		if deleted, more, err := c.store.Prune(ctx, noon.Add(step.after)); err != nil || more || deleted != step.deleted {
			t.Errorf("after %v: %d deleted, more %v, %v", step.after, deleted, more, err)
		}
	}
	if g := c.take(c.request(8 * 24 * time.Hour)); g.Failing {
		t.Error("the breaker was not forgotten")
	}
}

func TestWithoutTheDatabaseNoCallIsGranted(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	impatient := postgres.ForWork()
	impatient.LockTimeout = 50 * time.Millisecond
	c := counting{t, postgrestest.Open(t, url, impatient), connector.CallKey{Application: uuid.NewString(), Directory: uuid.NewString(), Family: "machines"}}
	owner, err := sql.Open("postgres", url)
	c.mustDo(err)
	defer owner.Close() //nolint:errcheck // a test's own connection
	tx, err := owner.Begin()
	c.mustDo(err)
	defer tx.Rollback() //nolint:errcheck // nothing was written
	_, err = tx.Exec("lock table upstream_quota in access exclusive mode")
	c.mustDo(err)
	if g, err := c.store.TakeCall(t.Context(), c.request(0)); !fault.Is(err, fault.CodeUnavailable) {
		t.Errorf("%+v, %v", g, err)
	}
}

func BenchmarkTakeCall(b *testing.B) {
	store := postgrestest.New(b)
	r := connector.CallRequest{
		CallKey: connector.CallKey{Application: uuid.NewString(), Directory: uuid.NewString(), Family: "machines"},
		Minute:  connector.CallRate{Every: time.Microsecond, Burst: 1000}, Hour: connector.CallRate{Every: time.Microsecond, Burst: 1000}, MostRepeats: 10,
	}
	b.Run("one key", func(b *testing.B) {
		for b.Loop() {
			if _, err := store.TakeCall(b.Context(), r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("own keys at once", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			own := r
			own.Directory = uuid.NewString()
			for pb.Next() {
				if _, err := store.TakeCall(b.Context(), own); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
