package defendersim

import (
	"sync"
	"time"
)

// limit is a number of calls in any minute and in any hour.
type limit struct{ minute, hour int }

// limits are those of the pages "List machines API", "Get discovered vulnerabilities" and "Export software vulnerabilities
// assessment per device", whose three kinds of export differ. The pages of the other routes name none; clients assume the usual figures.
var limits = map[string]limit{
	"machines":                        {100, 1500},
	"machine_vulnerabilities":         {50, 1500},
	"software_vulnerabilities":        {30, 1000},
	"software_vulnerability_changes":  {30, 1000},
	"software_vulnerabilities_export": {5, 20},
}

var defaultLimit = limit{100, 1500}

type quotaKey struct{ app, tenant, route string }

// quotas counts calls per application, directory and route in sliding windows. Refused calls do not count.
type quotas struct {
	now   func() time.Time
	mu    sync.Mutex
	calls map[quotaKey][]time.Time // of the last hour, oldest first
	use   map[quotaKey]*QuotaUse
}

func newQuotas(now func() time.Time) *quotas {
	return &quotas{now: now, calls: map[quotaKey][]time.Time{}, use: map[quotaKey]*QuotaUse{}}
}

// take counts a call, or returns how long the caller must wait. Where no limit is documented and assumed is false, there is none.
func (q *quotas) take(app, tenant, route string, assumed bool) time.Duration {
	allowed, documented := limits[route]
	if !documented && !assumed {
		return 0
	}
	if !documented {
		allowed = defaultLimit
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now, key := q.now(), quotaKey{app, tenant, route}
	calls := q.calls[key]
	for len(calls) > 0 && now.Sub(calls[0]) >= time.Hour {
		calls = calls[1:]
	}
	q.calls[key] = calls
	wait := remaining(calls, allowed.hour, time.Hour, now)
	wait = max(wait, remaining(calls, allowed.minute, time.Minute, now))
	if wait == 0 {
		q.calls[key] = append(calls, now)
	}
	q.note(key, now, wait > 0)
	return wait
}

// remaining is the time until fewer than most calls lie in the window.
func remaining(calls []time.Time, most int, window time.Duration, now time.Time) time.Duration {
	if len(calls) < most {
		return 0
	}
	return max(0, calls[len(calls)-most].Add(window).Sub(now))
}
