package httpapi

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
)

// statusOf is the only place that knows which status a kind of failure has.
var statusOf = map[fault.Kind]int{
	fault.Internal:        http.StatusInternalServerError,
	fault.Invalid:         http.StatusBadRequest,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Forbidden:       http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.NotAllowed:      http.StatusMethodNotAllowed,
	fault.Conflict:        http.StatusConflict,
	fault.Precondition:    http.StatusPreconditionFailed,
	fault.Unconditional:   http.StatusPreconditionRequired,
	fault.TooLarge:        http.StatusRequestEntityTooLarge,
	fault.URITooLong:      http.StatusRequestURITooLong,
	fault.Unsupported:     http.StatusUnsupportedMediaType,
	fault.Refused:         http.StatusUnprocessableEntity,
	fault.Unavailable:     http.StatusServiceUnavailable,
	fault.Limited:         http.StatusTooManyRequests,
}

// Bounds of what callers are told to wait when the failure does not say.
const (
	usualRetryAfter = 5 * time.Second
	maxRetryAfter   = 24 * time.Hour
)

// maxInstance keeps hostile paths from being echoed at length.
const maxInstance = 512

// fail answers an error and keeps for the log what callers are not told.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r.Context())
	f := faultOf(err)
	if errors.Is(r.Context().Err(), context.Canceled) { // the caller hung up
		x.gone = true
		return
	}
	x.code = f.Code
	status := statusOf[f.Kind()]
	if status >= http.StatusInternalServerError {
		x.hidden = err
	}
	h := w.Header()
	for _, name := range []string{"ETag", "Location", "Content-Length", replayed} { // of an answer that was made and not sent
		h.Del(name)
	}
	h.Set("Content-Type", "application/problem+json")
	switch f.Kind() {
	case fault.Unauthenticated:
		h.Set("WWW-Authenticate", challenge(r))
	case fault.TooLarge:
		h.Set("Connection", "close") // or net/http would first read on, as slowly as the caller likes
	case fault.Unavailable, fault.Limited:
		h.Set("Retry-After", seconds(f.RetryAfter))
	case fault.Conflict:
		if f.RetryAfter > 0 {
			h.Set("Retry-After", seconds(f.RetryAfter))
		}
	}
	body, err := encode(problemOf(f, status, r, x))
	if err != nil { // only strings and numbers are in it
		panic(err)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // #nosec G705 -- JSON, with nosniff; who no longer listens needs no answer
}

// faultOf classifies errors that carry no fault of their own.
func faultOf(err error) *fault.Error {
	var known *fault.Error
	if errors.As(err, &known) {
		return known
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.Wrap(err, fault.CodeUnavailable, "The request took too long and was given up.")
	}
	return fault.As(err)
}

func problemOf(f *fault.Error, status int, r *http.Request, x *exchange) api.Problem {
	p := api.Problem{
		Type: problemType(f.Code), Title: f.Definition().Title, Status: status, Code: f.Code, RequestID: x.id,
		Acts: api.Actor(f.Actor()), Detail: told(f), Errors: fieldErrors(f.Fields),
	}
	if path := r.URL.EscapedPath(); len(path) <= maxInstance {
		p.Instance = path
	}
	switch data := f.Data.(type) {
	case []connector.Check:
		p.Checks = checks(data)
	case uuid.UUID:
		switch f.Code {
		case fault.CodeRunInProgress, fault.CodeConflict:
			p.RunID = runID(data)
		case fault.CodeAlreadyConnected:
			p.IntegrationID = integrationID(data)
		}
	}
	return p
}

func problemType(code string) string { return "/problems/" + code }

// told is what happened this time and what to do about it.
func told(f *fault.Error) string {
	what := f.Detail
	if what == "" {
		what = f.CauseText()
	}
	remedy := f.RemedyText()
	if (f.Code == fault.CodeInvalidRequest || f.Code == fault.CodeInvalidJSON) && f.Remedy == "" && len(f.Fields) == 0 {
		remedy = "" // the usual one speaks of fields
	}
	return strings.TrimSpace(sentence(what) + " " + sentence(remedy))
}

// sentence begins with a capital and ends with a full stop; the texts of faults are also used inside other sentences.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(first)) + s[size:]
	if !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}

func fieldErrors(fields []fault.Field) []api.FieldError {
	var out []api.FieldError
	for _, f := range fields {
		e := api.FieldError{Code: f.Code, Detail: sentence(f.Detail)}
		if name, ok := strings.CutPrefix(f.Pointer, "?"); ok {
			e.Parameter = name
		} else {
			e.Pointer = f.Pointer
		}
		out = append(out, e)
	}
	return out
}

// seconds writes a delay for Retry-After: whole seconds, at least one.
func seconds(d time.Duration) string {
	if d <= 0 {
		d = usualRetryAfter
	}
	return strconv.FormatInt(wholeSeconds(d), 10)
}

// wholeSeconds rounds up, so that nobody comes a moment too early.
func wholeSeconds(d time.Duration) int64 { return int64(math.Ceil(min(d, maxRetryAfter).Seconds())) }

// invalid is an invalid_request with its fields.
func invalid(fields ...fault.Field) error {
	detail := "1 value is not acceptable"
	if len(fields) != 1 {
		detail = strconv.Itoa(len(fields)) + " values are not acceptable"
	}
	f := fault.New(fault.CodeInvalidRequest, detail)
	f.Fields = fields
	return f
}

func errBodyTooLarge() error { return fault.New(fault.CodeBodyTooLarge, "") }

// challenge tells who sent a credential in vain from who sent none; see RFC 6750, section 3.
func challenge(r *http.Request) string {
	if r.Header.Get("Authorization") == "" {
		return `Bearer realm="pgp"`
	}
	return `Bearer realm="pgp", error="invalid_token"`
}
