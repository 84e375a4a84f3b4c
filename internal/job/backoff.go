package job

import (
	"math/rand/v2"
	"time"
)

// Back-off between attempts at a job.
const (
	backoffBase = 5 * time.Second
	backoffCap  = 5 * time.Minute
)

// Backoff is how long to wait after a number of failed attempts: capped exponential with full jitter, so that workers
// that failed together do not come back together.
func Backoff(attempt int) time.Duration {
	limit := backoffCap
	if attempt < 7 { // 5 s · 2^6 is above the cap
		limit = min(backoffCap, backoffBase<<max(0, attempt-1))
	}
	return limit/2 + rand.N(limit/2)
}
