package api_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"pgp.internal/defender/api"
)

// Connect a directory; if a check fails, say what to do about it.
func ExampleClient_ConnectIntegration() {
	server := refusing()
	defer server.Close()

	client := api.New(server.URL, "the API key")
	_, err := client.ConnectIntegration(context.Background(), api.ConnectRequest{
		Type: api.TypeMicrosoftDefender,
		Credentials: api.CredentialsInput{
			ClientID:     "5f0c7d1e-1b1a-4c55-9d3a-0f6c2f6f4b11",
			ClientSecret: "EXAMPLE-client-secret-value",
			TenantID:     "0c8a6a52-8f0e-4b8c-9a55-3f6d2d4a9e10",
		},
		Settings: &api.SettingsInput{MinSeverity: new(api.SeverityHigh)},
	})
	problem, ok := errors.AsType[*api.Problem](err)
	if !ok {
		log.Fatal(err)
	}
	fmt.Println(problem.Title)
	for _, check := range problem.Checks {
		if !check.OK {
			fmt.Println(check.Name, "->", check.Remedy)
		}
	}
	// Output:
	// Failed to get access token
	// token -> Create a new client secret in the app registration.
}

// Walk all open critical findings, page by page.
func ExampleClient_AllFindings() {
	server := twoPages()
	defer server.Close()

	client := api.New(server.URL, "the API key")
	findings := client.AllFindings(context.Background(), api.ListFindingsOptions{
		State:    []api.FindingState{api.FindingOpen},
		Severity: []api.Severity{api.SeverityCritical},
	})
	for finding, err := range findings {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(finding.VulnerabilityID, "on", finding.Hostname)
	}
	// Output:
	// CVE-2026-21412 on web01.contoso.com
	// CVE-2026-21412 on web02.contoso.com
}

// refusing is a server that finds the secret expired.
func refusing() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = fmt.Fprint(w, `{"title":"Failed to get access token","code":"secret_expired","checks":[{"name":"shape","ok":true},
			{"name":"token","ok":false,"remedy":"Create a new client secret in the app registration."}]}`)
	}))
}

// twoPages is a server with two findings on a page each.
func twoPages() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Query().Get("cursor") == "" {
			_, _ = fmt.Fprint(w, `{"items":[{"vulnerability_id":"CVE-2026-21412","hostname":"web01.contoso.com"}],"next_cursor":"more"}`)
			return
		}
		_, _ = fmt.Fprint(w, `{"items":[{"vulnerability_id":"CVE-2026-21412","hostname":"web02.contoso.com"}]}`)
	}))
}
