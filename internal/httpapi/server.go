package httpapi

import (
	"net/http"
	"reflect"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/klauspost/compress/gzhttp"

	"pgp.internal/defender/internal/fault"
)

// server holds what the handlers share.
type server struct {
	Deps
	mux     *chi.Mux
	cursors cursors
	docs    documents
	streams *streams
	denials denials
	rations rations
}

// New builds the handler of the public listener. It panics when a dependency is missing or the contract cannot be read,
// because both are defects of the program and not of its surroundings.
func New(d Deps) http.Handler { return newServer(d).handler() }

func newServer(d Deps) *server {
	mustBeComplete(d)
	s := &server{Deps: d, mux: chi.NewMux(), cursors: cursors{key: d.CursorKey, now: d.Now}, docs: newDocuments(d.OpenAPI), streams: newStreams(), rations: newRations(d.Limits)}
	s.mux.NotFound(s.notFound)
	s.mux.MethodNotAllowed(s.methodNotAllowed)
	s.routes(&router{mux: s.mux, server: s})
	return s
}

// compressed are the media types worth compressing; fonts and pictures are compressed already.
var compressed = []string{"application/json", "application/problem+json", linesType, "text/html", "text/css", "application/javascript", "text/javascript"}

// compressFrom is how long an answer has to be: below, compressing saves nothing, and takes most of a megabyte while it lasts.
const compressFrom = 1024

func compress() func(http.Handler) http.HandlerFunc {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(compressFrom), gzhttp.CompressionLevel(5), gzhttp.ContentTypes(compressed), gzhttp.EnableZstd(false))
	if err != nil {
		panic("httpapi: " + err.Error()) // only for options that make no sense, and they are constant
	}
	return wrap
}

// handler puts the mux behind what every request passes, outermost first.
func (s *server) handler() http.Handler {
	var h http.Handler = s.mux
	h = s.recover(h)
	h = compress()(h)
	h = unmeasured(h)
	h = s.drain(h)
	h = s.limitURL(h)
	h = s.observe(h)
	if len(s.TrustedProxies) > 0 {
		h = middleware.ClientIPFromXFF(s.TrustedProxies...)(h)
	}
	return h
}

// unmeasured leaves the length out of the answer to a HEAD that takes compressed ones: nothing is compressed for it, and the length would not be
// that of the GET (RFC 9110, section 8.6).
func unmeasured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead && r.Header.Get("Accept-Encoding") != "" {
			w = lengthless{w}
		}
		next.ServeHTTP(w, r)
	})
}

type lengthless struct{ http.ResponseWriter }

// WriteHeader sends the header at once: net/http would measure a short body, though it drops it.
func (l lengthless) WriteHeader(status int) {
	l.Header().Del("Content-Length")
	l.ResponseWriter.WriteHeader(status)
	_ = http.NewResponseController(l.ResponseWriter).Flush() // who has hung up needs no header
}

// Unwrap lets controllers through.
func (l lengthless) Unwrap() http.ResponseWriter { return l.ResponseWriter }

func mustBeComplete(d Deps) {
	v := reflect.ValueOf(d)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if f := v.Field(i); f.Kind() != reflect.Struct && f.IsZero() && name != "TrustedProxies" {
			panic("httpapi: Deps." + name + " is missing")
		}
	}
	if len(d.CursorKey) < 32 {
		panic("httpapi: Deps.CursorKey is shorter than 32 bytes")
	}
}

// limitURL refuses a URL that is too long before anything looks at it.
func (s *server) limitURL(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.RequestURI) > maxURL { // as it came
			s.fail(w, r, fault.New(fault.CodeURITooLong, ""))
			return
		}
		next.ServeHTTP(w, r)
	})
}
