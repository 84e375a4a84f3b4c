package syncer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"pgp.internal/defender/internal/fault"
)

// DueQueue queues a run for every integration whose time has come. Several schedulers may ask at once: each due
// integration is queued by one of them.
type DueQueue interface {
	ScheduleDue(ctx context.Context, now time.Time) (queued int, err error)
	// Prune deletes a batch of the runs and dead jobs that need not be kept any more, and tells whether there may be more.
	Prune(ctx context.Context, now time.Time) (deleted int64, more bool, err error)
}

// pruneEvery is how often it is looked for what need not be kept. While there is more, each look deletes a batch.
const pruneEvery = time.Hour

// SchedulerOptions tune a scheduler. Zero values take the defaults.
type SchedulerOptions struct {
	Every time.Duration    // between two looks; default 5 s
	Now   func() time.Time // default time.Now
}

// Scheduler starts runs by the clock: it looks for due integrations every now and then, and wakes the workers when it
// queued something.
type Scheduler struct {
	queue DueQueue
	wake  func()
	every time.Duration
	now   func() time.Time
	log   *slog.Logger

	pruneAt time.Time
	cancel  context.CancelFunc
	ended   chan struct{}
}

// NewScheduler prepares a scheduler; nothing happens before Start. wake must not block.
func NewScheduler(q DueQueue, wake func(), o SchedulerOptions, log *slog.Logger) *Scheduler {
	if o.Every == 0 {
		o.Every = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Scheduler{queue: q, wake: wake, every: o.Every, now: o.Now, log: log, ended: make(chan struct{})}
}

// Start looks for due integrations in the background, at once and then regularly, and returns. It may be called once.
func (s *Scheduler) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go s.run(ctx)
}

// Stop queues nothing more and waits for a look in progress, at most until ctx ends.
func (s *Scheduler) Stop(ctx context.Context) error {
	s.cancel()
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return errors.New("the scheduler did not stop in time")
	}
}

func (s *Scheduler) run(ctx context.Context) {
	defer close(s.ended)
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for failing := false; ctx.Err() == nil; {
		err := s.look(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			// Once per outage: the next look comes in seconds and would say the same.
			s.log.Warn("cannot look for due integrations", "code", fault.As(err).Code, "error", err)
		}
		if failing && err == nil {
			s.log.Info("looking for due integrations works again")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (s *Scheduler) look(ctx context.Context) error {
	queued, err := s.queue.ScheduleDue(ctx, s.now())
	if queued > 0 && err == nil {
		s.log.Info("queued scheduled runs", "runs", queued)
		s.wake()
	}
	return errors.Join(err, s.prune(ctx))
}

func (s *Scheduler) prune(ctx context.Context) error {
	now := s.now()
	if now.Before(s.pruneAt) {
		return nil
	}
	deleted, more, err := s.queue.Prune(ctx, now)
	if err != nil {
		return err
	}
	if deleted > 0 {
		s.log.Info("deleted old runs and dead jobs", "deleted", deleted)
	}
	if !more {
		s.pruneAt = now.Add(pruneEvery)
	}
	return nil
}
