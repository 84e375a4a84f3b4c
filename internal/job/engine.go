package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"pgp.internal/defender/internal/fault"
)

// Options tune an engine. Zero values take the defaults.
type Options struct {
	Workers     int           // jobs at once; default 4
	PerTenant   int           // of these for one tenant, over all replicas; default 1
	LargeRows   int64         // a job that reads more rows is large and never takes the last worker; 0: none is
	Lease       time.Duration // how long a claim lives without a heartbeat; default 60 s
	Heartbeat   time.Duration // default 2 s; it is also how soon a cancel request is seen
	Poll        time.Duration // how often to look for work without being woken; default 1 s
	MaxAttempts int           // claims before a job is set aside; default 3
	Grace       time.Duration // how long handlers may take to hand back at a stop; default 20 s
	Holder      string        // names this process in the queue
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.Lease, time.Minute)
	set(&o.Heartbeat, 2*time.Second)
	set(&o.Poll, time.Second)
	set(&o.Grace, 20*time.Second)
	if o.Workers == 0 {
		o.Workers = 4
	}
	if o.PerTenant == 0 {
		o.PerTenant = 1
	}
	if o.MaxAttempts == 0 {
		o.MaxAttempts = 3
	}
	return o
}

// answerWithin is how long an answer to a claim or a heartbeat is waited for, a quarter of the usual lease: a connection on which none comes, as of a
// host that is gone or of a network that has forgotten it, must not take the lease along while others work.
const answerWithin = 15 * time.Second

// Meter hears what the engine does; every method may be called from several goroutines.
type Meter interface {
	JobEnded(kind Kind, ending string, took time.Duration)
	JobsRunning(n int)
}

// Engine is the loop: claim no more than there are free workers, work, record the ending.
type Engine struct {
	queue    Queue
	handlers map[Kind]Handler
	options  Options
	log      *slog.Logger
	meter    Meter

	wake    chan struct{}
	freed   chan struct{}
	stop    context.CancelFunc      // claim no more
	abandon context.CancelCauseFunc // end what runs
	loop    chan struct{}           // closed when the loop has ended
	working sync.WaitGroup

	mu      sync.Mutex
	running int
}

// NewEngine prepares an engine; nothing runs before Start.
func NewEngine(q Queue, handlers map[Kind]Handler, o Options, log *slog.Logger, m Meter) *Engine {
	return &Engine{
		queue: q, handlers: handlers, options: o.withDefaults(), log: log, meter: m,
		wake: make(chan struct{}, 1), freed: make(chan struct{}, 1), loop: make(chan struct{}),
	}
}

// Start begins to claim in the background and returns at once. It may be called once.
func (e *Engine) Start() {
	claimCtx, stop := context.WithCancel(context.Background())
	workCtx, abandon := context.WithCancelCause(context.Background())
	e.stop, e.abandon = stop, abandon
	go e.run(claimCtx, workCtx)
}

// Wake hints that there is new work; the database stays the truth, so a lost hint costs one poll interval.
func (e *Engine) Wake() { signal(e.wake) }

// Stop claims no more, tells running handlers to hand back, and waits for them at most Options.Grace or until ctx ends.
// It has no effect on an engine that was never started.
func (e *Engine) Stop(ctx context.Context) error {
	if e.stop == nil {
		return nil
	}
	e.stop()
	e.abandon(ErrStopping)
	done := make(chan struct{})
	go func() { <-e.loop; e.working.Wait(); close(done) }() // a claim in progress may wait for its answer
	grace := time.NewTimer(e.options.Grace)
	defer grace.Stop()
	select {
	case <-done:
		return nil
	case <-grace.C:
	case <-ctx.Done():
	}
	return fmt.Errorf("%d jobs did not hand back in time, or a claim hangs; leases will run out", e.busy())
}

func (e *Engine) run(claimCtx, workCtx context.Context) {
	defer close(e.loop)
	tick := time.NewTicker(e.options.Poll)
	defer tick.Stop()
	for claimCtx.Err() == nil {
		e.claim(claimCtx, workCtx)
		select {
		case <-claimCtx.Done():
		case <-tick.C:
		case <-e.wake:
		case <-e.freed:
		}
	}
}

func (e *Engine) claim(claimCtx, workCtx context.Context) {
	free := e.options.Workers - e.busy()
	if free <= 0 {
		return
	}
	room := Room{Holder: e.options.Holder, Jobs: free, PerTenant: e.options.PerTenant, Large: large(e.options.LargeRows, e.options.Workers)}
	ctx, cancel := context.WithTimeout(claimCtx, answerWithin)
	defer cancel()
	jobs, err := e.queue.Claim(ctx, room, e.options.Lease)
	if err != nil {
		if claimCtx.Err() == nil {
			e.log.Warn("cannot claim jobs", "error", err)
		}
		return
	}
	for _, j := range jobs {
		e.add(1)
		e.working.Go(func() {
			defer func() { e.add(-1); signal(e.freed) }()
			e.work(workCtx, j)
		})
	}
}

// work carries out one job and records its ending, whatever it is.
func (e *Engine) work(workCtx context.Context, j Job) {
	log := j.Named(e.log).With("job", j.ID, "kind", j.Kind, "attempt", j.Attempt)
	handler, known := e.handlers[j.Kind]
	if !known || j.Attempt > e.options.MaxAttempts {
		e.bury(log, handler, j)
		return
	}
	j.Last = j.Attempt == e.options.MaxAttempts
	began := time.Now()
	outcome := e.guarded(workCtx, handler, j, log)
	e.meter.JobEnded(j.Kind, outcome.Ending.String(), time.Since(began))
	if outcome.Ending == Gone {
		return
	}
	// The record must be written even when the process is stopping.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(workCtx), e.options.Grace)
	defer cancel()
	if err := e.queue.Finish(ctx, j, outcome); err != nil {
		log.Warn("cannot record the ending of a job; its lease will run out", "ending", outcome.Ending, "error", err)
	}
}

// guarded runs the handler under a heartbeat and turns a panic into a retry.
func (e *Engine) guarded(workCtx context.Context, h Handler, j Job, log *slog.Logger) (outcome Outcome) {
	ctx, end := context.WithCancelCause(workCtx)
	beating := make(chan struct{})
	go func() { defer close(beating); e.heartbeat(ctx, end, j, log) }()
	defer func() {
		if p := recover(); p != nil {
			log.Error("a job panicked", "panic", p, "stack", string(debug.Stack()))
			outcome = Outcome{Ending: Retry, After: Backoff(j.Attempt), Code: fault.CodeInternal}
		}
		end(nil)
		<-beating
	}()
	return h.Handle(ctx, j)
}

// heartbeat extends the lease until ctx ends, and ends it when the lease is lost or somebody cancelled the job.
func (e *Engine) heartbeat(ctx context.Context, end context.CancelCauseFunc, j Job, log *slog.Logger) {
	tick := time.NewTicker(e.options.Heartbeat)
	defer tick.Stop()
	deadline := time.Now().Add(e.options.Lease)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asked := time.Now()
		cancel, err := e.extend(ctx, j)
		switch {
		case errors.Is(err, ErrLeaseLost), err != nil && time.Now().After(deadline):
			end(ErrLeaseLost)
			return
		case err != nil:
			if ctx.Err() == nil {
				log.Warn("cannot extend a lease", "error", err)
			}
		case cancel:
			end(ErrCancelled)
			return
		default:
			deadline = asked.Add(e.options.Lease)
		}
	}
}

func (e *Engine) extend(ctx context.Context, j Job) (cancel bool, err error) {
	ctx, end := context.WithTimeout(ctx, answerWithin)
	defer end()
	return e.queue.Extend(ctx, j, e.options.Lease)
}

func (e *Engine) bury(log *slog.Logger, h Handler, j Job) {
	ctx, cancel := context.WithTimeout(context.Background(), e.options.Grace)
	defer cancel()
	if h != nil {
		if err := h.Abandon(ctx, j); err != nil {
			log.Error("cannot record that a job is given up", "error", err)
			return // its lease runs out and the next claim tries again
		}
	}
	if err := e.queue.Bury(ctx, j); err != nil {
		log.Error("cannot set a job aside", "error", err)
		return
	}
	e.meter.JobEnded(j.Kind, "buried", 0)
	log.Error("a job was set aside")
}

func (e *Engine) busy() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.running
}

func (e *Engine) add(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running += n
	e.meter.JobsRunning(e.running)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// String names the ending in logs and metrics.
func (e Ending) String() string {
	return [...]string{"done", "retry", "hand_back", "snooze", "gone"}[e]
}
