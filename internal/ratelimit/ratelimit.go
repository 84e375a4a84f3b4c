// Package ratelimit counts what many do, each in a token bucket of its own, in bounded memory.
package ratelimit

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// maxKeys bounds how many buckets are remembered; the one that was idle longest is forgotten first, and is full when it is back.
const maxKeys = 10_000

// Buckets holds a token bucket for each key. It is safe for concurrent use.
type Buckets struct {
	every rate.Limit
	size  int
	held  *lru.Cache[string, *rate.Limiter]
}

// New makes buckets that hold size tokens and gain so many a minute; both must be positive.
func New(perMinute, size int) *Buckets {
	held, err := lru.New[string, *rate.Limiter](maxKeys)
	if err != nil {
		panic("ratelimit: " + err.Error()) // only for a bound below 1, and it is constant
	}
	return &Buckets{every: rate.Limit(float64(perMinute) / 60), size: size, held: held}
}

// Size is how many tokens a full bucket holds.
func (b *Buckets) Size() int { return b.size }

func (b *Buckets) of(key string) *rate.Limiter {
	if l, ok := b.held.Get(key); ok {
		return l
	}
	fresh := rate.NewLimiter(b.every, b.size)
	if l, there, _ := b.held.PeekOrAdd(key, fresh); there {
		return l
	}
	return fresh
}

// Take takes a token, and tells how many are left; it reports false if there was none.
func (b *Buckets) Take(key string, now time.Time) (left float64, ok bool) {
	l := b.of(key)
	ok = l.AllowN(now, 1)
	return max(0, l.TokensAt(now)), ok
}

// GiveBack undoes a Take.
func (b *Buckets) GiveBack(key string, now time.Time) {
	b.of(key).AllowN(now, -1) // which takes one less than none
}

// Until is how long a bucket with so many tokens left takes to hold n.
func (b *Buckets) Until(left, n float64) time.Duration {
	return time.Duration(max(0, n-left) / float64(b.every) * float64(time.Second))
}
