package defender

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

func TestRetryAfterIsHonouredAndCapped(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"7": 7 * time.Second, " 7 ": 7 * time.Second, "0": 0, "-3": 0, "": 0, "soon": 0, "1.5": 2 * time.Second, "0.001": time.Second, "0.0": 0, "1.2.3": 0, ".": 0, "NaN": 0, "99999999999999": 24 * time.Hour, strings.Repeat("9", 400): 24 * time.Hour,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second, now.Add(-time.Hour).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	for _, form := range []string{"seconds", "date"} {
		u := newUpstream(t)
		value, least, most := "20", 20*time.Second, 22*time.Second
		if form == "date" {
			value = u.clock.now().Add(20 * time.Second).UTC().Format(http.TimeFormat)
			least = 19 * time.Second
		}
		u.onAPI = inTurn(plain(429, "", "Retry-After", value), page(listOf("id", 0, 1, "")))
		s := u.open()
		if _, err := machineIDs(s); err != nil {
			t.Errorf("%s: %v", form, err)
		}
		if slept := u.clock.sleeps(); len(slept) != 1 || slept[0] < least || slept[0] > most || s.Usage().Throttled != slept[0] {
			t.Errorf("%s: slept %v, throttled %v", form, slept, s.Usage().Throttled)
		}
	}
}

// TestALongRetryAfterIsLeftToALaterRun: nobody is kept waiting in a worker for longer than five minutes by an answer, whatever it is.
func TestALongRetryAfterIsLeftToALaterRun(t *testing.T) {
	t.Parallel()
	for status, code := range map[int]string{429: fault.CodeUpstreamThrottled, 503: fault.CodeUpstreamUnavailable} {
		u := newUpstream(t)
		u.onAPI = inTurn(plain(status, "", "Retry-After", "301"), page(listOf("id", 0, 1, "")))
		_, err := machineIDs(u.open())
		if !fault.Is(err, code) || fault.As(err).RetryAfter != 301*time.Second {
			t.Errorf("%d: %v", status, err)
		}
		if _, calls := u.counts(); calls != 1 || len(u.clock.sleeps()) != 0 {
			t.Errorf("%d: %d calls, slept %v", status, calls, u.clock.sleeps())
		}
	}
}

func TestBackOffIsExponentialCappedAndJittered(t *testing.T) {
	t.Parallel()
	p := RetryPolicy{}.withDefaults()
	f := &failure{fault: fault.New(fault.CodeUpstreamUnavailable, "")}
	upper := func(limit time.Duration) time.Duration { return limit - 1 }
	lower := func(time.Duration) time.Duration { return 0 }
	for attempt, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 10: 30 * time.Second} {
		if got := p.wait(attempt, f, upper); got != want {
			t.Errorf("attempt %d: at most %v, want %v", attempt, got, want)
		}
		if got := p.wait(attempt, f, lower); got != 0 {
			t.Errorf("attempt %d: at least %v: the jitter is not full", attempt, got)
		}
	}
}

func TestFailuresAreTriedFourTimesAndRefusalsOnce(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{500: 4, 503: 4, 429: 4, 400: 1, 403: 1, 418: 1} {
		u := newUpstream(t)
		u.onAPI = plain(status, "")
		if _, err := machineIDs(u.open()); err == nil {
			t.Errorf("%d: no error", status)
		}
		if _, calls := u.counts(); calls != want {
			t.Errorf("%d: %d calls, want %d", status, calls, want)
		}
	}
}

func TestOneTokenForAHundred(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	s := u.open()
	var group sync.WaitGroup
	errs := make(chan error, 100)
	for range 100 {
		group.Go(func() { _, err := machineIDs(s); errs <- err })
	}
	group.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if tokens, calls := u.counts(); tokens != 1 || calls != 100 {
		t.Fatalf("%d tokens, %d calls", tokens, calls)
	}
}

func TestAWrongSecretIsTriedOnceForAHundred(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	release := make(chan struct{})
	refuse := refuseToken(401, 7000215, "invalid_client")
	u.onToken = func(w http.ResponseWriter, r *http.Request) { <-release; refuse(w, r) }
	s := u.open()
	var started, group sync.WaitGroup
	for range 100 {
		started.Add(1)
		group.Go(func() {
			started.Done()
			if _, err := machineIDs(s); !fault.Is(err, fault.CodeCredentialsInvalid) {
				t.Errorf("%v", err)
			}
		})
	}
	started.Wait()
	close(release)
	group.Wait()
	if tokens, calls := u.counts(); tokens != 1 || calls != 0 {
		t.Fatalf("%d tokens, %d calls", tokens, calls)
	}
}

func TestTokensAreRenewedFiveMinutesBeforeTheyExpire(t *testing.T) {
	t.Parallel()
	for expires, life := range map[string]time.Duration{"3599": 3599 * time.Second, `"3599"`: 3599 * time.Second, "400": 500 * time.Second} {
		u := newUpstream(t)
		u.onToken = func(w http.ResponseWriter, _ *http.Request) { writeToken(w, expires, machineRead) }
		s := u.open()
		read := func(after time.Duration, want int) {
			t.Helper()
			_ = u.clock.sleep(context.Background(), after)
			if _, err := machineIDs(s); err != nil {
				t.Fatal(err)
			}
			if tokens, _ := u.counts(); tokens != want {
				t.Fatalf("expires_in %s: %d tokens, want %d", expires, tokens, want)
			}
		}
		read(0, 1)
		read(life-renewBefore-time.Second, 1)
		read(2*time.Second, 2)
	}
}

func TestA401RenewsTheTokenOnce(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.onAPI = inTurn(plain(401, ""), page(listOf("id", 0, 1, "")))
	s := u.open()
	if ids, err := machineIDs(s); err != nil || len(ids) != 1 {
		t.Fatalf("%v, %v", ids, err)
	}
	if tokens, calls := u.counts(); tokens != 2 || calls != 2 {
		t.Fatalf("%d tokens, %d calls", tokens, calls)
	}
	u.answer(plain(401, ""))
	if _, err := machineIDs(s); !fault.Is(err, fault.CodeCredentialsInvalid) {
		t.Fatal(err)
	}
	if tokens, calls := u.counts(); tokens != 3 || calls != 4 {
		t.Fatalf("%d tokens, %d calls after the second", tokens, calls)
	}
}

// counter is an Observer that remembers.
type counter struct {
	mu   sync.Mutex
	seen []string
}

func (c *counter) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, fmt.Sprintf(format, args...))
}
func (c *counter) Call(e Endpoint, o Outcome, _ time.Duration) { c.note("call %s %s", e, o) }
func (c *counter) Throttled(e Endpoint, d time.Duration)       { c.note("throttled %s %v", e, d) }
func (c *counter) TokenFailure(code string)                    { c.note("token %s", code) }
func (c *counter) Malformed(e Endpoint, n int)                 { c.note("malformed %s %d", e, n) }
func (c *counter) BreakerOpened()                              { c.note("breaker opened") }

func TestObserverSeesEveryCall(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	seen := &counter{}
	u.onAPI = inTurn(plain(503, ""), plain(429, "", "Retry-After", "10"), page(`{"value":[1,{"id":"x"}]}`))
	s := u.open(func(c *Config) { c.Observer = seen; c.Rand = func(time.Duration) time.Duration { return 0 } })
	if _, err := machineIDs(s); err != nil {
		t.Fatal(err)
	}
	want := []string{"call token ok", "call machines server_error", "call machines throttled", "throttled machines 10s", "call machines ok", "malformed machines 1"}
	if !slices.Equal(seen.seen, want) {
		t.Fatalf("got  %q\nwant %q", seen.seen, want)
	}
}

func TestSecretsAndBodiesReachNoLogAndNoError(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var told strings.Builder
	for _, api := range []http.HandlerFunc{
		refuseAPI(500, "InternalServerError", testSecret), refuseAPI(401, "Unauthorized", canaryText), refuseAPI(400, canaryText, canaryText), plain(503, canaryText),
		page(canaryText), page(`{"value":[{"id":"` + canaryText), hangUp(`{"value":[{"id":"` + canaryText), plain(302, canaryText, "Location", "http://"+canaryText),
	} {
		for _, token := range []http.HandlerFunc{nil, refuseToken(401, 7000215, "invalid_client"), refuseToken(400, 1, canaryText), plain(400, canaryText), plain(200, canaryText), hangUp(canaryText)} {
			u := newUpstream(t)
			u.onAPI = api
			if token != nil {
				u.onToken = token
			}
			s := u.open(func(c *Config) {
				c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			_, err := machineIDs(s)
			_, err2 := rowIDs(s)
			err3 := s.Catalogue(context.Background(), time.Now(), func([]inventory.Vulnerability) error { return nil })
			for e := errors.Join(err, err2, err3); e != nil; e = errors.Unwrap(e) {
				_, _ = fmt.Fprintf(&told, "%v %+v %#v\n", e, e, fault.As(e))
			}
			_, _ = fmt.Fprintf(&told, "%+v %+v\n", s.Check(context.Background(), both), s.Usage())
		}
	}
	if log.Len() == 0 {
		t.Fatal("nothing was logged, so nothing was tested")
	}
	for _, canary := range []string{testSecret, canaryToken, canaryText} {
		if strings.Contains(log.String(), canary) {
			t.Errorf("%q is in the log", canary)
		}
		if strings.Contains(told.String(), canary) {
			t.Errorf("%q is in an error", canary)
		}
	}
}

func TestPrivateAddressesAndForeignCertificatesAreRefused(t *testing.T) {
	t.Parallel()
	reached := false
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer srv.Close()
	for name, insecure := range map[string]bool{"loopback": false, "certificate": true} {
		c := mustNew(t, Config{LoginURL: srv.URL, APIURL: srv.URL, AllowInsecure: insecure, Retry: RetryPolicy{Tries: 1}})
		if got := firstFailure(c.Open(testCredentials()).Check(context.Background(), both)); got.Code != fault.CodeUpstreamUnavailable {
			t.Errorf("%s: %q %s", name, got.Code, got.Detail)
		}
	}
	if reached {
		t.Error("a request went out")
	}
	for _, address := range []string{"127.0.0.1:443", "10.0.0.1:443", "169.254.169.254:80", "100.100.100.200:80", "[::1]:443", "[fe80::1]:443", "[fd00::1]:443", "[::ffff:10.0.0.1]:443", "0.0.0.0:443", "224.0.0.1:443", "nonsense"} {
		if refusePrivate("tcp", address, nil) == nil {
			t.Errorf("%s may be dialled", address)
		}
	}
	if err := refusePrivate("tcp", "20.190.128.1:443", nil); err != nil {
		t.Errorf("a public address: %v", err)
	}
}
