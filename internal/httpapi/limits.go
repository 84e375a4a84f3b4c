package httpapi

import (
	"crypto/sha256"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/ratelimit"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// Limits are how many requests one process answers a minute, spread out: a sixth of them at once. 0 does not limit.
type Limits struct {
	Tenant     int // of each tenant
	Credential int // of each API key, and of each bearer of tokens
	Address    int // of each client address without a credential that was good before
}

// quotaWindow is how much of its time a bucket holds.
const quotaWindow = 10 * time.Second

// buckets count by one limit.
type buckets struct {
	*ratelimit.Buckets
	name string
}

// newBuckets is nil without a limit.
func newBuckets(name string, perMinute int) *buckets {
	if perMinute <= 0 {
		return nil
	}
	return &buckets{ratelimit.New(perMinute, max(1, int(math.Round(float64(perMinute)*quotaWindow.Minutes())))), name}
}

// standing is what a bucket has left.
type standing struct {
	*buckets
	left float64
}

// until is how long it takes until the bucket holds so many.
func (s standing) until(n float64) time.Duration { return s.Until(s.left, n) }

// policy and rest are members of RateLimit-Policy and RateLimit, see draft-ietf-httpapi-ratelimit-headers.
func (s standing) policy() string {
	return fmt.Sprintf(`"%s";q=%d;w=%d`, s.name, s.Size(), int(quotaWindow.Seconds()))
}

func (s standing) rest() string {
	return fmt.Sprintf(`"%s";r=%d;t=%d`, s.name, int(s.left), wholeSeconds(s.until(float64(s.Size()))))
}

// maxKnown bounds how many credentials are known to be good; one that was forgotten counts for its address once more.
const maxKnown = 10_000

// rations are the limits at work. Who is behind a credential only the database knows, so it is remembered of those that were
// good: their requests are counted, and refused, without asking it. All others count for the address they come from.
type rations struct {
	tenants, credentials, addresses *buckets
	known                           *lru.Cache[[sha256.Size]byte, counted]
}

// counted is for whom a credential's requests are counted.
type counted struct{ tenant, credential string }

func newRations(l Limits) rations {
	known, err := lru.New[[sha256.Size]byte, counted](maxKnown)
	if err != nil {
		panic("httpapi: " + err.Error()) // only for a size below 1, and the size is constant
	}
	return rations{
		tenants: newBuckets("tenant", l.Tenant), credentials: newBuckets("credential", l.Credential), addresses: newBuckets("address", l.Address),
		known: known,
	}
}

// presented tells credentials apart, together with the tenant that they are used for, however either is spelt: else one good
// credential could push all others out of what is known.
func presented(r *http.Request) [sha256.Size]byte {
	credential, err := bearer(r)
	if err != nil {
		credential = seal.NewSecret(strings.Join(r.Header.Values("Authorization"), "\x00"))
	}
	return sha256.Sum256([]byte(credential.Reveal() + "\x00\x00" + strings.ToLower(strings.Join(r.Header.Values("Account"), "\x00"))))
}

// ration counts a request before anything is asked of the database. Operations that are open to everybody count for the address,
// and so does a credential that is not known yet, until it turns out to be good.
func (s *server) ration(w http.ResponseWriter, r *http.Request, public bool) error {
	now := s.Now()
	if who, ok := s.rations.known.Get(presented(r)); ok && !public {
		return s.countFor(w, now, who)
	}
	address := count{s.rations.addresses, network(clientAddress(r))}
	exchangeOf(r.Context()).lent = func() { address.giveBack(s.Now()) }
	return countIn(w, now, address)
}

func (s *server) countFor(w http.ResponseWriter, now time.Time, who counted) error {
	return countIn(w, now, count{s.rations.credentials, who.credential}, count{s.rations.tenants, who.tenant})
}

// count is one request of somebody.
type count struct {
	in  *buckets
	who string
}

// giveBack undoes that it was counted.
func (c count) giveBack(now time.Time) {
	if c.in != nil {
		c.in.GiveBack(c.who, now)
	}
}

// countIn counts in one bucket after the other until one is empty, and tells what all these have left.
func countIn(w http.ResponseWriter, now time.Time, counts ...count) error {
	var policies, rests []string
	var refused error
	for _, c := range counts {
		if c.in == nil || c.who == "" || refused != nil {
			continue
		}
		tokens, ok := c.in.Take(c.who, now)
		left := standing{c.in, tokens}
		policies, rests = append(policies, left.policy()), append(rests, left.rest())
		if !ok {
			f := fault.Newf(fault.CodeRateLimited, "The %s has used up its requests", c.in.name)
			f.RetryAfter = left.until(1)
			refused = f
		}
	}
	w.Header().Del(limitPolicy)
	w.Header().Del(limitLeft)
	if len(policies) > 0 {
		w.Header().Set(limitPolicy, strings.Join(policies, ", "))
		w.Header().Set(limitLeft, strings.Join(rests, ", "))
	}
	return refused
}

const (
	limitPolicy = "RateLimit-Policy"
	limitLeft   = "RateLimit"
)

// learn remembers for whom the requests of a credential count, or that it is good no more. One that was not known before has been
// counted for the address: that is given back, and it counts for the credential from now on.
func (s *server) learn(w http.ResponseWriter, r *http.Request, p *tenant.Principal, err error) error {
	if fault.Is(err, fault.CodeUnauthenticated) {
		s.rations.known.Remove(presented(r))
	}
	lent := exchangeOf(r.Context()).lent
	if err != nil || lent == nil {
		return err
	}
	who := actor(p)
	c := counted{credential: string(who.Kind) + " " + who.ID}
	if p.Tenant != 0 {
		c.tenant = strconv.Itoa(int(p.Tenant))
	}
	s.rations.known.Add(presented(r), c)
	lent()
	return s.countFor(w, s.Now(), c)
}

// network is what counts as one address: of IPv6 the 64 bits that a single host may choose from.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is4() {
		return address
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}
