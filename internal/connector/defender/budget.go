package defender

import (
	"context"
	"time"

	"pgp.internal/defender/internal/connector"
)

// Family groups routes that share one of Microsoft's quotas.
type Family string

// Families.
const (
	FamilyToken           Family = "token"
	FamilyCheckToken      Family = "check_token" // of checks: who only knows two ids must not use up the tokens of runs
	FamilyMachines        Family = "machines"
	FamilyVulnerabilities Family = "vulnerabilities"
	FamilyExport          Family = "export"
	FamilyChanges         Family = "changes"
	FamilyExportFiles     Family = "export_files" // SoftwareVulnerabilitiesExport
)

// BudgetKey names one quota: Microsoft counts by application and directory.
type BudgetKey struct {
	DirectoryID string
	ClientID    string
	Family      Family
}

// Caller is who makes a call.
type Caller struct {
	ID       int64               // of the source; who tries whether a directory answers again goes on under the same number
	Person   bool                // somebody waits for the result of a check
	MostHold time.Duration       // longest [Budget.Hold] that is waited for; 0 means any
	Waits    func(time.Duration) // is told of each wait for leave as it begins; may be nil
}

// Permit is leave to make one call at once.
type Permit struct {
	failing bool // the directory's last call failed, so that an answer is worth telling
	probe   bool // the directory's breaker is open, and this call tries whether it answers again
}

// Ending says what a call tells about its directory.
type Ending int

// Endings.
const (
	Answered     Ending = iota // the API answered, be it with a refusal
	Undecided                  // given up by this side, or only the login service answered
	TokenGranted               // the login service answered, and the caller goes on to the API
	Unanswered                 // network, time-out or 5xx
)

// Budget keeps calls under Microsoft's limits, and away from directories that do not answer. Its methods are called at the
// same time. An error of theirs that is neither named nor the context's means that nothing is known: no call may go out.
type Budget interface {
	// Take waits until one more call is allowed. It fails at once with upstream_throttled when the context would end before
	// that, or calls are held for longer than the caller waits for, and with upstream_unavailable while the directory's breaker is open. Both faults say when to try again.
	Take(ctx context.Context, key BudgetKey, by Caller) (Permit, error)
	// End tells how a call ended that was taken, and reports whether the directory's breaker opened by it.
	End(ctx context.Context, key BudgetKey, by Caller, p Permit, how Ending) (opened bool, err error)
	// Retry reports whether one more repeat is allowed; repeats may be no more than a tenth of the calls, beyond a small
	// reserve, so that an outage is not answered with more load.
	Retry(ctx context.Context, key BudgetKey) (bool, error)
	// Hold lets no call through for d, after Microsoft said so to one of them; also none that waits in Take.
	Hold(ctx context.Context, key BudgetKey, d time.Duration) error
}

// quota is a limit per minute and per hour.
type quota struct{ minute, hour int }

// longestWindow is the longest of the windows that Microsoft counts calls in.
const longestWindow = time.Hour

// quota of a family, from Microsoft's pages "List machines API" and "Export software vulnerabilities assessment per device".
// Those of the vulnerability lists are not documented: the export's are taken, the lowest there is of lists. Token requests
// are one an hour in the normal case; their limit only stops a defect from storming the login service.
func (f Family) quota() quota {
	switch f {
	case FamilyMachines:
		return quota{100, 1500}
	case FamilyToken, FamilyCheckToken:
		return quota{60, 600}
	case FamilyExportFiles:
		return quota{5, 20}
	default:
		return quota{30, 1000}
	}
}

// rates are the quota as buckets. A full burst and the refill of one window together stay below the limit, by a tenth in
// the minute and a twentieth in the hour. So no window exceeds it even if a call takes 8 seconds longer to arrive than
// those behind it: as long as a connection may take to be made.
func (q quota) rates() (minute, hour connector.CallRate) {
	return rate(q.minute, time.Minute, q.minute/4, 0.9), rate(q.hour, longestWindow, q.hour/8, 0.95)
}

func rate(limit int, window time.Duration, burst int, share float64) connector.CallRate {
	refill := float64(limit)*share - float64(burst)
	return connector.CallRate{Every: (time.Duration(float64(window) / refill)).Truncate(time.Microsecond) + time.Microsecond, Burst: burst}
}

// Unlimited is a [Budget] without limits: for measuring against a simulator that has none either, and for tests.
type Unlimited struct{}

// Take implements [Budget].
func (Unlimited) Take(context.Context, BudgetKey, Caller) (Permit, error) { return Permit{}, nil }

// End implements [Budget].
func (Unlimited) End(context.Context, BudgetKey, Caller, Permit, Ending) (bool, error) {
	return false, nil
}

// Retry implements [Budget].
func (Unlimited) Retry(context.Context, BudgetKey) (bool, error) { return true, nil }

// Hold implements [Budget].
func (Unlimited) Hold(context.Context, BudgetKey, time.Duration) error { return nil }
