package httpapi

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-chi/chi/v5/middleware"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// AuditTrail is read, and notes who was refused what. Changes note themselves.
type AuditTrail interface {
	ListAuditEvents(ctx context.Context, t tenant.ID, f audit.Filter, page inventory.PageRequest) ([]audit.Event, inventory.Position, error)
	// RecordDenial notes that the actor of the context was refused an operation and why, and how often it was refused any since
	// this was noted last.
	RecordDenial(ctx context.Context, t tenant.ID, operation string, why tenant.Refusal, times int) error
}

// answering names the caller, once known, as the one who answers for what is done in the request.
func answering(ctx context.Context, r *http.Request) context.Context {
	x := exchangeOf(ctx)
	if x.principal.Role == "" {
		return ctx
	}
	return audit.WithOrigin(ctx, audit.Origin{Actor: actor(&x.principal), RequestID: x.id, Address: clientAddress(r)})
}

func actor(p *tenant.Principal) audit.Actor {
	if p.Subject != "" {
		return audit.Actor{Kind: audit.Token, ID: p.Subject, Name: cmp.Or(p.Name, p.Subject)}
	}
	return audit.Actor{Kind: audit.APIKey, ID: tenant.PublicText(keyPrefix, p.KeyID), Name: p.Name}
}

// clientAddress is where the request comes from, without the port: by X-Forwarded-For if a trusted proxy sent it, whose own
// address stands in where that cannot be read; else where the connection comes from.
func clientAddress(r *http.Request) string {
	if address := middleware.GetClientIP(r.Context()); address != "" {
		return address
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// denialEvery is how often the denials of one credential are noted in each process: nobody can fill the disk with them.
const denialEvery = time.Minute

// maxDenials bounds how many credentials are remembered; then all are forgotten, and noted anew.
const maxDenials = 10_000

// denials counts what credentials were refused since it was noted.
type denials struct {
	mu   sync.Mutex
	keys map[audit.Actor]denied
}

type denied struct {
	noted time.Time
	since int
}

// due tells whether a denial would be noted now.
func (d *denials) due(key audit.Actor, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.keys[key]
	return k.noted.IsZero() || now.Sub(k.noted) >= denialEvery
}

// count adds a denial. It gives how many are to be noted now, or 0.
func (d *denials) count(key audit.Actor, now time.Time) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keys == nil || len(d.keys) > maxDenials {
		d.keys = map[audit.Actor]denied{}
	}
	k := d.keys[key]
	k.since++
	times := 0
	if k.noted.IsZero() || now.Sub(k.noted) >= denialEvery {
		times, k = k.since, denied{noted: now}
	}
	d.keys[key] = k
	return times
}

// again takes back that some were noted: the next denial notes them.
func (d *denials) again(key audit.Actor, times int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys[key] = denied{since: d.keys[key].since + times}
}

// deny gives back why a credential that is known was refused, and notes that if it is due. What cannot be noted is refused all
// the same, as unavailable; where nothing can be noted at all, for what it is, and only the log tells of it.
func (s *server) deny(r *http.Request, p tenant.Principal, why tenant.Refusal, refused error) error {
	p.Refused = why
	x := exchangeOf(r.Context())
	x.principal = p
	who := actor(&p)
	times := s.denials.count(who, s.Now())
	if times == 0 {
		return refused
	}
	if err := s.Audit.RecordDenial(answering(r.Context(), r), p.Tenant, knownMethod(r.Method)+" "+x.route, why, times); err != nil {
		s.denials.again(who, times)
		if fault.Is(err, fault.CodeReadOnly) {
			return refused
		}
		return err
	}
	return refused
}
