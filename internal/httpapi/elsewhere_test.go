package httpapi_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// hostileIDs are what an address could be bent with, if it were made of them.
func hostileIDs(stranger string) []string {
	guid := "7c9e6679-7425-40de-944b-e07fc1f90ae7"
	return []string{
		"common", "organizations", "consumers", "adfs", "..", "../common", "..%2fcommon", "%2e%2e/", guid + "/..", guid + "/../common", guid + "%2f..", guid + "/", guid + "?a", guid + "#a", guid + ";a",
		"@" + stranger, guid + "@" + stranger, "//" + stranger, "http://" + stranger, "https://" + stranger + "/", `\\` + stranger, stranger, "evil.example", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "0x7f000001", "localhost", "127.0.0.1:1",
		"%00", guid + "%00", guid + "\\..", "контора", strings.Repeat("a", 36), guid[:35], guid + "0", strings.ReplaceAll(guid, "-", ""), "{" + guid, guid + "}", "urn:uuid:" + guid, "ⅶc9e6679-7425-40de-944b-e07fc1f90ae7",
	}
}

// TestHostileDirectoryIDsReachNobody enters hostile ids for the directory and the application, with and without validate_only, and
// listens for whom the service turns to: nobody, neither the configured hosts nor another one.
func TestHostileDirectoryIDsReachNobody(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	stranger := httptest.NewUnstartedServer(http.NotFoundHandler())
	stranger.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	stranger.Start()
	t.Cleanup(stranger.Close)
	var mu sync.Mutex
	var meant []string // hosts that a request was about to leave for
	link, err := defender.New(defender.Config{
		LoginURL: stranger.URL, APIURL: stranger.URL, AllowInsecure: true, Budget: defender.Unlimited{}, Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		Proxy: func(r *http.Request) (*url.URL, error) {
			mu.Lock()
			defer mu.Unlock()
			meant = append(meant, r.URL.Host)
			return nil, nil
		},
	})
	must(t, err)
	ring, err := seal.ParseRing(seal.NewKey().Reveal())
	must(t, err)
	h := newHouse(t, func(d *httpapi.Deps) {
		d.Integrations = connector.NewService(d.Runs.(connector.Store), sealerOf(d.Runs.(envelope.Store), ring), connector.Registry{defender.Kind: link}, d.Now)
	})
	ids := hostileIDs(strings.TrimPrefix(stranger.URL, "http://"))
	if len(ids) < 30 {
		t.Fatalf("only %d ids", len(ids))
	}
	enter := func(directory, application, query string) answered {
		body, err := json.Marshal(map[string]any{"type": "microsoft-defender", "credentials": map[string]string{
			"tenant_id": directory, "client_id": application, "client_secret": simSecret,
		}})
		must(t, err)
		return h.send(raw{method: http.MethodPost, path: "/v1/integrations" + query, key: h.mine.keys[tenant.Admin], body: string(body), client: h.checked(), header: map[string]string{"Content-Type": "application/json"}})
	}
	for _, id := range ids {
		for _, query := range []string{"", "?validate_only=true"} {
			for what, got := range map[string]answered{"directory": enter(id, simClient, query), "application": enter(simDirectory, id, query)} {
				if got.status != http.StatusBadRequest {
					t.Errorf("%s %q: %d %s", what, id, got.status, got.body)
				}
			}
		}
	}
	if n := connections.Load(); n != 0 || len(meant) != 0 {
		t.Errorf("%d connections, requests for %v", n, meant)
	}
	if got := enter(simDirectory, simClient, ""); got.status < 400 || connections.Load() == 0 || len(meant) == 0 {
		t.Errorf("a sound id reaches nobody either: %d, %d connections, %v", got.status, connections.Load(), meant)
	}
}
