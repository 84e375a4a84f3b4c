package api_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"pgp.internal/defender/api"
)

// pages serves three pages of two items each, whatever the list, and then notes the queries.
func pages(t *testing.T, queries *[]string) *api.Client {
	t.Helper()
	next := map[string]string{"": "c1", "c1": "c2"}
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		*queries = append(*queries, r.URL.RawQuery)
		cursor := r.URL.Query().Get("cursor")
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"items":[{"id":"%s-1"},{"id":"%s-2"}],"next_cursor":%q}`, cursor, cursor, next[cursor])
	})
	return clientOf(server)
}

func collect[T any](t *testing.T, items iter.Seq2[T, error], id func(T) string) []string {
	t.Helper()
	var ids []string
	for item, err := range items {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id(item))
	}
	return ids
}

func TestIteratorsFollowEveryPage(t *testing.T) {
	t.Parallel()
	want := []string{"-1", "-2", "c1-1", "c1-2", "c2-1", "c2-2"}
	size := api.PageOptions{Limit: 2}
	for name, walk := range map[string]func(context.Context, *api.Client) []string{
		"integrations": func(ctx context.Context, c *api.Client) []string {
			return collect(t, c.AllIntegrations(ctx, api.ListIntegrationsOptions{PageOptions: size}), func(v api.Integration) string { return v.ID })
		},
		"runs": func(ctx context.Context, c *api.Client) []string {
			return collect(t, c.AllRuns(ctx, api.ListRunsOptions{PageOptions: size}), func(v api.Run) string { return v.ID })
		},
		"integration runs": func(ctx context.Context, c *api.Client) []string {
			return collect(t, c.AllIntegrationRuns(ctx, "i", api.ListRunsOptions{PageOptions: size}), func(v api.Run) string { return v.ID })
		},
		"assets": func(ctx context.Context, c *api.Client) []string {
			return collect(t, c.AllAssets(ctx, api.ListAssetsOptions{PageOptions: size}), func(v api.Asset) string { return v.ID })
		},
		"asset findings": func(ctx context.Context, c *api.Client) []string {
			return collect(t, c.AllAssetFindings(ctx, "a", api.ListFindingsOptions{PageOptions: size}), func(v api.Finding) string { return v.ID })
		},
		"vulnerabilities": func(ctx context.Context, c *api.Client) []string {
			return collect(t, c.AllVulnerabilities(ctx, api.ListVulnerabilitiesOptions{PageOptions: size}), func(v api.Vulnerability) string { return v.ID })
		},
		"vulnerability assets": func(ctx context.Context, c *api.Client) []string {
			return collect(t, c.AllVulnerabilityAssets(ctx, "v", api.ListVulnerabilityAssetsOptions{PageOptions: size}), func(v api.Asset) string { return v.ID })
		},
		"findings": func(ctx context.Context, c *api.Client) []string {
			return collect(t, c.AllFindings(ctx, api.ListFindingsOptions{PageOptions: size}), func(v api.Finding) string { return v.ID })
		},
		"audit events": func(ctx context.Context, c *api.Client) []string {
			return collect(t, c.AllAuditEvents(ctx, api.ListAuditEventsOptions{PageOptions: size}), func(v api.AuditEvent) string { return v.ID })
		},
		"platform events": func(ctx context.Context, c *api.Client) []string {
			return collect(t, c.AllPlatformAuditEvents(ctx, api.ListAuditEventsOptions{PageOptions: size}), func(v api.AuditEvent) string { return v.ID })
		},
		"tenants": func(ctx context.Context, c *api.Client) []string {
			return collect(t, c.AllTenants(ctx, api.ListTenantsOptions{PageOptions: size}), func(v api.ManagedTenant) string { return v.ID })
		},
		"keys": func(ctx context.Context, c *api.Client) []string {
			return collect(t, c.AllAPIKeys(ctx, size), func(v api.APIKey) string { return v.ID })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var queries []string
			if got := walk(t.Context(), pages(t, &queries)); !slices.Equal(got, want) {
				t.Errorf("got %v", got)
			}
			if !slices.Equal(queries, []string{"limit=2", "cursor=c1&limit=2", "cursor=c2&limit=2"}) {
				t.Errorf("asked %v", queries)
			}
		})
	}
}

func TestIteratorsStop(t *testing.T) {
	t.Parallel()
	var queries []string
	for range pages(t, &queries).AllAssets(t.Context(), api.ListAssetsOptions{PageOptions: api.PageOptions{Cursor: "c1"}}) {
		break
	}
	if !slices.Equal(queries, []string{"cursor=c1"}) {
		t.Errorf("asked %v", queries)
	}
}

func TestIteratorsEndWithAnError(t *testing.T) {
	t.Parallel()
	stuck := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, `{"items":[{"id":"x"}],"next_cursor":"same"}`)
	})
	broken := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `{"code":"invalid_cursor"}`)
	})
	for name, c := range map[string]struct {
		server *httptest.Server
		items  int
		is     func(error) bool
	}{
		"repeated cursor": {stuck, 2, func(err error) bool { return err != nil }},
		"problem":         {broken, 0, func(err error) bool { return api.HasCode(err, api.CodeInvalidCursor) }},
	} {
		var last error
		items := 0
		for _, err := range clientOf(c.server).AllFindings(t.Context(), api.ListFindingsOptions{}) {
			if last != nil {
				t.Fatalf("%s: it goes on after an error", name)
			}
			if last = err; err == nil {
				items++
			}
		}
		if !c.is(last) || items != c.items || errors.Is(last, context.Canceled) {
			t.Errorf("%s: %d items, %v", name, items, last)
		}
	}
}
