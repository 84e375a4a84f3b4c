package defendersim

import (
	"cmp"
	"slices"
	"time"
)

// QuotaUse tells how near an application came to the limits of a route in a directory.
type QuotaUse struct {
	App, Directory, Route string

	Minute, Hour int // most calls in any such window, without refused ones
	Refused      int // answered 429
}

// note is called with the lock held, after the call was counted or refused.
func (q *quotas) note(key quotaKey, now time.Time, refused bool) {
	u := q.use[key]
	if u == nil {
		u = &QuotaUse{App: key.app, Directory: key.tenant, Route: key.route}
		q.use[key] = u
	}
	if refused {
		u.Refused++
		return
	}
	calls := q.calls[key]
	old, _ := slices.BinarySearchFunc(calls, now.Add(-time.Minute), func(at, edge time.Time) int {
		return cmp.Or(at.Compare(edge), -1) // a call that is a whole minute old counts no more
	})
	u.Minute, u.Hour = max(u.Minute, len(calls)-old), max(u.Hour, len(calls))
}

// QuotaUse lists the quotas that were used since the simulator was made; none when it has none.
func (s *Simulator) QuotaUse() []QuotaUse {
	if s.quotas == nil {
		return nil
	}
	s.quotas.mu.Lock()
	defer s.quotas.mu.Unlock()
	var all []QuotaUse
	for _, u := range s.quotas.use {
		all = append(all, *u)
	}
	return all
}
