package defendersim_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim"
)

const (
	dirID    = "11111111-aaaa-4aaa-8aaa-111111111111"
	clientID = "22222222-bbbb-4bbb-8bbb-222222222222"
	secret   = "aB3~x+/=%&.y-_Z"
	scope    = "https://api.securitycenter.microsoft.com/.default"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

// harness is a simulator reached over real HTTP.
type harness struct {
	*defendersim.Simulator
	t     *testing.T
	url   string
	clock *clock
}

func start(t *testing.T, change func(*defendersim.Config)) *harness {
	t.Helper()
	t.Parallel()
	c := &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	findings := 10
	cfg := defendersim.Config{Seed: 1, CatalogueSize: 600, Now: c.now, Directory: &defendersim.DirectorySpec{
		ID: dirID, Domain: "contoso.com", Machines: 40, FindingsPerMachine: &findings, Apps: []defendersim.App{goodApp()}}}
	if change != nil {
		change(&cfg)
	}
	sim := defendersim.New(cfg)
	srv := httptest.NewServer(sim.Handler())
	t.Cleanup(srv.Close)
	t.Cleanup(sim.ClearFaults)
	return &harness{sim, t, srv.URL, c}
}

func goodApp() defendersim.App {
	return defendersim.App{ClientID: clientID, Secret: secret, SecretID: "33333333-cccc-4ccc-8ccc-333333333333",
		SecretExpiresAt: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		Roles:           []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead}}
}

// answer is a response read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // of reading the body
}

// ids decodes only what long lists are compared by.
func (a answer) ids(t *testing.T) (ids []string, next string) {
	t.Helper()
	var page struct {
		Next  string `json:"@odata.nextLink"`
		Value []struct {
			ID string `json:"id"`
		} `json:"value"`
	}
	if err := json.Unmarshal(a.body, &page); err != nil || a.status != 200 {
		t.Fatalf("status %d, %v: %.300s", a.status, err, a.body)
	}
	for _, r := range page.Value {
		ids = append(ids, r.ID)
	}
	return ids, page.Next
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.body, &m); err != nil {
		t.Fatalf("status %d, not JSON: %v: %.300s", a.status, err, a.body)
	}
	return m
}

func (a answer) rows(t *testing.T) []map[string]any {
	t.Helper()
	list, ok := a.json(t)["value"].([]any)
	if !ok || a.status != 200 {
		t.Fatalf("status %d, no value array: %.300s", a.status, a.body)
	}
	out := make([]map[string]any, len(list))
	for i, v := range list {
		out[i] = v.(map[string]any)
	}
	return out
}

func (a answer) next(t *testing.T) string {
	t.Helper()
	link, _ := a.json(t)["@odata.nextLink"].(string)
	return link
}

func (a answer) code(t *testing.T) string {
	t.Helper()
	e, _ := a.json(t)["error"].(map[string]any)
	code, _ := e["code"].(string)
	return code
}

func (a answer) message(t *testing.T) string {
	t.Helper()
	e, _ := a.json(t)["error"].(map[string]any)
	text, _ := e["message"].(string)
	return text
}

func (h *harness) do(r *http.Request) answer {
	h.t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, body, err}
}

func (h *harness) request(method, target, body string) *http.Request {
	h.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = h.url + target
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// form asks for a token; pairs override the good form, an empty value removes a parameter.
func (h *harness) form(path string, pairs ...string) answer {
	h.t.Helper()
	v := url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {secret}, "scope": {scope}}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			v.Del(pairs[i])
		}
	}
	r := h.request("POST", path, v.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return h.do(r)
}

const tokenPath = "/" + dirID + "/oauth2/v2.0/token"

func (h *harness) token(pairs ...string) string {
	h.t.Helper()
	a := h.form(tokenPath, pairs...)
	token, ok := a.json(h.t)["access_token"].(string)
	if !ok || a.status != 200 {
		h.t.Fatalf("no token: %d %s", a.status, a.body)
	}
	return token
}

func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("token has %d parts", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// get calls the API; "$" and blanks in the path's query are escaped as clients do.
func (h *harness) get(token, path string) answer {
	h.t.Helper()
	r := h.request("GET", strings.ReplaceAll(path, " ", "%20"), "")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return h.do(r)
}

// walk follows nextLink to the end and returns all rows with the number of pages.
func (h *harness) walk(token, path string) (rows []map[string]any, pages int) {
	h.t.Helper()
	for path != "" {
		var page struct {
			Next  string           `json:"@odata.nextLink"`
			Value []map[string]any `json:"value"`
		}
		a := h.get(token, path)
		if err := json.Unmarshal(a.body, &page); err != nil || a.status != 200 {
			h.t.Fatalf("status %d, %v: %.300s", a.status, err, a.body)
		}
		rows = append(rows, page.Value...)
		path = page.Next
		pages++
	}
	return rows, pages
}

func expect(t *testing.T, a answer, status int, code string) {
	t.Helper()
	if a.status != status || a.code(t) != code {
		t.Fatalf("got %d %.300s, want %d %s", a.status, a.body, status, code)
	}
}
