package connector

import (
	"context"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// Trials bounds the live checks that people ask for, in one process: of each tenant, of each directory whoever asks, and at
// once. Without a bound anybody with a credential of this service could try secrets on others' applications, or have Microsoft
// turn against the addresses that all customers share. Checks of runs, and those that nobody asked for, are not counted.
type Trials struct {
	every                rate.Limit
	burst                int
	tenants, directories *lru.Cache[string, *rate.Limiter]
	places               chan struct{}
}

const (
	// maxTried bounds how many tenants and directories are remembered; the one that was idle longest is forgotten first.
	maxTried = 10_000
	// placeSoon is when one of the checks under way has likely ended.
	placeSoon = 2 * time.Second
)

// NewTrials allows so many checks a minute of each tenant and directory, all of them at once if need be, and so many at once
// in all. perMinute 0 bounds only what is made at once.
func NewTrials(perMinute, atOnce int) *Trials {
	t := &Trials{every: rate.Limit(float64(perMinute) / 60), burst: perMinute, places: make(chan struct{}, atOnce)}
	if perMinute == 0 {
		t.every, t.burst = rate.Inf, 1
	}
	var errs [2]error
	t.tenants, errs[0] = lru.New[string, *rate.Limiter](maxTried)
	t.directories, errs[1] = lru.New[string, *rate.Limiter](maxTried)
	for _, err := range errs {
		if err != nil {
			panic("connector: " + err.Error()) // only for a size below 1, and the size is constant
		}
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
	if wait := t.take(t.tenants, strconv.Itoa(int(who)), now); wait > 0 {
		return nil, tooMany("The tenant has asked for too many live checks", wait)
	}
	if wait := t.take(t.directories, strings.ToLower(directory), now); wait > 0 {
		return nil, tooMany("Too many live checks of this directory were asked for", wait)
	}
	select {
	case t.places <- struct{}{}:
		return func() { <-t.places }, nil
	default:
		return nil, tooMany("As many live checks as can be made at once are under way", placeSoon)
	}
}

// take counts one, or tells how long it takes until another one may be made.
func (t *Trials) take(among *lru.Cache[string, *rate.Limiter], key string, now time.Time) (wait time.Duration) {
	l := rate.NewLimiter(t.every, t.burst)
	if there, found, _ := among.PeekOrAdd(key, l); found {
		l = there
		among.Get(key) // is not idle
	}
	if l.AllowN(now, 1) {
		return 0
	}
	return max(time.Second, time.Duration((1-l.TokensAt(now))/float64(t.every)*float64(time.Second)))
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
