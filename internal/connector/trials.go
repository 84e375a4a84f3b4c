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
// whoever owns a directory out of checking it. Checks of runs, and those that nobody asked for, are not counted.
type Trials struct {
	tenants, shares, directories *ratelimit.Buckets // nil: no limit
	places                       chan struct{}
}

// placeSoon is when one of the checks under way has likely ended.
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
func (t *Trials) begin(now time.Time, who tenant.ID, directory string) (end func(), err error) {
	if t == nil {
		return func() {}, nil
	}
	if err := t.count(now, strconv.Itoa(int(who)), strings.ToLower(directory)); err != nil {
		return nil, err
	}
	select {
	case t.places <- struct{}{}:
		return func() { <-t.places }, nil
	default:
		return nil, tooMany("As many live checks as can be made at once are under way", placeSoon)
	}
}

func (t *Trials) count(now time.Time, who, directory string) error {
	bounds := []struct {
		among       *ratelimit.Buckets
		key, detail string
	}{
		{t.tenants, who, "The tenant has asked for too many live checks"},
		{t.shares, who + " " + directory, "The tenant has asked for too many live checks of this directory"},
		{t.directories, directory, "Too many live checks of this directory were asked for"},
	}
	for i, b := range bounds {
		wait := takeOne(b.among, b.key, now)
		if wait == 0 {
			continue
		}
		for _, taken := range bounds[:i] {
			taken.among.GiveBack(taken.key, now)
		}
		return tooMany(b.detail, wait)
	}
	return nil
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
