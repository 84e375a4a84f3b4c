package defender

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
)

// upstream is a scripted Microsoft on a real socket.
type upstream struct {
	*httptest.Server
	t     testing.TB
	clock *testClock

	mu      sync.Mutex
	tokens  int
	calls   []string // of the API: path and query
	hosts   []string // every host the client meant to talk to
	onToken http.HandlerFunc
	onAPI   http.HandlerFunc
}

func newUpstream(t testing.TB) *upstream {
	t.Helper()
	u := &upstream{t: t, clock: &testClock{at: time.Now()}}
	u.onToken = func(w http.ResponseWriter, _ *http.Request) { writeToken(w, "3599", machineRead, vulnerabilityRead) }
	u.onAPI = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"value":[]}`)) }
	u.Server = httptest.NewServer(http.HandlerFunc(u.serve))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) serve(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	handler := u.onAPI
	if strings.HasSuffix(r.URL.Path, "/token") {
		u.tokens++
		handler = u.onToken
	} else {
		u.calls = append(u.calls, r.URL.RequestURI())
	}
	u.mu.Unlock()
	handler(w, r)
}

// answer changes what the API answers while a call that its client has given up may still be served.
func (u *upstream) answer(with http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.onAPI = with
}

func (u *upstream) counts() (tokens, calls int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.tokens, len(u.calls)
}

// config talks to the upstream, with a clock that only sleeping moves.
func (u *upstream) config() Config {
	return Config{
		LoginURL: u.URL, APIURL: u.URL, AllowInsecure: true, Clock: u.clock.now, Sleep: u.clock.sleep,
		Rand: func(limit time.Duration) time.Duration { return limit - 1 },
		Proxy: func(r *http.Request) (*url.URL, error) { // asked before each request leaves: a witness of where it goes
			u.mu.Lock()
			defer u.mu.Unlock()
			u.hosts = append(u.hosts, r.URL.Host)
			return nil, nil
		},
	}
}

func (u *upstream) open(change ...func(*Config)) connector.Source {
	u.t.Helper()
	cfg := u.config()
	for _, c := range change {
		c(&cfg)
	}
	return mustNew(u.t, cfg).Open(testCredentials())
}

// testClock stands still but for sleeping.
type testClock struct {
	mu    sync.Mutex
	at    time.Time
	slept []time.Duration
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *testClock) sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	c.slept = append(c.slept, d)
	return ctx.Err()
}

func (c *testClock) sleeps() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]time.Duration(nil), c.slept...)
}

const canaryToken = "canary-token"

// writeToken answers with a token whose claims hold the roles; expires is written as it is, quoted or not.
func writeToken(w http.ResponseWriter, expires string, roles ...string) {
	payload, _ := json.Marshal(map[string]any{"roles": roles, "tid": testDirectory})
	if len(roles) == 0 {
		payload = []byte(`{}`)
	}
	token := "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString(payload) + "." + canaryToken
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":%s,"ext_expires_in":%s,"access_token":%q}`, expires, expires, token)
}

const (
	testTrace       = "11111111-1111-1111-1111-111111111111"
	testCorrelation = "22222222-2222-2222-2222-222222222222"
	canaryText      = "canary-upstream-text"
)

// refuseToken writes an error as Entra ID does.
func refuseToken(status, number int, word string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"error": word, "error_codes": []int{number}, "timestamp": "2026-01-05 10:00:00Z", "trace_id": testTrace, "correlation_id": testCorrelation,
			"error_description": fmt.Sprintf("AADSTS%d: %s. Trace ID: x", number, canaryText),
		})
	}
}

// refuseAPI writes an error as Defender does.
func refuseAPI(status int, code, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": code, "message": message + " " + canaryText, "target": "|" + testCorrelation}})
	}
}

// plain answers with a status and a body that is not JSON.
func plain(status int, text string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	}
}

// hangUp breaks the connection after writing text of a longer body.
func hangUp(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		_, _ = w.Write([]byte(text))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// inTurn answers each request with the next handler; the last one serves all further ones.
func inTurn(handlers ...http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	next := 0
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := handlers[min(next, len(handlers)-1)]
		next++
		mu.Unlock()
		h(w, r)
	}
}

func on(path string, then, otherwise http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == path {
			then(w, r)
			return
		}
		otherwise(w, r)
	}
}

func page(text string) http.HandlerFunc {
	return plain(http.StatusOK, text, "Content-Type", "application/json")
}
