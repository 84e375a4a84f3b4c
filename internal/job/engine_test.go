package job_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/tenant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hands is a handler made of functions.
type hands struct {
	handle  func(context.Context, job.Job) job.Outcome
	abandon func(context.Context, job.Job) error
}

func (h hands) Handle(ctx context.Context, j job.Job) job.Outcome { return h.handle(ctx, j) }
func (h hands) Abandon(ctx context.Context, j job.Job) error      { return h.abandon(ctx, j) }

// ledger notes what the engine reports.
type ledger struct {
	mu     sync.Mutex
	most   int
	ending chan string
}

func newLedger() *ledger { return &ledger{ending: make(chan string, 100)} }

func (l *ledger) JobEnded(_ job.Kind, ending string, _ time.Duration) { l.ending <- ending }
func (l *ledger) JobsRunning(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = max(l.most, n)
}

func (y *yard) start(h job.Handler, o job.Options) (*job.Engine, *ledger) {
	y.t.Helper()
	l := newLedger()
	o.Poll, o.Holder = 10*time.Millisecond, "test"
	e := job.NewEngine(y.store, map[job.Kind]job.Handler{job.Sync: h}, o, slog.New(slog.DiscardHandler), l)
	e.Start()
	return e, l
}

func (y *yard) stop(e *job.Engine) {
	y.t.Helper()
	if err := e.Stop(context.WithoutCancel(y.t.Context())); err != nil {
		y.t.Error(err)
	}
}

func TestEveryJobRunsOnceWithinTheCaps(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	const tenants, each = 3, 4
	for range tenants {
		id := y.tenant()
		for range each {
			y.add(id)
		}
	}
	var mu sync.Mutex
	seen, running := map[uuid.UUID]int{}, map[tenant.ID]int{}
	e, l := y.start(hands{handle: func(_ context.Context, j job.Job) job.Outcome {
		mu.Lock()
		seen[j.Subject]++
		running[j.Tenant]++
		over := running[j.Tenant] > 1
		mu.Unlock()
		if over {
			t.Error("two jobs of one tenant run at once")
		}
		mu.Lock()
		running[j.Tenant]--
		mu.Unlock()
		return job.Outcome{Ending: job.Done}
	}}, job.Options{Workers: 2, PerTenant: 1})
	for range tenants * each {
		if got := <-l.ending; got != "done" {
			t.Errorf("a job ended %s", got)
		}
	}
	y.stop(e)
	for id, n := range seen {
		if n != 1 {
			t.Errorf("job %s ran %d times", id, n)
		}
	}
	if len(seen) != tenants*each || l.most > 2 || y.row() != "none" {
		t.Errorf("%d jobs ran, at most %d at once, left: %s", len(seen), l.most, y.row())
	}
}

func TestAPanicIsARetryAndTheThirdOneIsTheLast(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.add(y.tenant())
	abandoned := make(chan job.Job, 1)
	e, l := y.start(hands{
		handle: func(_ context.Context, j job.Job) job.Outcome {
			if j.Last != (j.Attempt == 3) {
				t.Errorf("attempt %d is the last: %v", j.Attempt, j.Last)
			}
			panic("boom")
		},
		abandon: func(_ context.Context, j job.Job) error { abandoned <- j; return nil },
	}, job.Options{MaxAttempts: 3})
	for n := 1; n <= 3; n++ {
		if got := <-l.ending; got != "retry" {
			t.Fatalf("attempt %d ended %s", n, got)
		}
		y.hurry(fmt.Sprintf("queued after %d internal", n))
	}
	if got := <-l.ending; got != "buried" {
		t.Errorf("the fourth claim ended %s", got)
	}
	if j := <-abandoned; j.Attempt != 4 {
		t.Errorf("given up at attempt %d", j.Attempt)
	}
	y.stop(e)
	if got := y.row(); got != "dead after 4 internal" {
		t.Errorf("the job is %s", got)
	}
}

// hurry waits until the only job is as described and makes it due.
func (y *yard) hurry(want string) {
	y.t.Helper()
	for y.row() != want {
		if y.t.Context().Err() != nil {
			y.t.Fatal("the test ended")
		}
	}
	y.exec(`update job set run_at = now()`)
}

func TestAJobThatCannotBeAbandonedIsTriedAgain(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.add(y.tenant())
	y.exec(`update job set attempt = 3`)
	tried := make(chan struct{}, 10)
	var once sync.Once
	e, l := y.start(hands{abandon: func(context.Context, job.Job) (err error) {
		once.Do(func() { err = errors.New("not now") })
		tried <- struct{}{}
		return err
	}}, job.Options{MaxAttempts: 3})
	<-tried
	y.exec(`update job set lease_until = now()`)
	<-tried
	if got := <-l.ending; got != "buried" {
		t.Errorf("ended %s", got)
	}
	y.stop(e)
}

func TestStopHandsBackWithinItsGrace(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.add(y.tenant())
	working := make(chan struct{})
	e, l := y.start(hands{handle: func(ctx context.Context, _ job.Job) job.Outcome {
		close(working)
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), job.ErrStopping) {
			t.Errorf("the cause is %v", context.Cause(ctx))
		}
		return job.Outcome{Ending: job.HandBack}
	}}, job.Options{})
	<-working
	y.stop(e)
	if got := <-l.ending; got != "hand_back" {
		t.Errorf("ended %s", got)
	}
	if got := y.row(); got != "queued after 0 " {
		t.Errorf("the job is %s", got)
	}
}

func TestStopDoesNotWaitForeverAndNeedsNoStart(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	idle := job.NewEngine(y.store, nil, job.Options{}, slog.New(slog.DiscardHandler), newLedger())
	y.stop(idle)
	y.add(y.tenant())
	working, free := make(chan struct{}), make(chan struct{})
	e, l := y.start(hands{handle: func(context.Context, job.Job) job.Outcome {
		close(working)
		<-free
		return job.Outcome{Ending: job.Done}
	}}, job.Options{Grace: 20 * time.Millisecond})
	<-working
	if err := e.Stop(t.Context()); err == nil {
		t.Error("a handler that does not hand back goes unnoticed")
	}
	close(free)
	<-l.ending
	for e.Stop(t.Context()) != nil { // until the job has recorded its ending, whatever the grace
	}
}

// stuckQueue is a queue whose database does not answer.
type stuckQueue struct {
	job.Queue
	asked, answer chan struct{}
}

func (q stuckQueue) Claim(context.Context, job.Room, time.Duration) ([]job.Job, error) {
	close(q.asked)
	<-q.answer
	return nil, errors.New("away")
}

func TestStopDoesNotWaitForAClaimThatHangs(t *testing.T) {
	t.Parallel()
	q := stuckQueue{asked: make(chan struct{}), answer: make(chan struct{})}
	e := job.NewEngine(q, nil, job.Options{Grace: time.Millisecond}, slog.New(slog.DiscardHandler), newLedger())
	e.Start()
	<-q.asked
	if err := e.Stop(t.Context()); err == nil {
		t.Error("a claim that hangs goes unnoticed")
	}
	close(q.answer)
	for e.Stop(t.Context()) != nil { // until the loop has ended, whatever the grace
	}
}

func TestAHeartbeatTellsOfCancelsAndLostLeases(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		statement string
		cause     error
	}{
		"cancelled": {`update job set cancel_requested = true`, job.ErrCancelled},
		"lost":      {`update job set fence = fence + 1`, job.ErrLeaseLost},
		"deleted":   {`delete from job`, job.ErrLeaseLost},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t)
			y.add(y.tenant())
			working, cause := make(chan struct{}), make(chan error, 1)
			e, l := y.start(hands{handle: func(ctx context.Context, _ job.Job) job.Outcome {
				close(working)
				<-ctx.Done()
				cause <- context.Cause(ctx)
				return job.Outcome{Ending: job.Done}
			}}, job.Options{Heartbeat: 5 * time.Millisecond})
			<-working
			y.exec(c.statement)
			if got := <-cause; !errors.Is(got, c.cause) {
				t.Errorf("the handler's context ended with %v", got)
			}
			<-l.ending
			y.stop(e)
		})
	}
}

func TestAJobOfAnUnknownKindIsSetAside(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.add(y.tenant())
	y.exec(`update job set kind = 'newer'`)
	e, l := y.start(hands{}, job.Options{})
	if got := <-l.ending; got != "buried" {
		t.Errorf("ended %s", got)
	}
	y.stop(e)
}

func TestBackoffGrowsAndStaysBounded(t *testing.T) {
	t.Parallel()
	for attempt, limit := range map[int]time.Duration{0: 5 * time.Second, 1: 5 * time.Second, 2: 10 * time.Second, 4: 40 * time.Second, 7: 5 * time.Minute, 1000: 5 * time.Minute} {
		for range 50 {
			if got := job.Backoff(attempt); got < limit/2 || got > limit {
				t.Fatalf("after %d attempts %v, want up to %v", attempt, got, limit)
			}
		}
	}
}
