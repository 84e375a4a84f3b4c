package defender

import (
	"context"
	"errors"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
)

// Ledger keeps what is counted of calls where all processes see it; postgres.Store is one. Each method is one atomic step.
type Ledger interface {
	TakeCall(context.Context, connector.CallRequest) (connector.CallGrant, error)
	// CallStands tells, after a wait, whether a granted call may still be made.
	CallStands(context.Context, connector.CallRequest) (bool, error)
	// CallsHeld tells for how much longer the quota of a call is held.
	CallsHeld(context.Context, connector.CallRequest) (time.Duration, error)
	// ReturnCall gives a granted call back that will not be made, or loses it.
	ReturnCall(context.Context, connector.CallRequest, connector.CallGrant) error
	RepeatCall(context.Context, connector.CallKey) (bool, error)
	HoldCalls(context.Context, connector.CallRequest, time.Duration) error
	CallFailed(context.Context, connector.CallFailure) (opened bool, err error)
	CallAnswered(context.Context, connector.CallKey) error
	// ProbeEnded lets others try a directory, after the caller learnt nothing about it.
	ProbeEnded(context.Context, connector.CallRequest) error
}

const (
	repeatReserve    = 10              // repeats that are saved up at most, and at the beginning; also of a report from files
	probeLease       = 2 * time.Minute // a call without a long body ends before that
	breakerThreshold = 5
	breakerShortest  = 30 * time.Second
	breakerLongest   = 10 * time.Minute
	settleLimit      = 5 * time.Second // for telling the ledger about a call that has ended
	settleForPerson  = time.Second     // the same while somebody waits, who may have waited for the ledger before
)

// SharedBudget is a [Budget] that all processes with the same ledger share, and that outlives them.
type SharedBudget struct {
	ledger Ledger
	clock  func() time.Time
	sleep  func(context.Context, time.Duration) error
	random func(time.Duration) time.Duration
}

// NewSharedBudget makes a budget by the ledger's clock.
func NewSharedBudget(ledger Ledger) *SharedBudget {
	return &SharedBudget{ledger: ledger, clock: func() time.Time { return time.Time{} }, sleep: sleep, random: uniform}
}

// Simulated gives the same budget under a time of the caller's making. All budgets of a ledger must be under the same.
func (s *SharedBudget) Simulated(clock func() time.Time, sleep func(context.Context, time.Duration) error) *SharedBudget {
	return &SharedBudget{ledger: s.ledger, clock: clock, sleep: sleep, random: s.random}
}

// Take implements [Budget]. Callers are served in the order in which they asked; a hold sends those that wait to the end.
func (s *SharedBudget) Take(ctx context.Context, key BudgetKey, by Caller) (Permit, error) {
	var p Permit
	for {
		r, err := s.request(ctx, key, by)
		if err != nil {
			return p, err
		}
		g, err := s.of(ctx).TakeCall(ctx, r)
		if err != nil {
			return p, err
		}
		if g.Refused != connector.CallGranted {
			return p, s.refusal(g)
		}
		p.failing, p.probe = g.Failing, g.Probe
		if g.Wait <= 0 {
			return p, nil
		}
		if by.MostHold > 0 && g.Wait > by.MostHold {
			if err := s.bear(ctx, r, g, by.MostHold); err != nil {
				return p, err
			}
		}
		if by.Waits != nil {
			by.Waits(g.Wait)
		}
		stands, err := s.await(ctx, r, g)
		if err != nil || stands {
			return p, err
		}
	}
}

func (s *SharedBudget) request(ctx context.Context, key BudgetKey, by Caller) (connector.CallRequest, error) {
	r := connector.CallRequest{CallKey: callKey(key), MostRepeats: repeatReserve, Caller: by.ID, Person: by.Person, ProbeLease: probeLease, At: s.clock()}
	r.Minute, r.Hour = key.Family.quota().rates()
	if deadline, ok := ctx.Deadline(); ok {
		r.MostWait = max(time.Until(deadline), time.Microsecond)
	}
	return r, ctx.Err()
}

// of is the ledger as it is asked under a context.
func (s *SharedBudget) of(ctx context.Context) Ledger {
	if p := personOf(ctx); p != nil {
		return personalLedger{s.ledger, p}
	}
	return s.ledger
}

func callKey(key BudgetKey) connector.CallKey {
	return connector.CallKey{Application: key.ClientID, Directory: key.DirectoryID, Family: string(key.Family)}
}

// await waits for a granted call's time. It gives the call back when it will not be made then.
func (s *SharedBudget) await(ctx context.Context, r connector.CallRequest, g connector.CallGrant) (stands bool, err error) {
	if err = s.sleep(ctx, g.Wait); err == nil {
		r.At = s.clock()
		stands, err = s.of(ctx).CallStands(ctx, r)
	}
	if stands && err == nil {
		return true, nil
	}
	failed := s.giveBack(ctx, r, g)
	if err == nil {
		err = failed // else the first one tells enough: the call is lost, and the probe's lease runs out
	}
	return false, err
}

// bear fails, and gives a granted call back, if it has to wait because the quota is held for longer than the caller waits for. The
// wait for one's turn is borne in any case. What is held only now was no part of the wait; await meets it.
func (s *SharedBudget) bear(ctx context.Context, r connector.CallRequest, g connector.CallGrant, most time.Duration) error {
	held, err := s.of(ctx).CallsHeld(ctx, r)
	if err == nil && held <= most {
		return nil
	}
	failed := s.giveBack(ctx, r, g)
	switch {
	case err != nil:
		return err
	case failed != nil:
		return failed
	}
	g.Refused = connector.RefusedWait
	return s.refusal(g)
}

// giveBack gives back a granted call that will not be made.
func (s *SharedBudget) giveBack(ctx context.Context, r connector.CallRequest, g connector.CallGrant) error {
	ctx, cancel := settling(ctx)
	defer cancel()
	failed := s.of(ctx).ReturnCall(ctx, r, g)
	if g.Probe {
		failed = errors.Join(failed, s.of(ctx).ProbeEnded(ctx, r))
	}
	return failed
}

// settling is a context for what has to be told though the call's own may have ended.
func settling(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := settleLimit
	if personOf(ctx) != nil {
		limit = settleForPerson
	}
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}

// refusal explains why a call was not granted.
func (s *SharedBudget) refusal(g connector.CallGrant) error {
	const toTheSecond = "2 January 2006, 15:04:05 MST"
	var e *fault.Error
	switch g.Refused {
	case connector.RefusedOpen:
		e = fault.Newf(fault.CodeUpstreamUnavailable, "Microsoft has not answered for this application and directory since %s; the next try is at %s at the earliest.",
			g.Since.UTC().Format(toTheSecond), s.now().Add(g.Wait).UTC().Format(toTheSecond))
	default:
		e = fault.New(fault.CodeUpstreamThrottled, "The request budget that Microsoft grants this application in this directory is used up for the moment.")
		e.Asked = true
	}
	e.RetryAfter = g.Wait
	return e
}

// End implements [Budget]. It takes no heed of the context's end, which the call may have met.
func (s *SharedBudget) End(ctx context.Context, key BudgetKey, by Caller, p Permit, how Ending) (opened bool, err error) {
	ctx, cancel := settling(ctx)
	defer cancel()
	r := connector.CallRequest{CallKey: callKey(key), Caller: by.ID, At: s.clock()}
	switch {
	case how == Unanswered:
		const whole = time.Second
		return s.of(ctx).CallFailed(ctx, connector.CallFailure{
			CallRequest: r, Threshold: breakerThreshold, Shortest: breakerShortest, Longest: breakerLongest,
			Cut: float64(s.random(whole)) / float64(whole),
		})
	case how == Answered && p.failing:
		return false, s.of(ctx).CallAnswered(ctx, r.CallKey)
	case how == Undecided && p.probe:
		return false, s.of(ctx).ProbeEnded(ctx, r)
	}
	return false, nil
}

// Retry implements [Budget].
func (s *SharedBudget) Retry(ctx context.Context, key BudgetKey) (bool, error) {
	return s.of(ctx).RepeatCall(ctx, callKey(key))
}

// Hold implements [Budget].
func (s *SharedBudget) Hold(ctx context.Context, key BudgetKey, d time.Duration) error {
	ctx, cancel := settling(ctx)
	defer cancel()
	r := connector.CallRequest{CallKey: callKey(key), At: s.clock()}
	r.Minute, r.Hour = key.Family.quota().rates()
	return s.of(ctx).HoldCalls(ctx, r, d)
}

// now is for texts only: what is counted goes by the ledger's clock.
func (s *SharedBudget) now() time.Time {
	if at := s.clock(); !at.IsZero() {
		return at
	}
	return time.Now()
}
