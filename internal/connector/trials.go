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

// Trials bounds the live checks that people ask for, in one process: of each tenant, of each directory whoever asks, and at
// once. Without a bound anybody with a credential of this service could try secrets on others' applications, or have Microsoft
// turn against the addresses that all customers share. Checks of runs, and those that nobody asked for, are not counted.
type Trials struct {
	tenants, directories *ratelimit.Buckets // nil: no limit
	places               chan struct{}
}

// placeSoon is when one of the checks under way has likely ended.
const placeSoon = 2 * time.Second

// NewTrials allows so many checks a minute of each tenant and directory, all of them at once if need be, and so many at once
// in all. perMinute 0 bounds only what is made at once.
func NewTrials(perMinute, atOnce int) *Trials {
	t := &Trials{places: make(chan struct{}, atOnce)}
	if perMinute > 0 {
		t.tenants, t.directories = ratelimit.New(perMinute, perMinute), ratelimit.New(perMinute, perMinute)
	}
	return t
}

// Option changes how a Service works.
type Option func(*Service)

// WithTrials bounds the checks that the service makes because somebody asks for them.
func WithTrials(t *Trials) Option {
	return func(s *Service) { s.trials = t }
}

// begin counts a check and takes a place for it until end is called, or refuses with the fault rate_limited.
func (t *Trials) begin(now time.Time, who tenant.ID, directory string) (end func(), err error) {
	if t == nil {
		return func() {}, nil
	}
	if wait := takeOne(t.tenants, strconv.Itoa(int(who)), now); wait > 0 {
		return nil, tooMany("The tenant has asked for too many live checks", wait)
	}
	if wait := takeOne(t.directories, strings.ToLower(directory), now); wait > 0 {
		return nil, tooMany("Too many live checks of this directory were asked for", wait)
	}
	select {
	case t.places <- struct{}{}:
		return func() { <-t.places }, nil
	default:
		return nil, tooMany("As many live checks as can be made at once are under way", placeSoon)
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
	end, err := s.trials.begin(s.now(), t, directory)
	if err != nil {
		return nil, err
	}
	defer end()
	return check(ctx, source, settings)
}
