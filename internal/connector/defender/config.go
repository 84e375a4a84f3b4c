package defender

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// Config configures a [Connector]. With nothing but a budget it talks to the commercial cloud, with the
// defaults stated at each field.
type Config struct {
	Cloud    Cloud  // Commercial when empty
	LoginURL string // overrides the cloud's login host
	APIURL   string // overrides the cloud's API host
	Scope    string // overrides the cloud's scope

	// FederatedTokenFile holds the OIDC token of the platform this service runs on, which renews it in place. Empty: federated
	// sign-in is not available.
	FederatedTokenFile string

	// AllowInsecure permits plain http and loopback or private addresses. It is for a simulator, never for production.
	AllowInsecure bool
	// Proxy chooses an outbound proxy; nil means none, whatever the environment says. With a proxy the addresses dialled
	// are the proxy's, so the check that refuses loopback and private addresses does not apply.
	Proxy func(*http.Request) (*url.URL, error)
	// RootCAs are the certificate authorities to trust; nil means the system's.
	RootCAs *x509.CertPool

	Timeouts Timeouts
	Retry    RetryPolicy
	Pages    Pages

	Budget   Budget       // must be given: a [SharedBudget], so that no quota of Microsoft is overrun
	Observer Observer     // nil: nobody watches
	Logger   *slog.Logger // nil: silent

	Clock func() time.Time                                  // nil: time.Now
	Sleep func(ctx context.Context, d time.Duration) error  // nil: a timer; returns the context's error when it ends first
	Rand  func(limit time.Duration) (uniform time.Duration) // nil: math/rand; a duration in [0, limit)
}

// Timeouts bound every wait. A zero field takes its default.
type Timeouts struct {
	Connect time.Duration // TCP connect, 3 s
	TLS     time.Duration // handshake, 5 s
	Header  time.Duration // from the request sent to the answer's header, 30 s
	Token   time.Duration // one whole token request, 30 s
	Call    time.Duration // time spent reading one page's body, not counting waits for the consumer, 5 min
	Idle    time.Duration // silence within a body, 30 s
	Check   time.Duration // one whole check of credentials, which somebody waits for, 10 s
}

// Pages bounds what is asked for and accepted. A zero field takes its default.
type Pages struct {
	Rows          int   // rows asked for per page of the vulnerability report, 50,000; Microsoft accepts at most 200,000
	Batch         int   // records handed over at once, 1,000
	Max           int   // pages of one walk before it is given up as endless, 10,000
	MaxEmpty      int   // empty pages in a row before a walk is given up, 20
	MaxListBytes  int64 // decompressed size of one page of machines or vulnerabilities, 128 MiB
	MaxRowsBytes  int64 // decompressed size of one page of rows, 1 GiB
	MaxFileBytes  int64 // decompressed size of one export file, 8 GiB
	MaxValueBytes int   // size of a single JSON token that is waited for, 4 MiB
}

const maxRowsPerPage = 200_000

func (c Config) withDefaults() (Config, error) {
	cloud, ok := c.Cloud.endpoints()
	if !ok {
		return c, fmt.Errorf("defender: unknown cloud %q (commercial, gcc, gcc_high or dod)", string(c.Cloud))
	}
	c.LoginURL = orElse(c.LoginURL, cloud.login)
	c.APIURL = orElse(c.APIURL, cloud.api)
	c.Scope = orElse(c.Scope, cloud.scope)
	c.Timeouts = c.Timeouts.withDefaults()
	c.Retry = c.Retry.withDefaults()
	c.Pages = c.Pages.withDefaults()
	c.Clock = ifNil(c.Clock, time.Now)
	c.Sleep = ifNil(c.Sleep, sleep)
	c.Rand = ifNil(c.Rand, uniform)
	if c.Observer == nil {
		c.Observer = unobserved{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Budget == nil {
		return c, errors.New("defender: no budget of calls")
	}
	if c.Pages.Rows > maxRowsPerPage {
		return c, fmt.Errorf("defender: %d rows per page; Microsoft accepts at most %d", c.Pages.Rows, maxRowsPerPage)
	}
	return c, errors.Join(c.checkURL("login URL", c.LoginURL), c.checkURL("API URL", c.APIURL))
}

// checkURL accepts an origin, nothing more: paths are the package's own business.
func (c Config) checkURL(what, text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return fmt.Errorf("defender: %s cannot be parsed", what)
	case u.Scheme != "https" && (u.Scheme != "http" || !c.AllowInsecure):
		return fmt.Errorf("defender: %s must be https", what)
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Path != "" && u.Path != "/"):
		return fmt.Errorf("defender: %s must be an origin such as https://host", what)
	}
	return nil
}

func (t Timeouts) withDefaults() Timeouts {
	t.Connect = positive(t.Connect, 3*time.Second)
	t.TLS = positive(t.TLS, 5*time.Second)
	t.Header = positive(t.Header, 30*time.Second)
	t.Token = positive(t.Token, 30*time.Second)
	t.Call = positive(t.Call, 5*time.Minute)
	t.Idle = positive(t.Idle, 30*time.Second)
	t.Check = positive(t.Check, 10*time.Second)
	return t
}

func (p Pages) withDefaults() Pages {
	p.Rows = positive(p.Rows, 50_000)
	p.Batch = positive(p.Batch, 1_000)
	p.Max = positive(p.Max, 10_000)
	p.MaxEmpty = positive(p.MaxEmpty, 20)
	p.MaxListBytes = positive(p.MaxListBytes, 128<<20)
	p.MaxRowsBytes = positive(p.MaxRowsBytes, 1<<30)
	p.MaxFileBytes = positive(p.MaxFileBytes, 8<<30)
	p.MaxValueBytes = positive(p.MaxValueBytes, 4<<20)
	return p
}

func positive[T ~int | ~int64](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

func ifNil[F func() time.Time | func(context.Context, time.Duration) error | func(time.Duration) time.Duration](f, otherwise F) F {
	if f != nil {
		return f
	}
	return otherwise
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
