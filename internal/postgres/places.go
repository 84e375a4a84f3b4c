package postgres

import (
	"context"
	"time"

	"pgp.internal/defender/internal/fault"
)

// places has one for each connection of a pool, so that the wait for a free one can be bounded: the pool itself knows no bound
// but the context, and that has to serve the transaction as well.
type places struct {
	free  chan struct{} // nil: no bound
	limit time.Duration
}

func newPlaces(o Options) places {
	if o.WaitFor == 0 {
		return places{}
	}
	return places{free: make(chan struct{}, o.MaxConns), limit: o.WaitFor}
}

// take waits for a place. Nobody who has one may ask for another before leave is called.
func (p places) take(ctx context.Context) (leave func(), err error) {
	if p.free == nil {
		return func() {}, nil
	}
	leave = func() { <-p.free }
	select {
	case p.free <- struct{}{}:
		return leave, nil
	default:
	}
	timer := time.NewTimer(p.limit)
	defer timer.Stop()
	select {
	case p.free <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		e := fault.New(fault.CodeUnavailable, "all connections to the database are in use")
		e.RetryAfter = 2 * time.Second
		return nil, e
	}
}
