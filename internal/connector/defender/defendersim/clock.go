package defendersim

import (
	"errors"
	"sync/atomic"
	"time"
)

// clock is the simulator's time: that of the configuration, moved ahead by whoever wants tokens to expire or quotas to fill up
// again without waiting.
type clock struct {
	base  func() time.Time
	ahead atomic.Int64
}

func (c *clock) now() time.Time { return c.base().Add(time.Duration(c.ahead.Load())) }

// Now is the simulator's time.
func (s *Simulator) Now() time.Time { return s.clock.now() }

// Advance moves the simulator's clock forward. Tokens, secrets, certificates and quotas go by it; a negative span is an error.
func (s *Simulator) Advance(by time.Duration) error {
	if by < 0 {
		return errors.New("the clock does not go backwards")
	}
	s.clock.ahead.Add(int64(by))
	return nil
}
