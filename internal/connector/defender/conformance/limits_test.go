package conformance_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

var limitStatements = []statement{
	{30, "call limits", strict, checkLimits},
	{31, "limits are per customer", strict, checkLimitsApart},
	{36, "API fails", optional, checkAPIFaults},
}

// limits are documented on the pages "List machines API", "Get discovered vulnerabilities" and "Export software vulnerabilities
// assessment per device".
var limits = []struct {
	path         string
	minute, hour int
}{
	{"/api/machines?$top=1", 100, 1500},
	{"/api/machines/{id}/vulnerabilities", 50, 1500},
	{"/api/machines/SoftwareVulnerabilitiesByMachine?$top=1", 30, 1000},
	{"/api/machines/SoftwareVulnerabilityChangesByMachine?$top=1&sinceTime={now}", 30, 1000},
	{"/api/machines/SoftwareVulnerabilitiesExport", 5, 20},
}

func checkLimits(t *testing.T, d *double) {
	d.needControl(t)
	for _, limit := range limits {
		a := d.fresh(t, nil, nil)
		token := a.token(t)
		machine, _ := d.get(t, token, "/api/machines?$top=1&$skip=1").rows(t)[0]["id"].(string)
		path := strings.NewReplacer("{id}", machine, "{now}", d.now(t).Add(-time.Hour).Format("2006-01-02T15:04:05Z")).Replace(limit.path)
		if strings.HasPrefix(path, "/api/machines?") {
			d.advance(t, time.Minute) // the look-up above counted
		}
		fill(t, a, path, limit.minute)
		if limit.hour <= 1000 { // 1,500 calls are a long time for one line
			fillHour(t, a, path, limit.minute, limit.hour)
		}
		d.advance(t, time.Hour)
		slides(t, a, path, limit.minute, limit.minute, time.Minute)
		if limit.hour <= 20 {
			d.advance(t, time.Hour)
			slides(t, a, path, limit.hour, limit.minute, time.Hour)
		}
	}
}

// fill uses the budget of a minute up, and one call of the next.
func fill(t *testing.T, a account, path string, most int) {
	t.Helper()
	token := a.token(t)
	for i := range most {
		if res := a.d.get(t, token, path); res.status != http.StatusOK {
			t.Fatalf("%s: call %d of %d: status %d: %.200q", path, i+1, most, res.status, res.body)
		}
	}
	a.d.advance(t, throttled(t, a.d.get(t, token, path), time.Minute))
	a.d.get(t, token, path).want(t, http.StatusOK, "")
}

// fillHour uses up what fill left of the budget of an hour.
func fillHour(t *testing.T, a account, path string, minute, hour int) {
	t.Helper()
	for used := minute + 1; used < hour; {
		a.d.advance(t, time.Minute)
		token := a.token(t)
		for range min(minute, hour-used) {
			a.d.get(t, token, path).want(t, http.StatusOK, "")
			used++
		}
	}
	a.d.advance(t, time.Minute)
	if wait := throttled(t, a.d.get(t, a.token(t), path), time.Hour); wait <= time.Minute {
		t.Errorf("%s: the limit of an hour asks to wait %s", path, wait)
	}
}

// slides uses the budget of a window up in two halves, the second one late in it. Once the first half has left the window, there
// is room for as many calls again and no more: a budget that is new with each minute or hour would let the whole of it through.
func slides(t *testing.T, a account, path string, most, minute int, window time.Duration) {
	t.Helper()
	early := most / 2
	spread(t, a, path, early, minute)
	a.d.advance(t, window*2/3)
	spread(t, a, path, most-early, minute)
	a.d.advance(t, throttled(t, a.d.get(t, a.token(t), path), window/3))
	spread(t, a, path, 1, minute)
	a.d.advance(t, window/12) // calls of the first half were not made all at once
	spread(t, a, path, early-1, minute)
	if res := a.d.get(t, a.token(t), path); res.status != http.StatusTooManyRequests {
		t.Fatalf("%s: status %d for call %d within %s, of %d: the window does not slide", path, res.status, most+1, window, most)
	}
}

// spread makes calls that must succeed, in each minute as many as fit in.
func spread(t *testing.T, a account, path string, calls, minute int) {
	t.Helper()
	token := a.token(t)
	for i := range calls {
		if i > 0 && i%minute == 0 {
			a.d.advance(t, time.Minute)
		}
		if res := a.d.get(t, token, path); res.status != http.StatusOK {
			t.Fatalf("%s: call %d of %d: status %d: %.200q", path, i+1, calls, res.status, res.body)
		}
	}
}

// throttled fails unless the API refused with 429, and returns how long it asks to wait.
func throttled(t *testing.T, a answer, most time.Duration) time.Duration {
	t.Helper()
	a.want(t, http.StatusTooManyRequests, "TooManyRequests")
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if wait := time.Duration(seconds) * time.Second; err == nil && wait > 0 && wait <= most {
		return wait
	}
	t.Fatalf("Retry-After %q", a.header.Get("Retry-After"))
	return 0
}

func checkLimitsApart(t *testing.T, d *double) {
	d.needControl(t)
	one, other := d.fresh(t, nil, nil), d.fresh(t, nil, nil)
	mine, theirs := one.token(t), other.token(t)
	const path = "/api/machines/SoftwareVulnerabilitiesByMachine?$top=1"
	for range 30 {
		d.get(t, mine, path).want(t, http.StatusOK, "")
	}
	throttled(t, d.get(t, mine, path), time.Minute)
	throttled(t, d.get(t, one.token(t), path), time.Minute) // a new token is no way around
	d.get(t, theirs, path).want(t, http.StatusOK, "")
	d.get(t, mine, oneMachine).want(t, http.StatusOK, "") // other routes have budgets of their own
	second := one
	second.client, second.secret, second.registration = other.client, other.secret, other.registration
	second.change(t, nil) // the other application, installed in the first directory
	d.get(t, second.token(t), path).want(t, http.StatusOK, "")
	same := d.fresh(t, nil, object{"client_id": one.client}) // the first application, installed in a third one
	d.get(t, same.token(t), path).want(t, http.StatusOK, "")
}

func checkAPIFaults(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	token := a.token(t)
	whole := d.get(t, token, "/api/machines").want(t, http.StatusOK, "")
	once := func(fault object) answer {
		t.Helper()
		fault["route"], fault["times"] = "machines", 1
		d.arm(t, a.directory, fault)
		return d.get(t, token, "/api/machines")
	}
	once(object{"status": 500}).want(t, http.StatusInternalServerError, "InternalServerError")
	d.get(t, token, "/api/machines").want(t, http.StatusOK, "")
	for _, status := range []int{502, 503, 504} {
		if res := once(object{"status": status, "body": "html"}).want(t, status, ""); !strings.HasPrefix(string(res.body), "<html>") {
			t.Errorf("%d: body %.100q", status, res.body)
		}
	}
	if res := once(object{"truncate_after": 1000}).want(t, http.StatusOK, ""); string(res.body) != string(whole.body[:1000]) {
		t.Errorf("truncated to %d bytes", len(res.body))
	}
	if res := once(object{"reset_after": 1000}); res.broken == nil {
		t.Errorf("reset: a whole answer of %d bytes", len(res.body))
	}
	if res := once(object{"drip_bytes": 5000, "drip_pause": "1ms"}).want(t, http.StatusOK, ""); string(res.body) != string(whole.body) {
		t.Errorf("dripped: %d of %d bytes", len(res.body), len(whole.body))
	}
	throttledAnswer := once(object{"status": 429, "retry_after": "17"}).want(t, http.StatusTooManyRequests, "TooManyRequests")
	if throttledAnswer.header.Get("Retry-After") != "17" {
		t.Errorf("Retry-After %q", throttledAnswer.header.Get("Retry-After"))
	}
}
