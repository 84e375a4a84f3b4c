package defender

import (
	"context"
	"errors"
	"sync"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
)

// person is somebody who waits for the result of a check. Each call of the ledger may wait for the database as long as a request may
// take, so after one in vain there are no more, and the check is over: what it found until then decides nothing.
type person struct {
	stop context.CancelFunc // ends the check's calls

	mu   sync.Mutex
	lost error // what the ledger met
}

// askFor bounds one call of the ledger that somebody waits for: for a connection and for its answer together, and with what a request
// does besides that stays below 5 seconds.
const askFor = 3 * time.Second

type personKey struct{}

// withPerson marks the calls of a check that somebody waits for. stop is to end those under way.
func withPerson(ctx context.Context, stop context.CancelFunc) context.Context {
	return context.WithValue(ctx, personKey{}, &person{stop: stop})
}

// personOf gives who waits for the calls under a context; nil if nobody does.
func personOf(ctx context.Context) *person {
	p, _ := ctx.Value(personKey{}).(*person)
	return p
}

func (p *person) loss() error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// ask makes one call of the ledger, unless one has failed. A time that ended in it is the ledger's, and says nothing of Microsoft.
func (p *person) ask(ctx context.Context, call func(context.Context) error) error {
	if lost := p.loss(); lost != nil {
		return lost
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	bounded, cancel := boundedAlone(ctx)
	defer cancel()
	err := call(bounded)
	var known *fault.Error
	if err != nil && bounded.Err() != nil && !errors.As(err, &known) {
		err = fault.Wrap(err, fault.CodeUnavailable, "a call to Microsoft could not be counted in the time a check may take")
	}
	if !fault.Is(err, fault.CodeUnavailable) || errors.Is(ctx.Err(), context.Canceled) { // who has left has met nothing
		return err
	}
	p.mu.Lock()
	p.lost = err
	p.mu.Unlock()
	p.stop()
	return err
}

// boundedAlone ends after askFor, or with the time that there is, but not because another call was in vain: to break off a statement
// the driver asks the database once more, and waits.
func boundedAlone(ctx context.Context) (context.Context, context.CancelFunc) {
	end := time.Now().Add(askFor)
	if limit, ok := ctx.Deadline(); ok && limit.Before(end) {
		end = limit
	}
	return context.WithDeadline(context.WithoutCancel(ctx), end)
}

// personalLedger is a ledger as somebody who waits asks it.
type personalLedger struct {
	ledger Ledger
	person *person
}

func (l personalLedger) TakeCall(ctx context.Context, r connector.CallRequest) (g connector.CallGrant, err error) {
	err = l.person.ask(ctx, func(ctx context.Context) (err error) { g, err = l.ledger.TakeCall(ctx, r); return err })
	return g, err
}

func (l personalLedger) CallStands(ctx context.Context, r connector.CallRequest) (stands bool, err error) {
	err = l.person.ask(ctx, func(ctx context.Context) (err error) { stands, err = l.ledger.CallStands(ctx, r); return err })
	return stands, err
}

func (l personalLedger) CallsHeld(ctx context.Context, r connector.CallRequest) (left time.Duration, err error) {
	err = l.person.ask(ctx, func(ctx context.Context) (err error) { left, err = l.ledger.CallsHeld(ctx, r); return err })
	return left, err
}

func (l personalLedger) ReturnCall(ctx context.Context, r connector.CallRequest, g connector.CallGrant) error {
	return l.person.ask(ctx, func(ctx context.Context) error { return l.ledger.ReturnCall(ctx, r, g) })
}

func (l personalLedger) RepeatCall(ctx context.Context, k connector.CallKey) (allowed bool, err error) {
	err = l.person.ask(ctx, func(ctx context.Context) (err error) { allowed, err = l.ledger.RepeatCall(ctx, k); return err })
	return allowed, err
}

func (l personalLedger) HoldCalls(ctx context.Context, r connector.CallRequest, d time.Duration) error {
	return l.person.ask(ctx, func(ctx context.Context) error { return l.ledger.HoldCalls(ctx, r, d) })
}

func (l personalLedger) CallFailed(ctx context.Context, f connector.CallFailure) (opened bool, err error) {
	err = l.person.ask(ctx, func(ctx context.Context) (err error) { opened, err = l.ledger.CallFailed(ctx, f); return err })
	return opened, err
}

func (l personalLedger) CallAnswered(ctx context.Context, k connector.CallKey) error {
	return l.person.ask(ctx, func(ctx context.Context) error { return l.ledger.CallAnswered(ctx, k) })
}

func (l personalLedger) ProbeEnded(ctx context.Context, r connector.CallRequest) error {
	return l.person.ask(ctx, func(ctx context.Context) error { return l.ledger.ProbeEnded(ctx, r) })
}
