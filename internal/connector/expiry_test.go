package connector_test

import (
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
)

// TestAnExpiryIsToldOfWhatExpires looks at all that is told of a secret and of a certificate.
func TestAnExpiryIsToldOfWhatExpires(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for method, other := range map[connector.Method]string{connector.MethodSecret: "certificate", connector.MethodCertificate: "client secret"} {
		for left, code := range map[time.Duration]string{time.Hour: fault.CodeSecretExpiring, -time.Hour: fault.CodeSecretExpired} {
			i := connector.Integration{Method: method, SecretExpiresAt: now.Add(left)}
			w, due := i.ExpiryWarning(now)
			if !due || w.Fault.Code != code {
				t.Fatalf("%s in %v: %+v", method, left, w)
			}
			n := fault.NoticeOf(w.Fault)
			// "Certificates & secrets" is the name of Microsoft's page.
			told := strings.ToLower(strings.ReplaceAll(strings.Join([]string{n.Title, n.Detail, n.Cause, n.Remedy}, " | "), "Certificates & secrets", ""))
			if strings.Contains(told, other) || strings.Count(told, method.Proof()) < 3 || !strings.HasSuffix(n.Remedy, ".") {
				t.Errorf("%s in %v: %s", method, left, told)
			}
		}
	}
}

// TestWhenASecretExpiredIsNotMadeUp knows of it by Microsoft's refusal alone, or by what somebody said as well.
func TestWhenASecretExpiredIsNotMadeUp(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 17, 0, 0, 0, time.UTC)
	for said, want := range map[time.Time]string{
		{}:                      "The client secret has expired: Microsoft has refused it as that since 29 November 2026, 16:00 UTC.",
		now.Add(time.Hour):      "The client secret has expired: Microsoft has refused it as that since 29 November 2026, 16:00 UTC.",
		now.Add(-time.Hour * 5): "The client secret expired on 29 November 2026, 12:00 UTC.",
	} {
		i := connector.Integration{Method: connector.MethodSecret, SecretExpiresAt: said, SecretExpiredAt: now.Add(-time.Hour)}
		if w, due := i.ExpiryWarning(now); !due || fault.NoticeOf(w.Fault).Detail != want {
			t.Errorf("said to be %v: %q", said, fault.NoticeOf(w.Fault).Detail)
		}
	}
}
