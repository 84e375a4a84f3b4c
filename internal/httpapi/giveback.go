package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/repeat"
)

const (
	// giveBackEvery is how soon a name is free again once the database is back.
	giveBackEvery = time.Second
	// maxOwed bounds what one process owes; a name beyond it is free by its own time.
	maxOwed = 1000
)

// GiveBack is a [RepeatStore] that goes on giving names back which the database did not take back in time, until their own time has
// passed: their requests are answered, and nobody is to be told that they are being carried out.
type GiveBack struct {
	RepeatStore
	log    *slog.Logger
	ctx    context.Context //nolint:containedctx // that of its one goroutine, which Stop ends
	cancel context.CancelFunc

	mu      sync.Mutex
	owed    []owed // who was tried last stands last
	running bool
	ended   sync.WaitGroup
}

// owed is a name to be given back.
type owed struct {
	attempt *repeat.Attempt
	until   time.Time
	times   int // how often the database has to agree
}

// NewGiveBack makes a store that somebody has to stop.
func NewGiveBack(store RepeatStore, log *slog.Logger) *GiveBack {
	ctx, cancel := context.WithCancel(context.Background())
	return &GiveBack{RepeatStore: store, log: log, ctx: ctx, cancel: cancel}
}

// Stop leaves what is owed to its own time, and waits for a try under way.
func (g *GiveBack) Stop() {
	g.mu.Lock()
	g.cancel()
	g.mu.Unlock()
	g.ended.Wait()
}

// BeginRequest implements [RepeatStore]. Where it fails the name may be taken, now or as soon as a commit under way comes through:
// hence it is given back twice.
func (g *GiveBack) BeginRequest(ctx context.Context, a *repeat.Attempt) (repeat.Memory, bool, error) {
	m, mine, err := g.RepeatStore.BeginRequest(ctx, a)
	g.owe(a, 2, err)
	return m, mine, err
}

// GiveUpRequest implements [RepeatStore].
func (g *GiveBack) GiveUpRequest(ctx context.Context, a *repeat.Attempt) error {
	err := g.RepeatStore.GiveUpRequest(ctx, a)
	g.owe(a, 1, err)
	return err
}

// undecided tells whether what failed may have come about all the same, or comes about when it is tried again.
func undecided(err error) bool {
	return errors.Is(err, context.Canceled) || err != nil && faultOf(err).Code == fault.CodeUnavailable
}

func (g *GiveBack) owe(a *repeat.Attempt, times int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !undecided(err) || len(g.owed) >= maxOwed || g.ctx.Err() != nil {
		return
	}
	g.owed = append(g.owed, owed{a, time.Now().Add(a.Within), times})
	if !g.running {
		g.running = true
		g.ended.Go(g.run)
	}
}

// run ends when nothing is owed any more.
func (g *GiveBack) run() {
	tick := time.NewTicker(giveBackEvery)
	defer tick.Stop()
	for g.owes() {
		select {
		case <-g.ctx.Done():
			return
		case <-tick.C:
			g.settle()
		}
	}
}

func (g *GiveBack) owes() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running = len(g.owed) > 0
	return g.running
}

// settle tries each name once, and ends with the first that fails: with the database away the others would too.
func (g *GiveBack) settle() {
	g.mu.Lock()
	due := len(g.owed)
	g.mu.Unlock()
	for range due {
		o := g.next()
		if !time.Now().Before(o.until) {
			continue
		}
		err := g.try(o.attempt)
		switch {
		case undecided(err):
		case err != nil:
			g.log.Warn("a request with an Idempotency-Key can only be repeated after its time", "error", err.Error())
			continue
		case o.times == 1:
			continue
		default:
			o.times--
		}
		g.again(o)
		if err != nil {
			return
		}
	}
}

func (g *GiveBack) next() owed {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := g.owed[0]
	g.owed = g.owed[1:]
	return o
}

func (g *GiveBack) again(o owed) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.owed = append(g.owed, o)
}

func (g *GiveBack) try(a *repeat.Attempt) error {
	ctx, cancel := context.WithTimeout(g.ctx, giveUpWithin)
	defer cancel()
	return g.RepeatStore.GiveUpRequest(ctx, a)
}
