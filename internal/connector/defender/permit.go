package defender

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"pgp.internal/defender/internal/fault"
)

// pending is a call that was allowed and is under way.
type pending struct {
	endpoint Endpoint
	key      BudgetKey
	by       Caller
	permit   Permit
	at       time.Time
}

func (s *source) caller(ctx context.Context) Caller {
	return Caller{ID: s.id, Person: personOf(ctx) != nil}
}

func (s *source) key(ctx context.Context, e Endpoint) BudgetKey {
	family := FamilyVulnerabilities
	switch e {
	case EndpointToken:
		family = FamilyToken
		if s.caller(ctx).Person {
			family = FamilyCheckToken
		}
	case EndpointMachines:
		family = FamilyMachines
	case EndpointRows:
		family = FamilyExport
	case EndpointChanges:
		family = FamilyChanges
	case EndpointExportFiles:
		family = FamilyExportFiles
	}
	return BudgetKey{DirectoryID: s.credentials.DirectoryID, ClientID: s.credentials.ClientID, Family: family}
}

// take spends one call of the budget. Whoever takes one ends it.
func (s *source) take(ctx context.Context, e Endpoint) (pending, error) {
	p := pending{endpoint: e, key: s.key(ctx, e), by: s.caller(ctx)}
	p.by.Waits = func(d time.Duration) { s.throttled(e, d) } // at once: a wait may take most of an hour
	p.by.MostHold = s.conn.cfg.Retry.MaxRetryAfter           // as whoever met it: no worker is kept busy by what Microsoft told another one
	var err error
	p.permit, err = s.conn.cfg.Budget.Take(ctx, p.key, p.by)
	var f *fault.Error
	switch {
	case fault.Is(err, fault.CodeUpstreamThrottled) && errors.As(err, &f):
		return p, &failure{fault: f, outcome: OutcomeThrottled, origin: err}
	case fault.Is(err, fault.CodeUpstreamUnavailable) && errors.As(err, &f):
		return p, &failure{fault: f, outcome: OutcomeCancelled, origin: err}
	case err != nil:
		return p, err
	}
	s.usage.calls.Add(1)
	p.at = time.Now()
	return p, nil
}

// readyWithin is how much later than allowed a call may be made: the quota's rates leave room for little more than a connection.
const readyWithin = time.Second

// takeWithToken spends one call of the budget, and gives the token to make it with: one that is good after the wait. Where that took its
// time the call is spent in vain, and another one is made; the token is there by then.
func (s *source) takeWithToken(ctx context.Context, e Endpoint) (p pending, t token, err error) {
	for {
		if p, err = s.take(ctx, e); err != nil {
			return p, t, err
		}
		taken := s.conn.cfg.Clock()
		if t, err = s.token(ctx); err != nil {
			s.unmade(ctx, p)
			return p, t, err
		}
		if s.conn.cfg.Clock().Sub(taken) <= readyWithin {
			p.at = time.Now()
			return p, t, nil
		}
		s.unmade(ctx, p)
	}
}

// unmade ends a call that was taken and is not made. It stays spent: others may have been promised times behind it.
func (s *source) unmade(ctx context.Context, p pending) {
	s.usage.calls.Add(-1)
	if _, err := s.conn.cfg.Budget.End(ctx, p.key, p.by, p.permit, Undecided); err != nil {
		s.conn.cfg.Logger.WarnContext(ctx, "the budget of calls could not be told that a call is not made", "endpoint", p.endpoint, "error", err)
	}
}

// end tells the observer and the budget how a call ended, and returns the call's error. When the budget cannot be told, the
// next call will meet that: nothing goes out unmetered.
func (s *source) end(ctx context.Context, p pending, err error) error {
	outcome := outcomeOfError(err)
	s.conn.cfg.Observer.Call(p.endpoint, outcome, time.Since(p.at))
	opened, failed := s.conn.cfg.Budget.End(ctx, p.key, p.by, p.permit, endingOf(p.endpoint, outcome))
	if opened {
		s.conn.cfg.Observer.BreakerOpened()
		s.conn.cfg.Logger.WarnContext(ctx, "a directory does not answer and is left alone for a while", "directory", p.key.DirectoryID, "endpoint", p.endpoint)
	}
	var f *failure
	if fault.Is(err, fault.CodeUpstreamThrottled) && errors.As(err, &f) {
		asked := min(cmp.Or(f.fault.RetryAfter, s.conn.cfg.Retry.ThrottleBase), longestWindow)
		failed = errors.Join(failed, s.conn.cfg.Budget.Hold(ctx, p.key, asked))
	}
	if failed != nil {
		s.conn.cfg.Logger.WarnContext(ctx, "the budget of calls could not be told how a call ended", "endpoint", p.endpoint, "outcome", outcome, "error", failed)
	}
	return err
}

// endingOf says what an outcome tells about the directory. An outage of the API goes on while tokens are granted, and
// anybody can have a token refused: only the API's answer shows that all is well.
func endingOf(e Endpoint, o Outcome) Ending {
	switch o {
	case OutcomeServerError, OutcomeTimeout, OutcomeNetworkError:
		return Unanswered
	case OutcomeCancelled:
		return Undecided
	}
	switch {
	case e != EndpointToken:
		return Answered
	case o == OutcomeOK:
		return TokenGranted
	}
	return Undecided
}

func (s *source) throttled(e Endpoint, d time.Duration) {
	if d > 0 {
		s.waits.add(s.conn.cfg.Clock(), d)
		s.conn.cfg.Observer.Throttled(e, d)
	}
}

// waits adds up the time in which at least one call waited: several may at once.
type waits struct {
	mu    sync.Mutex
	total time.Duration
	last  time.Time // when the last of the waits ends that were begun so far
}

func (w *waits) add(now time.Time, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	end := now.Add(d)
	if now.Before(w.last) {
		now = w.last
	}
	if end.After(now) {
		w.total, w.last = w.total+end.Sub(now), end
	}
}

func (w *waits) sum() (total time.Duration, last time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total, w.last
}
