package httpapi_test

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/tenant"
)

// TestCursorsServeOnlyTheirOwnQuery tampers with a cursor in every way that matters.
func TestCursorsServeOnlyTheirOwnQuery(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.furnish(h.mine)
	h.furnish(h.other)
	ctx := context.Background()
	first, err := h.admin().ListAssets(ctx, api.ListAssetsOptions{Sort: "-hostname", Tag: []string{"PCI"}, PageOptions: api.PageOptions{Limit: 1}})
	must(t, err)
	cursor := first.NextCursor
	if cursor == "" {
		t.Fatal("no second page")
	}
	ask := func(base, path string, n neighbour, change func(url.Values)) answered {
		q := url.Values{"sort": {"-hostname"}, "tag": {"PCI"}, "limit": {"1"}, "cursor": {cursor}}
		change(q)
		return h.send(raw{method: http.MethodGet, path: path + "?" + q.Encode(), key: n.keys[tenant.ReadOnly], base: base, client: h.checked()})
	}
	same := func(url.Values) {}
	if got := ask("", "/v1/assets", h.mine, same); got.status != http.StatusOK {
		t.Fatalf("used as meant: %d %s", got.status, got.body)
	}
	if got := ask("", "/v1/assets", h.mine, func(q url.Values) { q.Set("limit", "7") }); got.status != http.StatusOK {
		t.Errorf("another limit is allowed: %d %s", got.status, got.body)
	}
	refused := func(what string, got answered) {
		t.Helper()
		if got.status != http.StatusBadRequest || got.problem(t).Code != api.CodeInvalidCursor {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	for i := range cursor {
		flipped := []byte(cursor)
		flipped[i] = map[bool]byte{true: 'B', false: 'A'}[flipped[i] == 'A']
		got := ask("", "/v1/assets", h.mine, func(q url.Values) { q.Set("cursor", string(flipped)) })
		refused("a changed character", got)
	}
	set := func(name, value string) func(url.Values) { return func(q url.Values) { q.Set(name, value) } }
	refused("cut", ask("", "/v1/assets", h.mine, set("cursor", cursor[:20])))
	refused("noise", ask("", "/v1/assets", h.mine, set("cursor", "!!")))
	refused("longer", ask("", "/v1/assets", h.mine, set("cursor", cursor+"AAAA")))
	refused("another filter", ask("", "/v1/assets", h.mine, set("tag", "web")))
	refused("no filter", ask("", "/v1/assets", h.mine, func(q url.Values) { q.Del("tag") }))
	refused("another sort", ask("", "/v1/assets", h.mine, set("sort", "hostname")))
	refused("another tenant", ask("", "/v1/assets", h.other, same))
	refused("another list", ask("", "/v1/vulnerabilities/CVE-2026-21412/assets", h.mine, func(q url.Values) { q.Del("tag") }))
	other := h.deps
	other.CursorKey = bytes.Repeat([]byte("x"), 32)
	refused("another key", ask(h.serve(other), "/v1/assets", h.mine, same))
	h.clock.move(24*time.Hour - time.Minute)
	if got := ask("", "/v1/assets", h.mine, same); got.status != http.StatusOK {
		t.Errorf("used after almost a day: %d %s", got.status, got.body)
	}
	h.clock.move(time.Hour + time.Minute)
	refused("expired", ask("", "/v1/assets", h.mine, same))
}

// TestPagesJoinToTheWholeList reads every list one item at a time, in every order it offers.
func TestPagesJoinToTheWholeList(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	x := h.furnish(h.mine)
	h.connect(h.mine)
	ctx, c := context.Background(), h.admin()
	one := api.PageOptions{Limit: 1}
	count := func(what string, want int, walk func(yield func(string, error))) {
		t.Helper()
		ids := map[string]bool{}
		n := 0
		walk(func(id string, err error) {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			ids[id] = true
			n++
		})
		if n != want || len(ids) != want {
			t.Errorf("%s: %d items, %d different, want %d", what, n, len(ids), want)
		}
	}
	for _, sort := range []string{"", "hostname", "-hostname", "last_seen_at", "-last_seen_at", "created_at", "-created_at"} {
		count("assets by "+sort, 2, func(yield func(string, error)) {
			for a, err := range c.AllAssets(ctx, api.ListAssetsOptions{Sort: sort, PageOptions: one}) {
				yield(a.ID, err)
			}
		})
	}
	for _, sort := range []string{"", "severity", "-severity", "epss", "-epss", "published_at", "-published_at", "exposed_assets", "-exposed_assets", "id", "-id"} {
		count("vulnerabilities by "+sort, 2, func(yield func(string, error)) {
			for v, err := range c.AllVulnerabilities(ctx, api.ListVulnerabilitiesOptions{Sort: sort, PageOptions: one}) {
				yield(v.ID, err)
			}
		})
	}
	for _, sort := range []string{"", "severity", "-severity", "first_seen_at", "-first_seen_at"} {
		count("findings by "+sort, 4, func(yield func(string, error)) {
			for f, err := range c.AllFindings(ctx, api.ListFindingsOptions{Sort: sort, PageOptions: one}) {
				yield(f.ID, err)
			}
		})
	}
	count("findings of an asset", 2, func(yield func(string, error)) {
		for f, err := range c.AllAssetFindings(ctx, x.asset, api.ListFindingsOptions{PageOptions: one}) {
			yield(f.ID, err)
		}
	})
	count("runs", 2, func(yield func(string, error)) {
		for r, err := range c.AllRuns(ctx, api.ListRunsOptions{PageOptions: one}) {
			yield(r.ID, err)
		}
	})
	count("integrations", 2, func(yield func(string, error)) {
		for i, err := range c.AllIntegrations(ctx, api.ListIntegrationsOptions{PageOptions: one}) {
			yield(i.ID, err)
		}
	})
	count("keys", 3, func(yield func(string, error)) {
		for k, err := range c.AllAPIKeys(ctx, one) {
			yield(k.ID, err)
		}
	})
}

// TestSortsPutTheWorstFirst checks the direction of the words, which is not that of the stored numbers.
func TestSortsPutTheWorstFirst(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.furnish(h.mine)
	ctx, c := context.Background(), h.admin()
	for sort, want := range map[string]api.Severity{"": api.SeverityCritical, "severity": api.SeverityCritical, "-severity": api.SeverityUnknown} {
		f, err := c.ListFindings(ctx, api.ListFindingsOptions{Sort: sort})
		must(t, err)
		v, err := c.ListVulnerabilities(ctx, api.ListVulnerabilitiesOptions{Sort: sort})
		must(t, err)
		if f.Items[0].Severity != want || v.Items[0].Severity != want {
			t.Errorf("sort=%s begins with %s and %s, want %s", sort, f.Items[0].Severity, v.Items[0].Severity, want)
		}
	}
	for sort, want := range map[string]string{"id": "CVE-2026-21412", "-id": "TVM-2026-0001", "epss": "TVM-2026-0001", "-epss": "CVE-2026-21412"} {
		v, err := c.ListVulnerabilities(ctx, api.ListVulnerabilitiesOptions{Sort: sort})
		must(t, err)
		if v.Items[0].ID != want {
			t.Errorf("sort=%s begins with %s, want %s", sort, v.Items[0].ID, want)
		}
	}
}
