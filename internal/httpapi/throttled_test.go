package httpapi_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
)

// TestWhoeverIsThrottledIsToldMicrosoftsTime connects and validates while Microsoft limits requests.
func TestWhoeverIsThrottledIsToldMicrosoftsTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault defendersim.Fault
		code  string
		wait  time.Duration
	}{
		"token":                {defendersim.Fault{Route: "token", Status: 429, RetryAfter: "30"}, fault.CodeUpstreamThrottled, 30 * time.Second},
		"machines":             {defendersim.Fault{Route: "machines", Status: 429, RetryAfter: "45"}, fault.CodeUpstreamThrottled, 45 * time.Second},
		"without a time":       {defendersim.Fault{Route: "token", Status: 429}, fault.CodeUpstreamThrottled, time.Minute},
		"not throttled, a 503": {defendersim.Fault{Route: "machines", Status: 503, RetryAfter: "20"}, fault.CodeUpstreamUnavailable, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMicrosoft(t)
			other := strings.Replace(simDirectory, "5a1e5b0c", "5a1e5b01", 1)
			m.addDirectory(t, defendersim.DirectorySpec{ID: other, Machines: 5}, []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead})
			connected, err := m.admin().ConnectIntegration(t.Context(), entered(simDirectory, simClient, simSecret))
			must(t, err)
			if _, err := m.sim.AddFault(c.fault); err != nil {
				t.Fatal(err)
			}
			err = second(m.admin().ConnectIntegration(t.Context(), entered(other, simClient, simSecret)))
			var p *api.Problem
			if !errors.As(err, &p) || p.Code != c.code || p.RetryAfter > c.wait || p.RetryAfter < c.wait-5*time.Second {
				t.Fatalf("%v, %+v", err, p)
			}
			toldToWait(t, p.Code, p.Detail)
			v, err := m.admin().ValidateIntegration(t.Context(), connected.ID)
			must(t, err)
			for _, check := range v.Checks {
				if check.OK {
					continue
				}
				toldToWait(t, c.code, check.Remedy)
				if told := check.RetryAfterSeconds; told == nil || time.Duration(*told)*time.Second > c.wait || time.Duration(*told)*time.Second < c.wait-5*time.Second {
					t.Errorf("%s tells to wait %v seconds, not %v", check.Name, told, c.wait)
				}
			}
		})
	}
}

func toldToWait(t *testing.T, code, text string) {
	t.Helper()
	if code == fault.CodeUpstreamThrottled && !strings.Contains(text, "Try again after the time in Retry-After") {
		t.Error(text)
	}
}
