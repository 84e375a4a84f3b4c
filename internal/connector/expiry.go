package connector

import (
	"fmt"
	"math"
	"time"

	"pgp.internal/defender/internal/fault"
)

// ExpiryThresholds are the days before the expiry of a secret at which it is warned of, the first one first. The last warning
// comes when it has expired.
func ExpiryThresholds() []int { return []int{30, 14, 7, 1, 0} }

const day = 24 * time.Hour

// ExpiryWarning is what is to be told of a secret that has expired or soon will.
type ExpiryWarning struct {
	Fault     *fault.Error // secret_expiring or secret_expired
	ExpiresAt time.Time
	DaysLeft  int // begun days until then; 0 once it has expired
}

// ExpiryWarning tells whether the secret is within the first threshold of its expiry, as far as that is known.
func (i *Integration) ExpiryWarning(now time.Time) (w ExpiryWarning, due bool) {
	left := i.SecretExpiresAt.Sub(now)
	if i.SecretExpiresAt.IsZero() || i.Gone() || left > time.Duration(ExpiryThresholds()[0])*day {
		return ExpiryWarning{}, false
	}
	w = ExpiryWarning{ExpiresAt: i.SecretExpiresAt, DaysLeft: max(0, int(math.Ceil(left.Hours()/day.Hours())))}
	what, on := "client secret", i.SecretExpiresAt.UTC().Format("2 January 2006, 15:04 MST")
	if i.Method == MethodCertificate {
		what = "certificate"
	}
	if w.DaysLeft == 0 {
		w.Fault = fault.New(fault.CodeSecretExpired, fmt.Sprintf("The %s expired on %s.", what, on))
	} else {
		w.Fault = fault.New(fault.CodeSecretExpiring, fmt.Sprintf("The %s expires on %s: %s left.", what, on, days(w.DaysLeft)))
	}
	return w, true
}

func days(n int) string {
	if n == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

// learnExpired notes that Microsoft called the secret expired. What somebody was told of its expiry counts for less.
func (i *Integration) learnExpired(now time.Time) {
	if i.SecretExpiresAt.IsZero() || i.SecretExpiresAt.After(now) {
		i.SecretExpiresAt = now
	}
}
