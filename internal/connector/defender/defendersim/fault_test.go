package defendersim_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim"
)

// discard is a response nobody reads.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) WriteHeader(status int) {
	if d.status == 0 {
		d.status = status
	}
}
func (d *discard) Write(p []byte) (int, error) { d.WriteHeader(200); return len(p), nil }

func tokenFrom(t testing.TB, sim *defendersim.Simulator) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {secret}, "scope": {scope}}
	r := httptest.NewRequest("POST", tokenPath, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	sim.Handler().ServeHTTP(w, r)
	var m struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil || m.AccessToken == "" {
		t.Fatalf("no token: %v %s", err, w.Body)
	}
	return m.AccessToken
}

func (h *harness) arm(f defendersim.Fault) string {
	h.t.Helper()
	id, err := h.AddFault(f)
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

func TestStatusFaults(t *testing.T) {
	h := start(t, nil)
	token := h.token()
	tests := []struct {
		name   string
		fault  defendersim.Fault
		status int
		check  func(a answer) bool
	}{
		{"JSON", defendersim.Fault{Status: 500}, 500, func(a answer) bool { return a.code(t) == "InternalServerError" }},
		{"HTML", defendersim.Fault{Status: 503, Body: "html"}, 503, func(a answer) bool { return strings.HasPrefix(string(a.body), "<html>") }},
		{"empty", defendersim.Fault{Status: 504, Body: "empty"}, 504, func(a answer) bool { return len(a.body) == 0 }},
		{"garbage", defendersim.Fault{Body: "garbage"}, 200, func(a answer) bool { return !json.Valid(a.body) }},
		{"Retry-After seconds", defendersim.Fault{Status: 429, RetryAfter: "17"}, 429, func(a answer) bool { return a.header.Get("Retry-After") == "17" }},
		{"Retry-After date", defendersim.Fault{Status: 429, RetryAfter: "date:90s"}, 429, func(a answer) bool {
			at, err := http.ParseTime(a.header.Get("Retry-After"))
			return err == nil && at.Equal(h.clock.now().Add(90*time.Second))
		}},
		{"redirect", defendersim.Fault{Status: 302, Location: "https://evil.example/"}, 302, func(a answer) bool {
			return a.header.Get("Location") == "https://evil.example/"
		}},
		{"own code", defendersim.Fault{Status: 403, Code: "DisabledFeature", Message: "off"}, 403, func(a answer) bool {
			return a.code(t) == "DisabledFeature" && a.message(t) == "off"
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.fault.Route, tt.fault.Times = "machines", 1
			h.arm(tt.fault)
			if a := h.get(token, "/api/machines?$top=1"); a.status != tt.status || !tt.check(a) {
				t.Fatalf("%d %v %s", a.status, a.header, a.body)
			}
			if a := h.get(token, "/api/machines?$top=1"); a.status != 200 {
				t.Fatalf("after the fault: %d", a.status)
			}
		})
	}
}

func TestFaultMatching(t *testing.T) {
	h := start(t, nil)
	other := "11111111-aaaa-4aaa-8aaa-111111111112"
	if err := h.AddDirectory(defendersim.DirectorySpec{ID: other, Machines: 5, Apps: []defendersim.App{goodApp()}}); err != nil {
		t.Fatal(err)
	}
	mine, theirs := h.token(), h.form("/" + other + "/oauth2/v2.0/token").json(t)["access_token"].(string)
	h.arm(defendersim.Fault{Directory: strings.ToUpper(dirID), PathPrefix: "/api/MACHINES", After: 2, Times: 2, Status: 503})
	var got []int
	for range 5 {
		got = append(got, h.get(mine, "/api/machines?$top=1").status)
		if a := h.get(theirs, "/api/machines?$top=1"); a.status != 200 {
			t.Errorf("another directory: %d", a.status)
		}
		if a := h.get(mine, "/api/vulnerabilities?$top=1"); a.status != 200 {
			t.Errorf("another path: %d", a.status)
		}
	}
	if want := []int{200, 200, 503, 503, 200}; !equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if s := h.Faults(); len(s) != 1 || s[0].Matched != 5 || s[0].Struck != 2 {
		t.Errorf("%+v", s)
	}
	h.ClearFaults()
	h.arm(defendersim.Fault{Route: "token", Status: 429, RetryAfter: "60"})
	if a := h.form(tokenPath); a.status != 429 || a.header.Get("Retry-After") != "60" {
		t.Errorf("19: %d %v", a.status, a.header)
	}
}

func equal(a, b []int) bool {
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

func TestBodyFaults(t *testing.T) {
	h := start(t, nil)
	token := h.token()
	whole := h.get(token, "/api/machines")
	plain := func() answer {
		r := h.request("GET", "/api/machines", "")
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Accept-Encoding", "identity")
		return h.do(r)
	}
	h.arm(defendersim.Fault{Route: "machines", Times: 1, TruncateAfter: 1000})
	if a := plain(); a.err != nil || string(a.body) != string(whole.body[:1000]) {
		t.Errorf("truncated: %v, %d bytes", a.err, len(a.body))
	}
	h.arm(defendersim.Fault{Route: "machines", Times: 1, ResetAfter: 1000})
	if a := plain(); a.err == nil {
		t.Errorf("reset: %d, %d bytes and no error", a.status, len(a.body))
	}
	h.arm(defendersim.Fault{Route: "machines", Times: 1, DripBytes: 4096, DripPause: defendersim.Duration(time.Microsecond)})
	if a := plain(); a.err != nil || string(a.body) != string(whole.body) {
		t.Errorf("drip: %v, %d of %d bytes", a.err, len(a.body), len(whole.body))
	}
	if a := plain(); string(a.body) != string(whole.body) {
		t.Error("a fault struck more often than told")
	}
}

func TestHoldAndHang(t *testing.T) {
	h := start(t, nil)
	token := h.token()
	id := h.arm(defendersim.Fault{Route: "machines", After: 1, Times: 1, Hold: true})
	if a := h.get(token, "/api/machines?$top=1"); a.status != 200 {
		t.Fatal(a.status)
	}
	done := make(chan answer)
	go func() { done <- h.get(token, "/api/machines?$top=1&$skip=1") }()
	if err := h.AwaitFault(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	select {
	case a := <-done:
		t.Fatalf("a held call was answered: %d", a.status)
	default:
	}
	if s := h.Faults(); s[0].Waiting != 1 {
		t.Errorf("%+v", s)
	}
	if !h.ReleaseFault(id) {
		t.Error("the fault is not found")
	}
	if a := <-done; a.status != 200 {
		t.Errorf("after release: %d", a.status)
	}
	h.arm(defendersim.Fault{ID: "hang", Route: "machines", Hang: true})
	ctx, cancel := context.WithCancelCause(t.Context())
	r := h.request("GET", "/api/machines", "").WithContext(ctx)
	r.Header.Set("Authorization", "Bearer "+token)
	go func() { done <- h.do(r) }()
	for h.Faults()[1].Struck == 0 {
		if err := ctx.Err(); err != nil {
			t.Fatal(err)
		}
	}
	cancel(errors.New("enough"))
	if a := <-done; a.err == nil {
		t.Error("a hanging call was answered")
	}
}

func TestBadFaults(t *testing.T) {
	h := start(t, nil)
	h.arm(defendersim.Fault{ID: "a"})
	for _, f := range []defendersim.Fault{{Status: 99}, {Body: "yaml"}, {ID: "a"}} {
		if _, err := h.AddFault(f); err == nil {
			t.Errorf("%+v is accepted", f)
		}
	}
	if h.ReleaseFault("zzz") || h.AwaitFault(t.Context(), "zzz") == nil {
		t.Error("a fault that is not there was found")
	}
}
