package tenant

import "time"

// Entitlement is what a tenant's subscription includes. Dates are inclusive calendar days in UTC; zero means open.
type Entitlement struct {
	InternalAssessments bool
	MaxAssets           int // 0 means no limit
	ValidFrom           time.Time
	ValidUntil          time.Time
	Source              string // who recorded it, e.g. "cli"
	Version             int64  // moves with every change; on setting, the one to replace, or 0 for whichever is there
	UpdatedAt           time.Time
}

// Effective reports whether internal assessments are included on the day of now. Every record of Defender is internal,
// so without it neither assets nor findings are imported; what is stored stays readable.
func (e Entitlement) Effective(now time.Time) bool {
	day := now.UTC().Truncate(24 * time.Hour)
	if !e.InternalAssessments {
		return false
	}
	if !e.ValidFrom.IsZero() && day.Before(e.ValidFrom) {
		return false
	}
	return e.ValidUntil.IsZero() || !day.After(e.ValidUntil)
}

// Exceeds tells whether something can be imported by it at the moment that could not by the one before.
func (e Entitlement) Exceeds(before Entitlement, now time.Time) bool {
	if !e.Effective(now) {
		return false
	}
	return !before.Effective(now) || before.MaxAssets > 0 && (e.MaxAssets == 0 || e.MaxAssets > before.MaxAssets)
}
