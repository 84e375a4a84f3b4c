package defender

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

func machineIDs(s connector.Source) ([]string, error) {
	var ids []string
	err := s.Machines(context.Background(), time.Time{}, func(batch []inventory.Machine) error {
		for _, m := range batch {
			ids = append(ids, m.SourceID)
		}
		return nil
	})
	return ids, err
}

func rowIDs(s connector.Source) ([]string, error) {
	var ids []string
	err := s.Rows(context.Background(), connector.ViaPages, func(batch []inventory.Row) error {
		for _, r := range batch {
			ids = append(ids, r.MachineID)
		}
		return nil
	})
	return ids, err
}

func listOf(key string, from, to int, next string) string {
	var b strings.Builder
	b.WriteString(`{"value":[`)
	for i := from; i < to; i++ {
		if i > from {
			b.WriteByte(',')
		}
		_, _ = fmt.Fprintf(&b, `{%q:"m%d"}`, key, i)
	}
	b.WriteString(`]`)
	if next != "" {
		_, _ = fmt.Fprintf(&b, `,"@odata.nextLink":%q`, next)
	}
	return b.String() + "}"
}

func names(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("m%d", i))
	}
	return out
}

func TestPagesAreFollowedToTheEnd(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	link := func(n int) string { return fmt.Sprintf("%s%s?$skip=%d", u.URL, pathMachines, n) }
	u.onAPI = inTurn(page(listOf("id", 0, 1500, link(1))), page(listOf("id", 0, 0, link(2))), page(listOf("id", 1500, 1510, link(3))), page(listOf("id", 1505, 1512, "")))
	s := u.open()
	ids, err := machineIDs(s)
	if want := append(names(0, 1510), names(1505, 1512)...); err != nil || !slices.Equal(ids, want) {
		t.Fatalf("%d machines, %v", len(ids), err)
	}
	if want := []string{pathMachines, pathMachines + "?$skip=1", pathMachines + "?$skip=2", pathMachines + "?$skip=3"}; !slices.Equal(u.calls, want) {
		t.Errorf("calls %v", u.calls)
	}
	if got := s.Usage(); got.Calls != 5 || got.Pages != 4 || got.Retries != 0 || got.Bytes == 0 {
		t.Errorf("usage %+v", got)
	}
}

func TestEndlessListsEnd(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(i int) string{
		"the same link":     func(int) string { return "?$skip=1" },
		"a loop of three":   func(i int) string { return fmt.Sprintf("?$skip=%d", i%3+1) },
		"ever new links":    func(i int) string { return fmt.Sprintf("?$skip=%d", i) },
		"the first address": func(int) string { return "" },
	} {
		for _, records := range []int{0, 1} {
			u := newUpstream(t)
			i := 0
			u.onAPI = func(w http.ResponseWriter, r *http.Request) {
				i++
				link := u.URL + pathMachines + next(i)
				page(listOf("id", 0, records, link))(w, r)
			}
			_, err := machineIDs(u.open(func(c *Config) { c.Pages.Max = 50 }))
			if _, calls := u.counts(); !fault.Is(err, fault.CodeUpstreamUnexpected) || calls > 50 {
				t.Errorf("%s, %d records: %d calls, %v", name, records, calls, err)
			}
		}
	}
}

func TestHostileLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	strangers := 0
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strangers++ }))
	defer stranger.Close()
	u := newUpstream(t)
	host := strings.TrimPrefix(u.URL, "http://")
	links := []string{
		stranger.URL + pathMachines + "?$skip=1", "//" + strings.TrimPrefix(stranger.URL, "http://") + pathMachines + "?$skip=1",
		"https://evil.example" + pathMachines + "?$skip=1", "https://" + host + pathMachines + "?$skip=1", "http://evil@" + host + pathMachines + "?$skip=1",
		"http://" + host + "@evil.example" + pathMachines + "?$skip=1", "http://evil.example:80" + pathMachines + "?a", "http://" + host + ".evil.example" + pathMachines + "?a",
		"http://127.0.0.1:1" + pathMachines + "?a", "http://localhost" + pathMachines + "?a", "http://[::1]" + pathMachines + "?a", "http://169.254.169.254/latest/meta-data?a",
		"http://0x7f000001" + pathMachines + "?a", u.URL + "/api/machines/../secrets?a", u.URL + "/api/machines%2f..%2fsecrets?a", u.URL + "/api/machine%73x?a",
		u.URL + "/api/machines/?a", u.URL + "//api/machines?a", u.URL + "/api/users?a", u.URL + "/api/machines;x?a", u.URL + "/?a", u.URL + "?a", u.URL + pathMachines + "#a",
		u.URL + pathMachines + "?a#frag", "ftp://" + host + pathMachines + "?a", "file:///etc/passwd", "javascript:alert(1)", "http:" + pathMachines + "?a", `\\evil.example\x?a`,
		"/etc/passwd?a", "../../etc?a", "http://%zz/?a", "http://" + host + ":99999" + pathMachines + "?a", "http://%00" + host + "/?a", " " + u.URL + pathMachines + "?a",
		u.URL + pathMachines + "?a=" + strings.Repeat("x", 17<<10), "https://eu.api.security.microsoft.com" + pathMachines + "?a", "data:text/plain,x", "http://ⓛocalhost" + pathMachines + "?a",
	}
	if len(links) < 30 {
		t.Fatal("the table shrank")
	}
	for _, link := range links {
		u.calls = nil
		u.onAPI = page(listOf("id", 0, 1, link))
		_, err := machineIDs(u.open())
		if !fault.Is(err, fault.CodeUpstreamUnexpected) || len(u.calls) != 1 {
			t.Errorf("%.80q: %d calls, %v", link, len(u.calls), err)
		}
	}
	for _, h := range u.hosts {
		if h != host {
			t.Errorf("a request was meant for %q", h)
		}
	}
	if strangers != 0 {
		t.Errorf("%d requests reached another server", strangers)
	}
}

func TestRegionalHostsOfTheCloudAreFollowedByTheRealOneOnly(t *testing.T) {
	t.Parallel()
	s := mustNew(t, Config{}).Open(testCredentials()).(*source)
	first := s.conn.api + pathMachines
	for link, ok := range map[string]bool{
		"https://eu.api.security.microsoft.com/api/machines?$skip=10000":    true,
		"https://API.security.microsoft.com:443/api/Machines?$skip=10000":   true,
		"https://api.securitycenter.microsoft.com/api/machines?$skip=10000": true,
		"https://api-us3.securitycenter.microsoft.com/api/machines?$skip=5": true,
		"?$skip=10000": true,
		"http://api.security.microsoft.com/api/machines?$skip=10000":           false,
		"https://api.security.microsoft.com:8443/api/machines?$skip=10000":     false,
		"https://x.api.security.microsoft.com/api/machines?$skip=10000":        false,
		"https://api-gov.securitycenter.microsoft.us/api/machines?$skip=10000": false,
	} {
		if got, err := s.follow(first, link); (err == nil) != ok {
			t.Errorf("%s: %q, %v", link, got, err)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.onAPI = plain(302, "", "Location", u.URL+"/elsewhere")
	if _, err := machineIDs(u.open()); !fault.Is(err, fault.CodeUpstreamUnexpected) || len(u.calls) != 1 {
		t.Fatalf("calls %v, %v", u.calls, err)
	}
}

func TestNoMachinesMayBeA404(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		api   func(u *upstream) http.HandlerFunc
		empty bool
	}{
		{"Defender's", func(*upstream) http.HandlerFunc { return refuseAPI(404, "NotFound", "") }, true},
		{"without a body", func(*upstream) http.HandlerFunc { return plain(404, "") }, true},
		{"of something else", func(*upstream) http.HandlerFunc { return plain(404, "<html>") }, false},
		{"on a later page", func(u *upstream) http.HandlerFunc {
			return inTurn(page(listOf("id", 0, 1, u.URL+pathMachines+"?$skip=1")), refuseAPI(404, "NotFound", ""))
		}, false},
	}
	for _, tc := range cases {
		u := newUpstream(t)
		u.onAPI = tc.api(u)
		if ids, err := machineIDs(u.open()); (err == nil) != tc.empty {
			t.Errorf("%s: %d machines, %v", tc.name, len(ids), err)
		}
	}
}

func TestFailedPagesAreReadAgainWithoutRepeats(t *testing.T) {
	t.Parallel()
	whole := func(key string) string { return listOf(key, 0, 2500, "") }
	for name, bad := range map[string]func(text string) http.HandlerFunc{
		"500":       func(string) http.HandlerFunc { return refuseAPI(500, "InternalServerError", "") },
		"html":      func(string) http.HandlerFunc { return plain(200, "<html>") },
		"reset":     func(text string) http.HandlerFunc { return hangUp(text[:len(text)*3/4]) },
		"truncated": func(text string) http.HandlerFunc { return page(text[:len(text)*3/4]) },
		"damaged": func(text string) http.HandlerFunc {
			return page(text[:len(text)*3/4] + "\x00" + text[len(text)*3/4+1:])
		},
		"bad gzip": func(text string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				var b strings.Builder
				z := gzip.NewWriter(&b)
				_, _ = z.Write([]byte(text))
				_ = z.Close()
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write([]byte(b.String()[:b.Len()-8] + "12345678"))
			}
		},
	} {
		for _, key := range []string{"id", "deviceId"} {
			u := newUpstream(t)
			u.onAPI = inTurn(bad(whole(key)), bad(whole(key)), page(whole(key)))
			s, read := u.open(), machineIDs
			if key == "deviceId" {
				read = rowIDs
			}
			if ids, err := read(s); err != nil || !slices.Equal(ids, names(0, 2500)) {
				t.Errorf("%s, %s: %d records, %v", name, key, len(ids), err)
			}
			if got := s.Usage().Retries; got != 2 {
				t.Errorf("%s, %s: %d retries", name, key, got)
			}
		}
	}
}

func TestARowPageThatChangedIsNotMixed(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]string{"other rows": listOf("deviceId", 1, 2500, ""), "fewer rows": listOf("deviceId", 0, 500, "")} {
		u := newUpstream(t)
		text := listOf("deviceId", 0, 2500, "")
		u.onAPI = inTurn(page(text[:len(text)*3/4]), page(second))
		ids, err := rowIDs(u.open())
		if !fault.Is(err, fault.CodeUpstreamUnavailable) || len(ids) != 1000 || fault.As(err).Definition().Permanent {
			t.Errorf("%s: %d rows, %v", name, len(ids), err)
		}
	}
}

func TestABrokenChainIsPassing(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 404, 410} {
		u := newUpstream(t)
		u.onAPI = inTurn(page(listOf("deviceId", 0, 1, u.URL+pathRows+"?pagesize=5&$skiptoken=abc")), refuseAPI(status, "BadRequest", ""))
		_, err := rowIDs(u.open())
		if !fault.Is(err, fault.CodeUpstreamUnavailable) || !strings.Contains(fault.As(err).Detail, "from the start") || len(u.calls) != 2 {
			t.Errorf("%d: calls %v, %v", status, u.calls, err)
		}
	}
}

func TestCatalogueAsksForChangesOrTakesAll(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	since := time.Date(2026, 1, 2, 3, 4, 5, 6e8, time.UTC)
	u.onAPI = inTurn(refuseAPI(400, "ODataError", ""), page(`{"value":[{"id":"cve-1"}]}`), page(`{"value":[]}`))
	var got []string
	yield := func(batch []inventory.Vulnerability) error {
		for _, v := range batch {
			got = append(got, v.Name)
		}
		return nil
	}
	s := u.open()
	if err := errors.Join(s.Catalogue(context.Background(), since, yield), s.Catalogue(context.Background(), since, yield)); err != nil || !slices.Equal(got, []string{"CVE-1"}) {
		t.Fatalf("%v, %v", got, err)
	}
	filter := pathVulnerabilities + "?$filter=updatedOn%20gt%202026-01-02T03%3A04%3A04Z"
	if want := []string{filter, pathVulnerabilities, filter}; !slices.Equal(u.calls, want) {
		t.Fatalf("calls %v", u.calls)
	}
}

func TestTheConsumersErrorEndsTheStream(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	u := newUpstream(t)
	u.onAPI = page(listOf("deviceId", 0, 5000, ""))
	s := u.open()
	batches := 0
	if err := s.Rows(context.Background(), connector.ViaPages, func([]inventory.Row) error { batches++; return enough }); err != enough || batches != 1 {
		t.Errorf("rows: %d batches, %v", batches, err)
	}
	if err := s.Machines(context.Background(), time.Time{}, func([]inventory.Machine) error { batches++; return enough }); err != enough || batches != 2 {
		t.Errorf("machines: %d batches, %v", batches, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err := s.Rows(ctx, connector.ViaPages, func([]inventory.Row) error { cancel(); return ctx.Err() })
	if !errors.Is(err, context.Canceled) || len(u.calls) != 3 {
		t.Errorf("cancelled: calls %v, %v", u.calls, err)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	endless := func(piece string, pause time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{"value":[`))
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(piece)); err != nil {
					return
				}
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(pause):
				}
			}
		}
	}
	for name, tc := range map[string]struct {
		api    http.HandlerFunc
		change func(*Config)
		code   string
	}{
		"endless":    {endless(strings.Repeat(`{"id":"x"},`, 1000), 0), func(c *Config) { c.Pages.MaxListBytes = 1 << 20 }, fault.CodeUpstreamUnexpected},
		"silent":     {endless(" ", time.Hour), func(c *Config) { c.Timeouts.Idle = 30 * time.Millisecond }, fault.CodeUpstreamTimeout},
		"drip":       {endless(" ", 5*time.Millisecond), func(c *Config) { c.Timeouts.Call = 60 * time.Millisecond }, fault.CodeUpstreamTimeout},
		"no header":  {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, func(c *Config) { c.Timeouts.Header = 30 * time.Millisecond }, fault.CodeUpstreamTimeout},
		"big header": {plain(200, "", "X-Big", strings.Repeat("x", 1<<20)), func(*Config) {}, fault.CodeUpstreamUnavailable},
	} {
		u := newUpstream(t)
		u.onAPI = tc.api
		_, err := machineIDs(u.open(tc.change, func(c *Config) { c.Retry.Tries = 1 }))
		if !fault.Is(err, tc.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
