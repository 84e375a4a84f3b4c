package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/go-chi/chi/v5"

	"pgp.internal/defender/internal/fault"
)

// readyWithin is how long the readiness check may take.
const readyWithin = time.Second

// AdminDeps is what the operator's listener needs. All but Profiles are required.
type AdminDeps struct {
	// Metrics serves the figures for Prometheus.
	Metrics http.Handler
	// Ready tells why the process should get no requests now; nil when it should.
	Ready func(context.Context) error
	Log   *slog.Logger
	// Profiles adds Go's profiles under /debug/pprof/. They show what the process does, never what it holds.
	Profiles bool
}

// Admin builds the handler of the operator's listener: /metrics, /healthz and /readyz. It knows no tenants and must not be
// reachable from outside.
func Admin(d AdminDeps) http.Handler {
	if d.Metrics == nil || d.Ready == nil || d.Log == nil {
		panic("httpapi: AdminDeps is not complete")
	}
	s := &server{Deps: Deps{Log: d.Log, Meter: uncounted{}, Now: time.Now}, mux: chi.NewMux(), rations: newRations(Limits{})}
	s.mux.NotFound(s.notFound)
	s.mux.MethodNotAllowed(s.methodNotAllowed)
	s.mux.Method(http.MethodGet, "/metrics", d.Metrics)
	s.mux.Get("/healthz", alive)
	s.mux.Get("/readyz", s.readiness(d.Ready))
	if d.Profiles {
		s.mux.Get("/debug/pprof/*", pprof.Index)
		s.mux.Get("/debug/pprof/profile", pprof.Profile)
		s.mux.Get("/debug/pprof/trace", pprof.Trace)
	}
	return s.identify(s.recover(s.mux))
}

// alive asks nothing and nobody: a process that answers is alive, and restarting it mends no database.
func alive(w http.ResponseWriter, _ *http.Request) {
	_ = answer(w, http.StatusOK, map[string]string{"status": "ok"}) // cannot fail to encode
}

func (s *server) readiness(ready func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
		defer cancel()
		if err := await(ctx, ready); err != nil {
			s.Log.WarnContext(ctx, "not ready", slog.String("error", err.Error()))
			s.fail(w, r, notReady(err))
			return
		}
		_ = answer(w, http.StatusOK, map[string]string{"status": "ready"}) // cannot fail to encode
	}
}

// await does not wait longer than the context allows, whatever ready does.
func await(ctx context.Context, ready func(context.Context) error) error {
	result := make(chan error, 1)
	go func() { result <- ready(ctx) }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func notReady(err error) error {
	var known *fault.Error
	if errors.As(err, &known) && known.Kind() == fault.Unavailable {
		return err
	}
	return fault.Wrap(err, fault.CodeUnavailable, "")
}

// identify is [server.observe] without a log line and a count for each probe.
func (s *server) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{id: requestID(r), route: unmatched}
		setHeaders(w.Header(), x.id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
		if x.hidden != nil && x.code == fault.CodeInternal {
			s.Log.ErrorContext(r.Context(), "operator request", slog.String("error", x.hidden.Error()))
		}
	})
}

type uncounted struct{}

func (uncounted) RequestStarted()                                     {}
func (uncounted) RequestFinished(_, _ string, _ int, _ time.Duration) {}
