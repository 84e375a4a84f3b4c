package defender

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pgp.internal/defender/internal/fault"
)

// RetryPolicy says how often and after which waits a failed call is repeated. A zero field takes its default.
type RetryPolicy struct {
	Tries         int           // in all, the first included: 4
	Base          time.Duration // upper bound of the first wait, doubled each time: 1 s
	Cap           time.Duration // upper bound of a computed wait: 30 s
	ThrottleBase  time.Duration // as Base, after a 429 without Retry-After: 5 s
	MaxRetryAfter time.Duration // longest Retry-After that is waited for: 5 min; after a longer one the call fails, and keeps no worker busy
}

func (p RetryPolicy) withDefaults() RetryPolicy {
	p.Tries = positive(p.Tries, 4)
	p.Base = positive(p.Base, time.Second)
	p.Cap = positive(p.Cap, 30*time.Second)
	p.ThrottleBase = positive(p.ThrottleBase, 5*time.Second)
	p.MaxRetryAfter = positive(p.MaxRetryAfter, 5*time.Minute)
	return p
}

// longestRetryAfter is the most that is believed of the header, however it is written.
const longestRetryAfter = 24 * time.Hour

// retryAfter reads the header as seconds, of which a part is a whole one, or as an HTTP date (RFC 9110, section 10.2.3); 0 means it
// says nothing usable.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if strings.Trim(text, "0123456789.") == "" {
		seconds, _ := strconv.ParseFloat(text, 64) // 0 for what is no number, and never less
		return time.Duration(min(math.Ceil(seconds), longestRetryAfter.Seconds())) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return min(at.Sub(now), longestRetryAfter)
	}
	return 0
}

// wait is how long to pause before the try after number attempt (1 is the first). What Microsoft asked for is kept to
// exactly, plus a little jitter, no more than Cap, so that waiting workers do not come back in step; otherwise back-off has full jitter.
func (p RetryPolicy) wait(attempt int, f *failure, random func(time.Duration) time.Duration) time.Duration {
	if asked := f.fault.RetryAfter; asked > 0 {
		return asked + random(min(asked/10, p.Cap)+1)
	}
	base := p.Base
	if f.fault.Code == fault.CodeUpstreamThrottled {
		base = p.ThrottleBase
	}
	return random(min(base<<(attempt-1), p.Cap) + 1)
}

// leave tells whether a call that failed may be made again, and counts the repeat.
type leave func(context.Context, *failure) (bool, error)

// byBudget is leave by the budget of the endpoint's quota.
func (s *source) byBudget(e Endpoint) leave {
	return func(ctx context.Context, _ *failure) (bool, error) {
		allowed, err := s.conn.cfg.Budget.Retry(ctx, s.key(ctx, e))
		if err == nil && allowed {
			s.usage.retries.Add(1)
		}
		return allowed, err
	}
}

// repeat runs op until it succeeds, fails for good, or the policy, the retry budget or the context's deadline ends it.
// Only a *failure is repeated; any other error of op is returned as it is, and so is the context's.
func (s *source) repeat(ctx context.Context, e Endpoint, tries int, op func(context.Context) error) error {
	return s.repeatBy(ctx, e, tries, s.byBudget(e), op)
}

// repeatBy is repeat with another leave than the budget's.
func (s *source) repeatBy(ctx context.Context, e Endpoint, tries int, again leave, op func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		err := op(ctx)
		var f *failure
		if !errors.As(err, &f) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !f.retry || attempt >= tries || f.fault.RetryAfter > s.conn.cfg.Retry.MaxRetryAfter {
			return err
		}
		wait := s.conn.cfg.Retry.wait(attempt, f, s.conn.cfg.Rand)
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return err
		}
		if allowed, failed := again(ctx, f); failed != nil {
			return failed
		} else if !allowed {
			return err
		}
		s.conn.cfg.Logger.DebugContext(ctx, "upstream call is repeated", "endpoint", e, "attempt", attempt, "wait", wait, "failure", f)
		if err := s.pause(ctx, e, f, wait); err != nil {
			return err
		}
	}
}

func (s *source) pause(ctx context.Context, e Endpoint, f *failure, wait time.Duration) error {
	if f.fault.Code == fault.CodeUpstreamThrottled || f.fault.Asked {
		s.throttled(e, wait)
	}
	return s.conn.cfg.Sleep(ctx, wait)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func uniform(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return rand.N(limit)
}
