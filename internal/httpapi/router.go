package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

// How long a request may take: less than 5 seconds, whatever the database does. Operations that ask Microsoft may spend
// connector.CheckBudget there and need some time before and after.
const (
	usualBudget     = 4700 * time.Millisecond
	microsoftBudget = 20 * time.Second
)

// handler answers a request, or returns why it cannot; the answer to an error is always a problem document.
type handler func(w http.ResponseWriter, r *http.Request) error

// endpoint is a handler with the rules for calling it.
type endpoint struct {
	handle  handler
	role    tenant.Role
	public  bool
	params  []string
	budget  time.Duration
	lines   bool
	retired retirement
	again   again // nil for what may be repeated without it
	matches bool  // heeds If-Match
}

func readonly(h handler) endpoint { return endpoint{handle: h, role: tenant.ReadOnly} }
func analyst(h handler) endpoint  { return endpoint{handle: h, role: tenant.Analyst} }
func admin(h handler) endpoint    { return endpoint{handle: h, role: tenant.Admin} }
func platform(h handler) endpoint { return endpoint{handle: h, role: tenant.Platform} }
func open(h handler) endpoint     { return endpoint{handle: h, public: true} }

// query declares the query parameters the endpoint knows; any other one is refused.
func (e endpoint) query(names ...string) endpoint {
	e.params = append(slices.Clone(e.params), names...)
	return e
}

// asksMicrosoft gives the endpoint the time that live checks may take.
func (e endpoint) asksMicrosoft() endpoint {
	e.budget = microsoftBudget
	return e
}

// orLines lets the endpoint give its whole list as lines to those who ask for that.
func (e endpoint) orLines() endpoint {
	e.lines = true
	return e
}

// repeatable lets the endpoint know an Idempotency-Key.
func (e endpoint) repeatable(by again) endpoint {
	e.again = by
	return e
}

// conditional says that the handler heeds If-Match; to others that write it is refused.
func (e endpoint) conditional() endpoint {
	e.matches = true
	return e
}

// router registers endpoints. One that says neither a role nor that it is open to everybody panics: forgetting it must
// not open a hole.
type router struct {
	mux      *chi.Mux
	server   *server
	declared func(method, pattern string, e endpoint) // hears of every endpoint; may be nil
}

func (r *router) Get(pattern string, e endpoint)    { r.add(http.MethodGet, pattern, e) } // and HEAD
func (r *router) Post(pattern string, e endpoint)   { r.add(http.MethodPost, pattern, e) }
func (r *router) Put(pattern string, e endpoint)    { r.add(http.MethodPut, pattern, e) }
func (r *router) Patch(pattern string, e endpoint)  { r.add(http.MethodPatch, pattern, e) }
func (r *router) Delete(pattern string, e endpoint) { r.add(http.MethodDelete, pattern, e) }

func (r *router) add(method, pattern string, e endpoint) {
	if e.handle == nil || e.public == e.role.Valid() {
		panic("httpapi: " + method + " " + pattern + " says neither a role nor that it is open")
	}
	if e.budget == 0 {
		e.budget = usualBudget
	}
	if r.declared != nil {
		r.declared(method, pattern, e)
	}
	e.retired = r.server.docs.retired[method+" "+pattern]
	h := r.server.serve(pattern, e)
	r.mux.Method(method, pattern, h)
	if method == http.MethodGet {
		r.mux.Method(http.MethodHead, pattern, h) // net/http drops the body
	}
}

// serve is the one way from HTTP to a handler and from its error to a problem document.
func (s *server) serve(pattern string, e endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		exchangeOf(r.Context()).route = pattern
		e.retired.announce(w.Header())
		budget := e.budget
		if e.lines && wantsLines(r) {
			budget = streamBudget
		}
		ctx, cancel := context.WithTimeout(r.Context(), budget)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := s.admit(w, r, e); err != nil {
			s.fail(w, r, err)
			return
		}
		r = r.WithContext(answering(r.Context(), r))
		if err := s.once(w, r, e); err != nil {
			s.fail(w, r, err)
		}
	}
}

// admit checks everything that is the same for all endpoints: how often they are asked, by whom, and with which parameters.
// What needs no database comes first, so that it is answered at once when the database is slow.
func (s *server) admit(w http.ResponseWriter, r *http.Request, e endpoint) error {
	if err := s.ration(w, r, e.public); err != nil {
		return err
	}
	if r.ContentLength > maxBody {
		return errBodyTooLarge()
	}
	if !e.public {
		if err := s.authorise(w, r, e.role); err != nil {
			return err
		}
	}
	if err := checkConditions(r, e); err != nil {
		return err
	}
	return checkQuery(r, e.params)
}

// notFound answers paths that no operation has.
func (s *server) notFound(w http.ResponseWriter, r *http.Request) {
	s.failUnmatched(w, r, fault.New(fault.CodeNotFound, "there is no such path"))
}

// methodNotAllowed answers methods that no operation has on this path.
func (s *server) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	allowed := s.methodsOf(r)
	if len(allowed) == 0 {
		s.notFound(w, r)
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	s.failUnmatched(w, r, fault.New(fault.CodeMethodNotAllowed, ""))
}

// failUnmatched refuses what no operation serves, and counts it for the address that sent it.
func (s *server) failUnmatched(w http.ResponseWriter, r *http.Request, why error) {
	if err := s.ration(w, r, true); err != nil {
		why = err
	}
	s.fail(w, r, why)
}

func (s *server) methodsOf(r *http.Request) []string {
	path := r.URL.RawPath
	if path == "" {
		path = r.URL.Path
	}
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if s.mux.Match(chi.NewRouteContext(), m, path) {
			allowed = append(allowed, m)
		}
	}
	return allowed
}
