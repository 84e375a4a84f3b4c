package connector

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"pgp.internal/defender/internal/fault"
)

// ExpiryThresholds are the days before the expiry of a secret at which it is warned of, the first one first. The last warning
// comes when it has expired.
func ExpiryThresholds() []int { return []int{30, 14, 7, 1, 0} }

// ExpiryPointer is where the expiry of a secret stands in the body of a Connect request.
const ExpiryPointer = "/credentials/secret_expires_at"

const day = 24 * time.Hour

// ExpiryWarning is what is to be told of a secret that has expired or soon will.
type ExpiryWarning struct {
	Fault     *fault.Error // secret_expiring or secret_expired
	ExpiresAt time.Time
	DaysLeft  int // begun days until then; 0 once it has expired
}

// expiry is when the secret expires or did, as far as that is known: Microsoft has the last word that it did.
func (i *Integration) expiry() time.Time {
	if i.SecretExpiresAt.IsZero() || !i.SecretExpiredAt.IsZero() && i.SecretExpiredAt.Before(i.SecretExpiresAt) {
		return i.SecretExpiredAt
	}
	return i.SecretExpiresAt
}

// ExpiryWarning tells whether the secret is within the first threshold of its expiry, as far as that is known.
func (i *Integration) ExpiryWarning(now time.Time) (w ExpiryWarning, due bool) {
	ends := i.expiry()
	left := ends.Sub(now)
	if ends.IsZero() || i.Gone() || left > time.Duration(ExpiryThresholds()[0])*day {
		return ExpiryWarning{}, false
	}
	w = ExpiryWarning{ExpiresAt: ends, DaysLeft: max(0, int(math.Ceil(left.Hours()/day.Hours())))}
	what, on := i.Method.Proof(), ends.UTC().Format("2 January 2006, 15:04 MST")
	if w.DaysLeft == 0 {
		said := fmt.Sprintf("The %s expired on %s.", what, on)
		if !ends.Equal(i.SecretExpiresAt) { // nobody knows when, but that it had by then
			said = fmt.Sprintf("The %s has expired: Microsoft has refused it as that since %s.", what, on)
		}
		w.Fault = fault.New(fault.CodeSecretExpired, said)
		w.Fault.Cause, w.Fault.Remedy = fmt.Sprintf("The %s has passed its expiry date.", what), i.Method.Renewal()+"."
	} else {
		w.Fault = fault.New(fault.CodeSecretExpiring, fmt.Sprintf("The %s expires on %s: %s left.", what, on, days(w.DaysLeft)))
		w.Fault.Headline = fmt.Sprintf("The %s expires soon", what)
		w.Fault.Cause = fmt.Sprintf("The %s is close to its expiry date; after it nothing is imported.", what)
		w.Fault.Remedy = i.Method.Renewal() + "; staged, it takes over by itself once it works."
	}
	return w, true
}

func days(n int) string {
	if n == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

// learn keeps what a trial of the secret in use says of its expiry: when Microsoft first called it expired, until it takes it again.
// What the certificate or somebody said is left alone.
func (i *Integration) learn(checks []Check, refused error, now time.Time) {
	switch {
	case fault.Is(refused, fault.CodeSecretExpired):
		if i.SecretExpiredAt.IsZero() {
			i.SecretExpiredAt = now
		}
	case slices.ContainsFunc(checks, func(c Check) bool { return c.Name == CheckToken && c.OK }):
		i.SecretExpiredAt = time.Time{}
	}
}

// checkSaid refuses an expiry that somebody tells of a sign-in that keeps nothing here, and so nothing that expires.
func checkSaid(m Method, said time.Time) error {
	if m != MethodFederated || said.IsZero() {
		return nil
	}
	return tellsItself("A federated sign-in has nothing that expires.")
}

// correctExpiry takes what somebody says of the secret in use, which is kept as the database does, to the microsecond.
func (i *Integration) correctExpiry(said time.Time) error {
	if i.Method == MethodCertificate {
		return tellsItself("The certificate says itself when it expires.")
	}
	if said = said.UTC().Round(time.Microsecond); !said.Equal(i.SecretExpiresAt) {
		i.SecretExpiresAt = said
	}
	return checkSaid(i.Method, said)
}

func tellsItself(why string) error {
	f := fault.New(fault.CodeInvalidExpiry, why)
	f.Fields = []fault.Field{{Pointer: ExpiryPointer, Code: "not_allowed", Detail: "Leave it out: " + strings.ToLower(why[:1]) + strings.TrimSuffix(why[1:], ".")}}
	return f
}
