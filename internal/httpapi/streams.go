package httpapi

import (
	"sync"
	"time"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

const (
	// maxStreams is how many lists one process streams at a time; each holds some megabytes, 25 at most by what its findings refer to.
	maxStreams = 8
	// maxTenantStreams is how many of them may be one tenant's: a list of each kind, while two others can do the same.
	maxTenantStreams = 3
)

// streams are the places for lists being streamed.
type streams struct {
	mu    sync.Mutex
	taken int
	of    map[tenant.ID]int // without those that have none; the platform is 0
}

func newStreams() *streams { return &streams{of: map[tenant.ID]int{}} }

// take takes a place until release is called. Without one it is a fault that tells whether the tenant or the process has none left.
func (s *streams) take(t tenant.ID) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.of[t] >= maxTenantStreams:
		return nil, fault.Newf(fault.CodeRateLimited, "%d lists are being streamed for the tenant already, of the %d that each process streams at a time", maxTenantStreams, maxStreams)
	case s.taken >= maxStreams:
		return nil, fault.Newf(fault.CodeUnavailable, "%d lists are being streamed already", maxStreams)
	}
	s.taken++
	s.of[t]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.taken--
		if s.of[t]--; s.of[t] == 0 {
			delete(s.of, t)
		}
	}, nil
}

// pace is what is asked of the reader of a list. Only the time that it lets the service wait counts, not what the service needs itself.
type pace struct {
	stall time.Duration // how long it may take nothing
	rate  int64         // bytes a second, before compression, that it has to take
	grace time.Duration // by how much it may fall behind that
}

// streamPace lets a reader stop for half a minute, as a program may that collects its garbage or reconnects to its own store, and
// asks for half a megabit a second otherwise, which any link worth a list gives; who takes next to nothing has a place for
// little more than a minute, instead of an hour.
var streamPace = pace{stall: 30 * time.Second, rate: lineBuffer, grace: time.Minute}

// after is how far behind a reader is that was so far behind before, and needed so long to take so many bytes.
func (p pace) after(behind time.Duration, bytes int, took time.Duration) time.Duration {
	return max(0, behind+took-time.Duration(float64(bytes)/float64(p.rate)*float64(time.Second)))
}

// patience is how long such a reader may need for the next bytes.
func (p pace) patience(behind time.Duration) time.Duration { return min(p.stall, p.grace-behind) }
