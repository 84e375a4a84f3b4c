package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
)

func TestProblemsAreErrors(t *testing.T) {
	t.Parallel()
	_, server := startExampleServer(t)
	client := checked(t, server.URL)
	for status, code := range map[int]string{
		401: api.CodeUnauthenticated, 403: api.CodeForbidden, 404: api.CodeNotFound, 412: api.CodePreconditionFailed,
		413: api.CodePayloadTooLarge, 415: api.CodeUnsupportedMediaType, 422: api.CodeNoImportSelected, 500: api.CodeInternal, 503: api.CodeUpstreamUnavailable,
	} {
		got, err := client.UpdateIntegration(t.Context(), integrationID, api.IntegrationPatch{}, wanting(status))
		p, ok := errors.AsType[*api.Problem](err)
		if got != nil || !ok || p.Status != status || p.RequestID != requestID || !api.HasCode(fmt.Errorf("sync: %w", err), code) {
			t.Errorf("%d: got %v, %v", status, got, err)
			continue
		}
		if want := time.Duration(0); status == 503 && p.RetryAfter != 5*time.Second || status != 503 && p.RetryAfter != want {
			t.Errorf("%d: retry after %v", status, p.RetryAfter)
		}
		if text := err.Error(); !strings.Contains(text, code) || !strings.Contains(text, requestID) {
			t.Errorf("%d: %s", status, text)
		}
	}
	if api.HasCode(errors.New("x"), "") || api.HasCode(nil, "") {
		t.Error("HasCode finds a code where there is no problem")
	}
}

func TestNotModified(t *testing.T) {
	t.Parallel()
	_, server := startExampleServer(t)
	got, err := checked(t, server.URL).GetIntegration(t.Context(), integrationID, api.IfNoneMatch(`"7.9f86d081884c7d65"`), wanting(304))
	if got != nil || !errors.Is(err, api.ErrNotModified) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestDisconnectWithoutPurgeHasNoRun(t *testing.T) {
	t.Parallel()
	_, server := startExampleServer(t)
	run, err := checked(t, server.URL).DisconnectIntegration(t.Context(), integrationID, api.DataRetain, wanting(204))
	if run != nil || err != nil {
		t.Errorf("got %v, %v", run, err)
	}
}

func TestConnectReturnsTheIntegration(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `{"id":%q,"etag":"\"1.a\"","name":%q}`, integrationID, r.URL.RawQuery)
	})
	got, err := clientOf(server).ConnectIntegration(t.Context(), connect)
	if err != nil || got.ID != integrationID || got.Name != "" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// What comes from something else than the server, such as a proxy in between, must neither be taken for an answer nor be read without end.
func TestUnexpectedAnswers(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"page of a proxy": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusBadGateway)
		},
		"page instead of data": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>")
		},
		"problem without end": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"code":"internal","detail":"`)
			for chunk := strings.Repeat("x", 1<<20); ; {
				if _, err := io.WriteString(w, chunk); err != nil {
					return
				}
			}
		},
		"redirect": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusSeeOther) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := clientOf(serve(t, answer)).GetTenant(t.Context())
			if e, ok := errors.AsType[*api.UnexpectedError](err); name != "redirect" && (!ok || e.Status == 0) || err == nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

func serve(t *testing.T, f http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return server
}

// clientOf has connections of its own: those of http.DefaultTransport are broken off when any test closes its server.
func clientOf(server *httptest.Server) *api.Client {
	return api.New(server.URL, "k", api.WithHTTPClient(server.Client()))
}

func TestFaultyCallsAreNotSent(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "api.example.com", "ftp://api.example.com", "https://", "https://a.example/?x=1", "http://a b/"} {
		if _, err := api.New(base, "k").GetTenant(t.Context()); err == nil || !strings.Contains(err.Error(), "base URL") {
			t.Errorf("base URL %q: %v", base, err)
		}
	}
	server := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	client := clientOf(server)
	if _, err := client.GetAsset(t.Context(), ""); err == nil {
		t.Error("an empty id was accepted")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.GetTenant(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// An id is data: it must not be able to name another resource.
func TestIDsAreEscaped(t *testing.T) {
	t.Parallel()
	var got string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.RequestURI
		w.WriteHeader(http.StatusNotFound)
	})
	client := api.New(server.URL+"/base/", "k", api.WithHTTPClient(server.Client()), api.WithUserAgent("siem/1"))
	_, err := client.GetAsset(t.Context(), "a/../../api-keys?x=#")
	if err == nil || got != "/base/v1/assets/a%2F..%2F..%2Fapi-keys%3Fx=%23" {
		t.Errorf("asked for %s: %v", got, err)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	const canary = "xQ8~canary"
	client := api.New("https://api.example.com", canary)
	request := api.ConnectRequest{Credentials: secretOf(canary)}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "secret", request.Credentials.ClientSecret, "client", client, "request", request)
	for _, printed := range []string{
		fmt.Sprintf("%v %+v %#v %s %q %x %d", client, client, client, client, client, client, client),
		fmt.Sprintf("%v %+v %#v", request, request, request),
		fmt.Sprintf("%v %s %q %x", request.Credentials.ClientSecret, request.Credentials.ClientSecret, request.Credentials.ClientSecret, request.Credentials.ClientSecret),
		log.String(),
	} {
		if strings.Contains(printed, canary) || strings.Contains(printed, fmt.Sprintf("%x", canary)) {
			t.Errorf("printed: %s", printed)
		}
	}
	data, err := json.Marshal(request)
	if err != nil || !strings.Contains(string(data), canary) || request.Credentials.ClientSecret.Reveal() != canary {
		t.Errorf("the wire needs the value: %s, %v", data, err)
	}
}
