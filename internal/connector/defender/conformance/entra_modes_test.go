package conformance_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

var entraModeStatements = []statement{
	{19, "throttled token requests", strict, checkTokenThrottling},
	{20, "token endpoint fails", optional, checkTokenOutage},
}

func checkTokenThrottling(t *testing.T, d *double) {
	a := d.fresh(t, nil, object{"throttled": true})
	if res := a.ask(t); res.status != http.StatusTooManyRequests || res.header.Get("Retry-After") != "60" {
		t.Errorf("status %d, Retry-After %q", res.status, res.header.Get("Retry-After"))
	}
	a.change(t, object{"throttled": false})
	a.ask(t).want(t, http.StatusOK, "")
}

func checkTokenOutage(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	d.arm(t, a.directory, object{"route": "token", "times": 1, "status": 503, "body": "html"})
	if res := a.ask(t).want(t, http.StatusServiceUnavailable, ""); !strings.HasPrefix(string(res.body), "<html>") {
		t.Errorf("body %.100q", res.body)
	}
	d.arm(t, a.directory, object{"route": "token", "times": 1, "reset_after": 10})
	if res := a.ask(t); res.broken == nil {
		t.Errorf("status %d and a whole body of %d bytes", res.status, len(res.body))
	}
	const late = 200 * time.Millisecond
	for _, slow := range []object{{"drip_bytes": 100, "drip_pause": "50ms"}, {"delay": late.String()}} { // a token takes more than five pieces
		slow["route"], slow["times"] = "token", 1
		d.arm(t, a.directory, slow)
		began := time.Now()
		a.token(t)
		if took := time.Since(began); took < late {
			t.Errorf("%v: a whole answer after %s", slow, took)
		}
	}
}
