package connector

import (
	"context"
	"strconv"
	"strings"
	"time"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/ratelimit"
	"pgp.internal/defender/internal/tenant"
)

// Trials bounds the live checks that people ask for, in one process: of each tenant, of each directory whoever asks, of what one
// tenant may take of that, and at once. Without a bound anybody with a credential of this service could try secrets on others'
// applications, or have Microsoft turn against the addresses that all customers share; without a share anybody could lock
// whoever owns a directory out of checking it. Checks of runs, and those that nobody asked for, are not counted; a run that somebody
// asks for after one that did not end well is, as it would only try again what was refused.
type Trials struct {
	tenants, shares, directories *ratelimit.Buckets // nil: no limit
	places                       chan struct{}
}

// placeSoon is within what time one of the checks under way has likely ended: a check waits that long for its place.
const placeSoon = 2 * time.Second

// NewTrials allows so many checks a minute of each tenant and of each directory, all of them at once if need be, and so many at
// once in all. Of a directory's one tenant gets half, rounded up; the directory has at least one more than that, so that no
// tenant uses it up alone. perMinute 0 bounds only what is made at once.
func NewTrials(perMinute, atOnce int) *Trials {
	t := &Trials{places: make(chan struct{}, atOnce)}
	if perMinute > 0 {
		share := (perMinute + 1) / 2
		whole := max(perMinute, share+1)
		t.tenants, t.shares, t.directories = ratelimit.New(perMinute, perMinute), ratelimit.New(share, share), ratelimit.New(whole, whole)
	}
	return t
}

// Option changes how a Service works.
type Option func(*Service)

// WithTrials bounds the checks that the service makes because somebody asks for them.
func WithTrials(t *Trials) Option {
	return func(s *Service) { s.trials = t }
}

// begin counts a check and takes a place for it until end is called, or refuses with the fault rate_limited. What is refused by
// one bound counts for none.
func (t *Trials) begin(ctx context.Context, now time.Time, who tenant.ID, directory string) (end func(), err error) {
	if t == nil {
		return func() {}, nil
	}
	undo, err := t.count(now, who, directory)
	if err != nil {
		return nil, err
	}
	if err := t.take(ctx); err != nil {
		undo()
		return nil, err
	}
	return func() { <-t.places }, nil
}

// count counts a check until undo is called, or refuses with the fault rate_limited.
func (t *Trials) count(now time.Time, who tenant.ID, directory string) (undo func(), err error) {
	if t == nil {
		return func() {}, nil
	}
	bounds := t.bounds(strconv.Itoa(int(who)), strings.ToLower(directory))
	if err := count(bounds, now); err != nil {
		return nil, err
	}
	return func() { giveBack(bounds, now) }, nil
}

// take waits for a place.
func (t *Trials) take(ctx context.Context) error {
	soon := time.NewTimer(placeSoon)
	defer soon.Stop()
	select {
	case t.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-soon.C:
		return tooMany("As many live checks as can be made at once are under way", placeSoon)
	}
}

// bound is a number of checks within a time.
type bound struct {
	among       *ratelimit.Buckets // nil: no limit
	key, detail string
}

func (t *Trials) bounds(who, directory string) []bound {
	return []bound{
		{t.tenants, who, "The tenant has asked for too many live checks"},
		{t.shares, who + " " + directory, "The tenant has asked for too many live checks of this directory"},
		{t.directories, directory, "Too many live checks of this directory were asked for"},
	}
}

func count(bounds []bound, now time.Time) error {
	for i, b := range bounds {
		if wait := takeOne(b.among, b.key, now); wait != 0 {
			giveBack(bounds[:i], now)
			return tooMany(b.detail, wait)
		}
	}
	return nil
}

func giveBack(bounds []bound, now time.Time) {
	for _, b := range bounds {
		if b.among != nil {
			b.among.GiveBack(b.key, now)
		}
	}
}

// takeOne counts one, or tells how long it takes until another one may be made.
func takeOne(among *ratelimit.Buckets, key string, now time.Time) (wait time.Duration) {
	if among == nil {
		return 0
	}
	left, ok := among.Take(key, now)
	if ok {
		return 0
	}
	return max(time.Second, among.Until(left, 1))
}

func tooMany(detail string, wait time.Duration) error {
	f := fault.New(fault.CodeRateLimited, detail)
	f.RetryAfter = wait
	return f
}

// try makes the checks that somebody asks for.
func (s *Service) try(ctx context.Context, t tenant.ID, directory string, source Source, settings inventory.Settings) ([]Check, error) {
	end, err := s.trials.begin(ctx, s.now(), t, directory)
	if err != nil {
		return nil, err
	}
	defer end()
	return check(ctx, source, settings)
}
