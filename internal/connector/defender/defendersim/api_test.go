package defendersim_test

import (
	"compress/flate"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim"
)

func TestUnauthorised(t *testing.T) {
	h := start(t, nil)
	good := h.token()
	for name, token := range map[string]string{"missing": "", "garbage": "abc", "altered": good[:len(good)-4] + "AAAA"} {
		if a := h.get(token, "/api/machines"); a.status != 401 || a.code(t) != "Unauthorized" {
			t.Errorf("24 %s: %d %s", name, a.status, a.body)
		}
	}
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(digits, good[len(good)-1])
	if a := h.get(good[:len(good)-1]+digits[last|1:last|1+1], "/api/machines"); a.status != 401 {
		t.Errorf("24: the signature is taken in another spelling: %d", a.status)
	}
	h.clock.advance(3598 * time.Second)
	if a := h.get(good, "/api/machines?$top=1"); a.status != 200 {
		t.Errorf("24: refused before the token expired: %d", a.status)
	}
	h.clock.advance(5 * time.Second)
	if a := h.get(good, "/api/machines?$top=1"); a.status != 401 {
		t.Errorf("24: %d after the token expired", a.status)
	}
	a := h.get(h.token(), "/api/machines/ffff")
	expect(t, a, 404, "ResourceNotFound")
	if e := a.json(t)["error"].(map[string]any); e["target"] == "" || e["message"] == "" {
		t.Errorf("29: %v", e)
	}
	h.RemoveDirectory(dirID)
	if a := h.get(good, "/api/machines"); a.status != 401 {
		t.Errorf("24: %d for a directory that is gone", a.status)
	}
}

func TestSwitches(t *testing.T) {
	h := start(t, func(c *defendersim.Config) {
		c.Switches = defendersim.Switches{OmitErrorTarget: true, EmptyUnauthorized: true, LegacyForbidden: true, ExtraFields: true,
			ClampTop: true, RefuseExposedFilter: true}
		c.Directory.Apps[0].Roles = []string{defendersim.RoleMachineRead}
	})
	if a := h.get("x", "/api/machines"); a.status != 401 || len(a.body) != 0 {
		t.Errorf("24: %d %s", a.status, a.body)
	}
	token := h.token()
	a := h.get(token, "/api/vulnerabilities")
	if !strings.Contains(a.message(t), "does not have any of the required application permissions (Vulnerability.Read.All)") {
		t.Errorf("26: %s", a.body)
	}
	if _, present := a.json(t)["error"].(map[string]any)["target"]; present {
		t.Errorf("29: %s", a.body)
	}
	if rows := h.get(token, "/api/machines?$top=20000").rows(t); len(rows) == 0 || rows[0]["simulatedProperty"] == nil {
		t.Error("35, 39: no unknown property, or $top refused")
	}
	a2 := goodApp()
	if err := h.SetApp(dirID, a2); err != nil {
		t.Fatal(err)
	}
	expect(t, h.get(h.token(), "/api/vulnerabilities?$filter=exposedMachines gt 0"), 400, "ODataError")
}

func TestLicences(t *testing.T) {
	h := start(t, nil)
	token := h.token()
	if err := h.SetLicence(dirID, defendersim.LicenceMachinesOnly); err != nil {
		t.Fatal(err)
	}
	if a := h.get(token, "/api/machines?$top=1"); a.status != 200 {
		t.Errorf("28: %d", a.status)
	}
	for _, path := range []string{"/api/vulnerabilities?$top=1", "/api/machines/SoftwareVulnerabilitiesByMachine"} {
		a := h.get(token, path)
		expect(t, a, 401, "Unauthorized")
		if a.message(t) != "Unauthorized request - reason of failure: No Tvm license" {
			t.Errorf("28: %s", a.body)
		}
	}
	if err := h.SetLicence(dirID, defendersim.LicenceInactive); err != nil {
		t.Fatal(err)
	}
	a := h.get(token, "/api/machines?$top=1")
	expect(t, a, 401, "Unauthorized")
	if !strings.HasSuffix(a.message(t), "Account mode is inactive") {
		t.Errorf("28: %s", a.body)
	}
}

func TestQuotas(t *testing.T) {
	other := "11111111-aaaa-4aaa-8aaa-111111111112"
	h := start(t, nil)
	if err := h.AddDirectory(defendersim.DirectorySpec{ID: other, Apps: []defendersim.App{goodApp()}}); err != nil {
		t.Fatal(err)
	}
	token := h.token()
	otherToken := h.form("/" + other + "/oauth2/v2.0/token").json(t)["access_token"].(string)
	path := "/api/machines/SoftwareVulnerabilitiesByMachine?$top=1"
	for i := range 30 {
		if a := h.get(token, path); a.status != 200 {
			t.Fatalf("30: call %d: %d", i, a.status)
		}
		if i == 9 {
			h.clock.advance(20 * time.Second)
		}
	}
	a := h.get(token, path)
	expect(t, a, 429, "TooManyRequests")
	if a.header.Get("Retry-After") != "40" {
		t.Errorf("30: Retry-After %q", a.header.Get("Retry-After"))
	}
	if a := h.get(otherToken, path); a.status != 200 {
		t.Errorf("31: %d", a.status)
	}
	if a := h.get(token, "/api/machines?$top=1"); a.status != 200 {
		t.Errorf("30: another route: %d", a.status)
	}
	h.clock.advance(40 * time.Second)
	served := 0
	for h.get(token, path).status == 200 {
		served++
	}
	if served != 10 {
		t.Errorf("30: %d calls after the window slid past the first ten", served)
	}
}

// TestHourlyQuota calls the handler without a network between: it takes a thousand calls.
func TestHourlyQuota(t *testing.T) {
	h := start(t, nil)
	r := h.request("GET", "/api/machines/SoftwareVulnerabilitiesByMachine?$top=0", "")
	r.Header.Set("Authorization", "Bearer "+h.token())
	handler := h.Handler()
	for range 34 {
		for range 30 {
			w := &discard{header: http.Header{}}
			if handler.ServeHTTP(w, r); w.status == 429 {
				if w.header.Get("Retry-After") != "1620" || h.clock.now().Minute() != 33 {
					t.Fatalf("30: refused at %s, Retry-After %q", h.clock.now(), w.header.Get("Retry-After"))
				}
				return
			}
		}
		h.clock.advance(time.Minute)
	}
	t.Fatal("30: no hourly limit")
}

func TestHeadersAndCompression(t *testing.T) {
	h := start(t, nil)
	token := h.token()
	call := func(encoding string) (*http.Response, io.Reader) {
		r := h.request("GET", "/api/machines?$top=5", "")
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Accept-Encoding", encoding)
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp, resp.Body
	}
	resp, body := call("identity")
	if got := resp.Header.Get("Content-Type"); got != "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8" {
		t.Errorf("33: content type %q", got)
	}
	if resp.Header.Get("OData-Version") != "4.0" {
		t.Error("33: no OData-Version")
	}
	plain, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	_, body = call("gzip")
	zr, err := gzip.NewReader(body)
	if err != nil {
		t.Fatal(err)
	}
	zipped, err := io.ReadAll(zr)
	if err != nil || string(zipped) != string(plain) {
		t.Errorf("33: gzip differs: %v", err)
	}
	resp, body = call("gzip, deflate")
	inflated, err := io.ReadAll(flate.NewReader(body))
	if err != nil || string(inflated) != string(plain) || resp.Header.Get("Content-Encoding") != "deflate" {
		t.Errorf("33: raw deflate differs: %v", err)
	}
}

func TestRoutes(t *testing.T) {
	h := start(t, nil)
	token := h.token()
	for _, path := range []string{"/api/v1.0/machines?$top=1", "/API/Machines?$top=1", "/api/Vulnerabilities?$top=1"} {
		if a := h.get(token, path); a.status != 200 {
			t.Errorf("32 %s: %d", path, a.status)
		}
	}
	expect(t, h.get(token, "/api/nothing"), 404, "NotFound")
	for _, path := range []string{"recommendations", "recommendations/x", "Software", "Software/a/vulnerabilities2", "remediationTasks",
		"machines/abc/getmissingkbs", "machines/abc/recommendations", "exposureScore"} {
		expect(t, h.get(token, "/api/"+path), 403, "Forbidden")
	}
	for _, path := range []string{"machines?$top=-1", "machines?$top=x", "machines?$skip=-1", "machines?$skip=1e%2B05", "machines?$top=10001",
		"machines?$orderby=id", "vulnerabilities?$top=8001", "vulnerabilities/machinesVulnerabilities?$top=10001", "machines?$filter=osBuild eq 1",
		"machines?$filter=healthStatus eq", "machines?$filter=healthStatus is 'x'", "machines?$filter=(id eq 'x'", "vulnerabilities?$filter=epss gt 0"} {
		expect(t, h.get(token, "/api/"+path), 400, "ODataError")
	}
}
