package httpapi_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/tenant"
)

// TestMethodsMatrix sends nine methods to every path: what the contract does not name is refused with what it does name, without
// a look at who asks, and no header makes it another method.
func TestMethodsMatrix(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	offered := map[string][]string{}
	paths := map[string]string{}
	for _, op := range operations(t) {
		offered[op.path] = append(offered[op.path], op.method)
		if op.method == http.MethodGet {
			offered[op.path] = append(offered[op.path], http.MethodHead)
		}
		paths[op.path], _ = op.at(nobodys)
	}
	methods := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodTrace, "PROPFIND"}
	refused := 0
	for path, known := range offered {
		for _, method := range methods {
			if slices.Contains(known, method) {
				continue
			}
			refused++
			got := h.send(raw{method: method, path: paths[path], key: h.mine.keys[tenant.Admin], header: map[string]string{
				"X-HTTP-Method-Override": known[0], "X-Method-Override": known[0], "X-HTTP-Method": known[0], "Origin": "https://elsewhere.example", "Access-Control-Request-Method": known[0],
			}})
			allowed := strings.Split(got.header.Get("Allow"), ", ")
			slices.Sort(allowed)
			slices.Sort(known)
			if method != http.MethodHead { // which has no body
				checkProblem(t, method+" "+path, got, http.StatusMethodNotAllowed, fault.CodeMethodNotAllowed)
			}
			if got.status != http.StatusMethodNotAllowed || !slices.Equal(allowed, known) {
				t.Errorf("%s %s: %d, Allow %v, want %v", method, path, got.status, allowed, known)
			}
			for name := range got.header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s %s: %s is %s", method, path, name, got.header.Get(name))
				}
			}
		}
	}
	if len(offered) < 35 || refused < 200 {
		t.Errorf("only %d paths, and %d methods refused", len(offered), refused)
	}
	if got := h.send(raw{method: http.MethodGet, path: "/v1/assets", key: h.mine.keys[tenant.Admin], header: map[string]string{"Origin": "https://elsewhere.example"}}); got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin is let in: %v", got.header)
	}
}

// TestDeprecatedOperationsSaySo deprecates two operations in a copy of the contract.
func TestDeprecatedOperationsSaySo(t *testing.T) {
	t.Parallel()
	since, end := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 7, 1, 0, 0, 0, 0, time.UTC)
	h := newHouse(t, func(d *httpapi.Deps) {
		text := strings.Replace(string(d.OpenAPI), "      operationId: getVersion\n", "      operationId: getVersion\n      deprecated: true\n      x-deprecated-since: \"2027-01-01T00:00:00Z\"\n      x-sunset: \"2027-07-01T00:00:00Z\"\n", 1)
		text = strings.Replace(text, "      operationId: getTenant\n", "      operationId: getTenant\n      deprecated: true\n      x-deprecated-since: \"2027-01-01T00:00:00Z\"\n", 1)
		d.OpenAPI = []byte(text)
	})
	for path, sunset := range map[string]string{"/v1/version": end.Format(http.TimeFormat), "/v1/tenant": ""} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for _, key := range []string{h.mine.keys[tenant.ReadOnly], ""} { // also on refusals
				got := h.send(raw{method: method, path: path, key: key}).header
				if got.Get("Deprecation") != "@"+strconv.FormatInt(since.Unix(), 10) || got.Get("Sunset") != sunset || !strings.Contains(got.Get("Link"), `rel="deprecation"`) {
					t.Errorf("%s %s: %v", method, path, got)
				}
			}
		}
	}
	for _, path := range []string{"/v1/entitlements", "/problems"} {
		if got := h.send(raw{method: http.MethodGet, path: path, key: h.mine.keys[tenant.ReadOnly]}).header; got.Get("Deprecation") != "" || got.Get("Sunset") != "" {
			t.Errorf("%s: %v", path, got)
		}
	}
}
