package httpapi_test

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
)

// nowhere is a port of this machine at which nobody listens.
func nowhere(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	return "http://" + l.Addr().String()
}

// untrusted answers with a certificate of nobody's.
func untrusted(t *testing.T) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // who does not trust it says so
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// hungUp cuts the connection before it answers.
func hungUp(w http.ResponseWriter, _ *http.Request, token bool) bool {
	if token {
		return false
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
	return true
}

// endless sends a list that does not end until the client has gone.
func endless(w http.ResponseWriter, r *http.Request, token bool) bool {
	if token {
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	record := `{"id":"` + strings.Repeat("0123456789abcdef", 2048) + `","note":"foreignwordone"},`
	for _, err := io.WriteString(w, `{"value":[`); err == nil && r.Context().Err() == nil; {
		_, err = io.WriteString(w, record)
	}
	return true
}

// endlessHeader sends a header larger than any client should take in.
func endlessHeader(w http.ResponseWriter, _ *http.Request, token bool) bool {
	if token {
		w.Header().Set("X-Note", strings.Repeat("foreignwordone ", 100_000))
	}
	return false
}

func networkTroubles(t *testing.T) []trouble {
	type fault = defendersim.Fault
	drip := fault{DripBytes: 1, DripPause: defendersim.Duration(200 * time.Millisecond)}
	again, network := "try again in some minutes", "outbound network"
	return []trouble{
		{"refused connection", proxied(nowhere(t)), api.CodeUpstreamUnavailable, nobody, again, false, 0},
		{"no such host", proxied("http://defender.invalid:80"), api.CodeUpstreamUnavailable, nobody, again, false, 0},
		{"TLS not trusted", proxied(untrusted(t)), api.CodeUpstreamUnavailable, operator, network, false, 0},
		{"reset before the header", scripted(hungUp), api.CodeUpstreamUnavailable, nobody, again, false, 0},
		{"reset in the body", atAPI(fault{ResetAfter: 20}), api.CodeUpstreamUnavailable, nobody, again, false, 0},
		{"reset in the body of a token", atToken(fault{ResetAfter: 20}), api.CodeUpstreamUnavailable, nobody, again, false, 0},
		{"a body that ends early", atAPI(fault{TruncateAfter: 20}), api.CodeUpstreamUnavailable, nobody, again, false, 0},
		{"silence at the token", atToken(fault{Hang: true}), api.CodeUpstreamTimeout, nobody, again, false, 0},
		{"silence at the API", atAPI(fault{Hang: true}), api.CodeUpstreamTimeout, nobody, again, false, 0},
		{"slow drip of a token", atToken(drip), api.CodeUpstreamTimeout, nobody, again, false, 0},
		{"slow drip of data", atAPI(drip), api.CodeUpstreamTimeout, nobody, again, false, 0},
		{"endless body", scripted(endless), api.CodeUpstreamUnexpected, operator, "Try again", false, 0},
		{"endless header", scripted(endlessHeader), api.CodeUpstreamUnavailable, nobody, again, false, 0},
		{"redirect of a token request", atToken(fault{Status: 302, Location: "https://foreignwordone.example/"}), api.CodeUpstreamUnexpected, operator, "outbound proxy", false, 0},
		{"redirect of data", atAPI(fault{Status: 307, Body: "empty", Location: "https://foreignwordone.example/"}), api.CodeUpstreamUnexpected, operator, "outbound proxy", false, 0},
	}
}

// TestEveryFaultOfTheNetworkHasOneMeaning is TestEveryAnswerOfMicrosoftHasOneMeaning for what happens on the way. Limits are
// shorter than in production, so that the test does not have to wait for them.
func TestEveryFaultOfTheNetworkHasOneMeaning(t *testing.T) {
	t.Parallel()
	a := newAnswers(t, func(c *defender.Config) {
		c.Timeouts = defender.Timeouts{Connect: 2 * time.Second, TLS: 2 * time.Second, Header: 2 * time.Second, Token: 2 * time.Second,
			Call: 2 * time.Second, Idle: 2 * time.Second, Check: 3 * time.Second}
		c.Retry = defender.RetryPolicy{Tries: 1}
		c.Pages = defender.Pages{MaxListBytes: 1 << 20}
	})
	a.prove(t, 5*time.Second, networkTroubles(t))
}

// TestSilenceIsAnsweredInTenSeconds connects under the limits of production.
func TestSilenceIsAnsweredInTenSeconds(t *testing.T) {
	t.Parallel()
	a := newAnswers(t)
	a.open(t, simDirectory)
	atAPI(defendersim.Fault{Hang: true})(t, a, simDirectory)
	began := time.Now()
	err := second(a.client(t).ConnectIntegration(t.Context(), entered(simDirectory, simClient, simSecret)))
	if !api.HasCode(err, api.CodeUpstreamTimeout) {
		t.Errorf("%v", err)
	}
	mustBeWithin(t, began, connector.CheckBudget+2*time.Second)
	if connector.CheckBudget > 10*time.Second {
		t.Errorf("a check may take %v", connector.CheckBudget)
	}
}

// TestADirectoryWithoutMachinesIsNoTrouble answers 404 in place of an empty list, as was observed.
func TestADirectoryWithoutMachinesIsNoTrouble(t *testing.T) {
	t.Parallel()
	a := newAnswers(t)
	a.open(t, simDirectory)
	faulty(defendersim.Fault{Route: "machines", Status: 404, Code: "ResourceNotFound"})(t, a, simDirectory)
	c := a.client(t)
	i, err := c.ConnectIntegration(t.Context(), entered(simDirectory, simClient, simSecret))
	must(t, err)
	a.work(t, 1)
	run, err := c.GetRun(t.Context(), i.LastRun.ID)
	must(t, err)
	if run.State != api.RunSucceeded || run.Error != nil {
		t.Errorf("%s: %+v", run.State, run.Error)
	}
}

// TestPermissionsAreToldFromBothSides looks at what is needed and granted, of which unknown names are only counted.
func TestPermissionsAreToldFromBothSides(t *testing.T) {
	t.Parallel()
	a := newAnswers(t)
	a.open(t, simDirectory)
	granted(defendersim.RoleMachineRead, "Foreignwordone.Read.All", "Foreignwordtwo.Read.All")(t, a, simDirectory)
	err := second(a.client(t).ConnectIntegration(t.Context(), entered(simDirectory, simClient, simSecret)))
	p, ok := err.(*api.Problem)
	if !ok || len(p.Checks) < 2 || p.Checks[1].Name != "permissions" {
		t.Fatalf("%v", err)
	}
	got := p.Checks[1].Access
	if got == nil || strings.Join(got.Needed, " ") != "Machine.Read.All Vulnerability.Read.All" || strings.Join(got.Granted, " ") != "Machine.Read.All" || got.OtherGranted != 2 {
		t.Errorf("%+v", got)
	}
	if strings.Contains(strings.ToLower(a.told.String()+a.log.String()), "foreignword") {
		t.Error("a permission's foreign name came out")
	}
}
