package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// leaks are traces of what must never reach a caller.
var leaks = regexp.MustCompile(`pq:|SQLSTATE|goroutine|\.go:|AADSTS|panic|runtime error|relation`)

// checkProblem holds an answer to the form of every problem document.
func checkProblem(t *testing.T, what string, got answered, status int, code string) api.Problem {
	t.Helper()
	p := got.problem(t)
	if got.status != status || p.Status != status || p.Code != code || p.Type != "/problems/"+code || p.Title == "" || p.Detail == "" ||
		p.RequestID == "" || p.RequestID != got.header.Get("X-Request-Id") || got.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: want %d %s, got %d %v %s", what, status, code, got.status, got.header, got.body)
	}
	if leak := leaks.FindString(got.body); leak != "" {
		t.Errorf("%s: leaks %q: %s", what, leak, got.body)
	}
	return p
}

// TestRouterRefusesWithProblems covers what no handler sees.
func TestRouterRefusesWithProblems(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := h.mine.keys[tenant.Admin]
	for _, c := range []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{http.MethodGet, "/", http.StatusNotFound, fault.CodeNotFound, ""},
		{http.MethodGet, "/v1/nothing", http.StatusNotFound, fault.CodeNotFound, ""},
		{http.MethodGet, "/v1/assets/", http.StatusNotFound, fault.CodeNotFound, ""},
		{http.MethodGet, "//v1/assets", http.StatusNotFound, fault.CodeNotFound, ""},
		{http.MethodGet, "/v1/assets/..%2f..%2fetc%2fpasswd", http.StatusNotFound, fault.CodeNotFound, ""},
		{http.MethodGet, "/docs/../../go.mod", http.StatusNotFound, fault.CodeNotFound, ""},
		{http.MethodGet, "/docs/oauth2-redirect.html", http.StatusNotFound, fault.CodeNotFound, ""},
		{http.MethodGet, "/metrics", http.StatusNotFound, fault.CodeNotFound, ""},
		{"BREW", "/v1/nothing", http.StatusNotFound, fault.CodeNotFound, ""},
		{http.MethodPut, "/v1/assets", http.StatusMethodNotAllowed, fault.CodeMethodNotAllowed, "GET, HEAD"},
		{http.MethodOptions, "/v1/integrations", http.StatusMethodNotAllowed, fault.CodeMethodNotAllowed, "GET, HEAD, POST"},
		{http.MethodTrace, "/v1/integrations/int_1", http.StatusMethodNotAllowed, fault.CodeMethodNotAllowed, "GET, HEAD, PATCH, DELETE"},
		{"BREW", "/v1/version", http.StatusMethodNotAllowed, fault.CodeMethodNotAllowed, "GET, HEAD"},
		{http.MethodGet, "/v1/assets?q=" + strings.Repeat("a", 9000), http.StatusRequestURITooLong, fault.CodeURITooLong, ""},
		{http.MethodGet, "/v1/assets/" + strings.Repeat("a", 9000), http.StatusRequestURITooLong, fault.CodeURITooLong, ""},
		{http.MethodGet, "/v1/assets/" + strings.Repeat("%61", 3000), http.StatusRequestURITooLong, fault.CodeURITooLong, ""},
		{http.MethodGet, "/v1/assets?" + strings.Repeat("a", 8<<10-len("/v1/assets")), http.StatusRequestURITooLong, fault.CodeURITooLong, ""},
	} {
		got := h.send(raw{method: c.method, path: c.path, key: key, header: map[string]string{"X-HTTP-Method-Override": "DELETE"}})
		p := checkProblem(t, c.method+" "+c.path[:min(40, len(c.path))], got, c.status, c.code)
		if got.header.Get("Allow") != c.allow || len(p.Instance) > 600 {
			t.Errorf("%s %.40s: Allow %q, instance of %d bytes", c.method, c.path, got.header.Get("Allow"), len(p.Instance))
		}
	}
}

// TestOurOwnFaultsAreToldWithoutReasons covers panics, broken stores and time-outs: the caller learns the request id, the
// log the reason.
func TestOurOwnFaultsAreToldWithoutReasons(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	x := h.furnish(h.mine)
	key := h.mine.keys[tenant.Admin]
	panics := h.deps
	panics.Explain = func(syncer.Run, connector.Integration, tenant.Entitlement, time.Time) []syncer.Notice {
		panic("a defect: secret reason")
	}
	got := h.send(raw{method: http.MethodGet, path: "/v1/runs/" + x.run + "/diagnostics", key: key, base: h.serve(panics)})
	p := checkProblem(t, "panic", got, http.StatusInternalServerError, fault.CodeInternal)
	h.logged(t, p.RequestID, "a defect: secret reason", "goroutine")

	broken := h.serve(failing(h.deps, errors.New("pq: relation \"x\" does not exist (SQLSTATE 42P01)")))
	got = h.send(raw{method: http.MethodGet, path: "/v1/tenant", key: key, base: broken})
	p = checkProblem(t, "broken store", got, http.StatusInternalServerError, fault.CodeInternal)
	h.logged(t, p.RequestID, "SQLSTATE 42P01")

	slow := h.serve(failing(h.deps, fmt.Errorf("query: %w", context.DeadlineExceeded)))
	got = h.send(raw{method: http.MethodGet, path: "/v1/tenant", key: key, base: slow})
	checkProblem(t, "time-out", got, http.StatusServiceUnavailable, fault.CodeUnavailable)
	if got.header.Get("Retry-After") != "5" {
		t.Errorf("Retry-After is %q", got.header.Get("Retry-After"))
	}

	waits := fault.New(fault.CodeUnavailable, "")
	waits.RetryAfter = 90*time.Second + time.Millisecond
	got = h.send(raw{method: http.MethodGet, path: "/v1/tenant", key: key, base: h.serve(failing(h.deps, waits))})
	if got.header.Get("Retry-After") != "91" {
		t.Errorf("Retry-After is %q, want 91", got.header.Get("Retry-After"))
	}
}

// logged checks the one log line of a request.
func (h *house) logged(t *testing.T, id string, texts ...string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(h.log.String()) {
		if strings.Contains(line, id) {
			lines = append(lines, line)
		}
	}
	if len(lines) != 1 {
		t.Errorf("request %s has %d log lines: %q", id, len(lines), lines)
		return
	}
	for _, text := range texts {
		if !strings.Contains(lines[0], text) {
			t.Errorf("the log line does not hold %q: %s", text, lines[0])
		}
	}
}

// TestBodiesAreReadOnlyUpToTheLimit sends more than allowed, with and without saying how much.
func TestBodiesAreReadOnlyUpToTheLimit(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	declared := h.send(raw{
		method: http.MethodPost, path: "/v1/api-keys", key: h.mine.keys[tenant.Admin], body: strings.Repeat("x", 64<<10+1),
		header: map[string]string{"Content-Type": "application/json"},
	})
	checkProblem(t, "declared", declared, http.StatusRequestEntityTooLarge, fault.CodeBodyTooLarge)

	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	must(t, err)
	defer func() { _ = conn.Close() }()
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<15, strings.Repeat("x", 1<<15))
	_, err = fmt.Fprintf(conn, "POST /v1/api-keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%s", h.mine.keys[tenant.Admin], strings.Repeat(chunk, 3))
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil) // before the body has ended
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("chunked: %d", resp.StatusCode)
	}
}

func TestProblemCatalogue(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := api.New(h.url, "", api.WithHTTPClient(h.checked()))
	all, err := c.ListProblemTypes(context.Background())
	must(t, err)
	if want := len(fault.Definitions()) + len(syncer.Explanations()); len(all) != want {
		t.Errorf("%d codes, want %d", len(all), want)
	}
	for _, e := range syncer.Explanations() { // what a run's diagnostics name can be looked up too
		got, err := c.GetProblemType(context.Background(), e.Code)
		must(t, err)
		want := api.ProblemType{
			Code: e.Code, Type: "/problems/" + e.Code, Title: e.Title, Detail: e.Detail, Remedy: e.Remedy, Acts: api.Actor(e.Acts), Retryable: e.Acts == fault.Nobody,
		}
		if *got != want || !slices.Contains(all, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	one, err := c.GetProblemType(context.Background(), fault.CodeSecretExpired)
	must(t, err)
	if one.Status != http.StatusUnprocessableEntity || one.Retryable || one.Title != "Failed to get access token" {
		t.Errorf("%+v", one)
	}
}

// TestSlowCallersThatHangUpAreNotAnswered makes a caller leave while its request waits.
func TestSlowCallersThatHangUpAreNotAnswered(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	waiting, done := make(chan struct{}), make(chan struct{})
	slow := h.deps
	slow.Keys = hangingKeys{h.deps.Keys, waiting}
	slow.Meter = meterThatTells{h.meter, done}
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.serve(slow)+"/v1/tenant", nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+h.mine.keys[tenant.Admin])
	req.Header.Set("X-Request-Id", "hung-up")
	go func() {
		<-waiting
		cancel()
	}()
	if resp, err := plain.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Fatalf("answered %d", resp.StatusCode)
	}
	<-done
	if got := h.meter.count("GET /v1/tenant 499"); got != 1 {
		t.Errorf("counted %d times", got)
	}
}

type hangingKeys struct {
	httpapi.KeyStore
	waiting chan struct{}
}

func (k hangingKeys) PrincipalByKey(ctx context.Context, _ seal.Secret) (tenant.Principal, error) {
	close(k.waiting)
	<-ctx.Done()
	return tenant.Principal{}, fmt.Errorf("%w: pq: canceling statement", ctx.Err())
}

// meterThatTells tells when a request has been counted.
type meterThatTells struct {
	*countingMeter
	done chan struct{}
}

func (m meterThatTells) RequestFinished(route, method string, status int, took time.Duration) {
	m.countingMeter.RequestFinished(route, method, status, took)
	close(m.done)
}

func (m *countingMeter) count(what string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts[what]
}
