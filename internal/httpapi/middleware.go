package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"

	"pgp.internal/defender/internal/tenant"
)

// Limits of a request.
const (
	maxBody = 64 << 10
	maxURL  = 8 << 10
)

// unmatched is the route of requests that no operation serves.
const unmatched = "unmatched"

// statusClientGone is what the log says of callers that hung up before the answer; it is never sent.
const statusClientGone = 499

// exchange is what is known about one request while it is served. It is written by one goroutine only.
type exchange struct {
	id        string
	started   time.Time
	route     string
	principal tenant.Principal
	refused   string // why a token does not count
	code      string // of the problem, if any
	hidden    error  // what is told to the log and not to the caller
	gone      bool
	lent      func()     // gives back what was counted for the address; nil if nothing was
	seal      answerSeal // of what is kept for a repetition
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

// observe gives each request an id, logs it once and counts it. Neither query strings nor bodies nor ids of objects are
// logged.
func (s *server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		x := &exchange{id: requestID(r), started: started, route: unmatched}
		setHeaders(w.Header(), x.id)
		s.Meter.RequestStarted()
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() { s.finish(x, r.Method, ww.Status(), time.Since(started)) }()
		next.ServeHTTP(ww, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
	})
}

func (s *server) finish(x *exchange, method string, status int, took time.Duration) {
	switch {
	case x.gone:
		status = statusClientGone
	case status == 0: // nothing was written, which net/http turns into 200
		status = http.StatusOK
	}
	method = knownMethod(method)
	s.Meter.RequestFinished(x.route, method, status, took)
	level, attrs := slog.LevelInfo, []slog.Attr{
		slog.String("request_id", x.id), slog.String("method", method), slog.String("route", x.route),
		slog.Int("status", status), slog.Duration("duration", took),
	}
	attrs = append(attrs, s.who(x)...)
	if x.code != "" {
		attrs = append(attrs, slog.String("code", x.code))
	}
	if x.hidden != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.String("error", x.hidden.Error()))
	}
	s.Log.LogAttrs(context.Background(), level, "request", attrs...)
}

// who names the tenant and the credential, or says why a token is none.
func (s *server) who(x *exchange) (attrs []slog.Attr) {
	if x.refused != "" {
		attrs = append(attrs, slog.String("refused", x.refused))
	}
	if x.principal.Tenant != 0 {
		attrs = append(attrs, slog.String("tenant", tenant.PublicText(tenantPrefix, x.principal.TenantPublic)))
	}
	switch {
	case x.principal.Subject != "":
		attrs = append(attrs, slog.String("subject", s.subjectText(x.principal.Subject)))
	case x.principal.Tenant != 0:
		attrs = append(attrs, slog.String("key", tenant.PublicText(keyPrefix, x.principal.KeyID)))
	}
	return attrs
}

// setHeaders sets what every answer carries; handlers of public files may loosen Cache-Control.
func setHeaders(h http.Header, id string) {
	h.Set("X-Request-Id", id)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}

// requestID takes the caller's id if it is short and plain, so that it can neither forge nor flood log lines.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	plain := len(id) >= 1 && len(id) <= 64
	for i := 0; plain && i < len(id); i++ {
		c := id[i]
		plain = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '.' || c == '_' || c == '-'
	}
	if plain {
		return id
	}
	fresh := uuid.New()
	return fmt.Sprintf("%x", fresh[:])
}

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
	http.MethodTrace, http.MethodConnect,
}

func knownMethod(m string) string {
	if slices.Contains(methods, m) {
		return m
	}
	return "OTHER"
}

// recover turns a panic into a 500; the stack goes to the log only.
func (s *server) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			reason := recover()
			if reason == nil {
				return
			}
			if reason == http.ErrAbortHandler { //nolint:errorlint // net/http compares it the same way
				panic(reason)
			}
			s.fail(w, r, fmt.Errorf("panic: %v\n%s", reason, debug.Stack()))
		}()
		next.ServeHTTP(w, r)
	})
}
