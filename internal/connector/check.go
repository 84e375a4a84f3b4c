package connector

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// check runs the live checks for what the settings import. When they met a fault of our own, there are none, and the fault says
// nothing about the credentials; see undecided.
func check(ctx context.Context, source Source, s inventory.Settings) ([]Check, error) {
	ctx, cancel := context.WithTimeout(ctx, CheckBudget)
	defer cancel()
	checks := source.Check(ctx, Probe{Assets: s.ImportAssets, Vulnerabilities: s.ImportVulnerabilities})
	if i := slices.IndexFunc(checks, func(c Check) bool { return c.Code == fault.CodeUnavailable }); i >= 0 {
		f := fault.New(fault.CodeUnavailable, checks[i].Detail)
		f.RetryAfter = checks[i].RetryAfter
		return nil, f
	}
	for i := range checks {
		if d, known := fault.Lookup(checks[i].Code); known && d.Kind == fault.Unavailable {
			checks[i].RetryAfter = cmp.Or(checks[i].RetryAfter, usualWait)
		}
	}
	return checks, Refusal(checks)
}

// undecided tells whether an error of check leaves open what there is to say about the credentials.
func undecided(err error) bool { return fault.Is(err, fault.CodeUnavailable) }

// usualWait is what somebody is told to wait when the source does not say.
const usualWait = time.Minute

// CheckToken names the step of a check in which the credentials themselves are tried.
const CheckToken = "token"

// Refusal is the fault of the first failed check, with all checks as its Data, or nil if none failed.
func Refusal(checks []Check) error {
	for _, c := range checks {
		if c.OK || c.Skipped {
			continue
		}
		f := fault.New(c.Code, c.Detail)
		f.Cause, f.Remedy, f.Acts, f.Access = c.Cause, c.Remedy, c.Acts, c.Access
		f.RetryAfter, f.Asked, f.Data = c.RetryAfter, c.Asked, checks
		return f
	}
	return nil
}

// shape refuses credentials that cannot work whatever Microsoft says, and gives the rest in canonical form.
func shape(c Connector, creds Credentials) (Credentials, error) {
	canonical, fields := c.Shape(creds)
	if len(fields) == 0 {
		return canonical, nil
	}
	code := fault.CodeInvalidRequest
	for _, f := range fields {
		switch {
		case f.Code == FieldLooksLikeSecretID:
			code = fault.CodeSecretIDPasted
		case f.Code == FieldNotAvailable:
			code = fault.CodeMethodUnavailable
		case f.Pointer == CertificatePointer && f.Code != "required":
			code = fault.CodeCertificateUnusable
		}
	}
	f := fault.New(code, fields[0].Detail)
	f.Fields = fields
	if code == fault.CodeSecretIDPasted {
		f.Detail = "The value entered is a Secret ID, not a secret." // the field's own text says what to do, as the remedy does
	}
	if code != fault.CodeInvalidRequest {
		f.Data = []Check{FailedCheck("shape", f, 0)}
	}
	return Credentials{}, f
}

// FieldLooksLikeSecretID marks a secret field that holds a GUID: the portal shows it beside the value, and customers copy
// the wrong column.
const FieldLooksLikeSecretID = "looks_like_secret_id" // #nosec G101 -- a code

// FieldNotAvailable marks a method of sign-in that this service is not set up for.
const FieldNotAvailable = "not_available"

// CertificatePointer is where a certificate stands in the body of a Connect request. What is wrong with its content is no
// breach of the request's form.
const CertificatePointer = "/credentials/certificate"

// CheckSettings checks settings that are not to be stored by the rules for those that are.
func CheckSettings(s inventory.Settings) error { return validateChoice(s, 0) }

// validateChoice checks what the customer selected. intervalHours 0 means unchanged or default.
func validateChoice(s inventory.Settings, intervalHours int) error {
	if !s.ImportAssets && !s.ImportVulnerabilities {
		return fault.New(fault.CodeNoImportSelected, "")
	}
	fields := s.Validate()
	for i := range fields {
		fields[i].Pointer = "/settings" + fields[i].Pointer
	}
	if intervalHours < 0 || intervalHours > 168 {
		fields = append(fields, fault.Field{Pointer: "/schedule/interval_hours", Code: "range", Detail: "must be between 1 and 168"})
	}
	if len(fields) == 0 {
		return nil
	}
	f := fault.New(fault.CodeInvalidRequest, "some settings are not valid")
	f.Fields = fields
	return f
}

// Effective says what a run would import now, and why not more. Every record of Defender is internal, so without the
// entitlement neither assets nor findings are imported.
func Effective(i Integration, e tenant.Entitlement, now time.Time) (assets, vulnerabilities bool, blockedBy []string) {
	if !e.Effective(now) {
		return false, false, []string{fault.CodeEntitlementMissing}
	}
	return i.Settings.ImportAssets, i.Settings.ImportVulnerabilities, nil
}

// binding ties a sealed secret to its place, so that a box moved to another integration or tenant does not open.
func (i *Integration) binding() string {
	return fmt.Sprintf("tenant/%d/integration/%s/client_secret", i.Tenant, i.PublicID)
}

// stagedBinding is that of a staged secret, which opens nowhere else either.
func (i *Integration) stagedBinding() string {
	return fmt.Sprintf("tenant/%d/integration/%s/staged_secret", i.Tenant, i.PublicID)
}

// hint is what is shown of a secret to tell it from others: what its kind says, or its last three characters, as
// Microsoft's portal shows its first three.
func hint(c Credentials) string {
	if c.Hint != "" || c.Secret.IsZero() {
		return c.Hint
	}
	clear := c.Secret.Reveal()
	return "…" + clear[max(0, len(clear)-3):]
}

// Gone tells whether the secret was destroyed: the integration is disconnected, or about to be.
func (i *Integration) Gone() bool {
	return i.State == StateDisconnected || i.State == StateDisconnecting
}

// recover makes a working integration active again and plans a run soon. A paused one stays paused, and one whose last run could not
// read everything stays degraded: that credentials work says nothing about what is missing, the run does.
func (i *Integration) recover(now time.Time) {
	if i.State != StateActionRequired && i.State != StateDegraded {
		return
	}
	i.ask(now)
	if _, incomplete := i.IncompleteWarning(); !incomplete {
		i.State, i.StateReason, i.StateNotice = StateActive, "", fault.Notice{}
	}
}

// require makes somebody's action necessary, as f tells it. What a check meets again says nothing new and moves no version.
func (i *Integration) require(f *fault.Error) {
	i.State, i.StateReason = StateActionRequired, f.Code
	if n := fault.NoticeOf(f); !n.SameAs(i.StateNotice) {
		i.StateNotice = n
	}
}

// heed keeps what Microsoft asked the integration's application to wait for.
func (s *Service) heed(ctx context.Context, i Integration, refused error) error {
	if f := fault.As(refused); refused != nil && f.Asked {
		return s.store.NoteWait(ctx, i.Tenant, i.PublicID, i.ClientID, s.now().Add(f.RetryAfter))
	}
	return nil
}

// lacksNothing tells whether somebody had to act for want of permissions that the settings do not need any more. A state that does not
// tell which ones were missing is left to the next check.
func (i *Integration) lacksNothing(known []Permission) bool {
	a := i.StateNotice.Access
	if i.StateReason != fault.CodePermissionMissing || a == nil || len(a.Missing) == 0 {
		return false
	}
	return !slices.ContainsFunc(a.Missing, func(name string) bool {
		at := slices.IndexFunc(known, func(p Permission) bool { return p.Name == name })
		return at < 0 || known[at].NeededBy(i.Settings)
	})
}

// runSoon plans a run now, if runs are planned at all.
func (i *Integration) runSoon(now time.Time) {
	if i.State == StateActive || i.State == StateDegraded {
		i.ask(now)
	}
}

// ask plans a run at once. If one is under way that cannot know what it is asked for, it comes behind that.
func (i *Integration) ask(now time.Time) { i.NextRunAt, i.AskedAt = now, now }

// planNext brings the next run under a new interval.
func (i *Integration) planNext(now time.Time) {
	if i.NextRunAt.IsZero() {
		return
	}
	if latest := now.Add(time.Duration(i.IntervalHours) * time.Hour); i.NextRunAt.After(latest) {
		i.NextRunAt = latest
	}
}
