package inventory

import (
	"fmt"
	"slices"
	"time"
)

// ActiveWithin is how recently an active asset was seen. Defender itself calls a device inactive after seven days
// without a signal.
const ActiveWithin = 7 * 24 * time.Hour

// Judge decides which records of one run count. It is bound to settings and a moment, so that one run applies one
// measure throughout, and it may be used by several goroutines at once.
type Judge struct {
	settings    Settings
	now         time.Time
	oldest      time.Time // machines last seen before are stale
	groups      map[string]bool
	tagsInclude map[string]bool
	tagsExclude map[string]bool
	vectors     [vectorCount]bool
}

// NewJudge prepares the rules. The settings must have passed [Settings.Validate].
func NewJudge(s Settings, now time.Time) *Judge {
	j := &Judge{
		settings: s, now: now, oldest: now.Add(-time.Duration(s.MaxAgeDays) * 24 * time.Hour),
		groups: foldedSet(s.DeviceGroups), tagsInclude: foldedSet(s.TagsInclude), tagsExclude: foldedSet(s.TagsExclude),
	}
	for _, v := range s.AttackVectors {
		if v > VectorUnknown && v < vectorCount {
			j.vectors[v] = true
		}
	}
	return j
}

func foldedSet(words []string) map[string]bool {
	set := make(map[string]bool, len(words))
	for _, w := range words {
		if w = fold(w); w != "" {
			set[w] = true
		}
	}
	return set
}

// Machine makes an asset of a machine that counts. Otherwise it gives the first reason against it, in the order of the
// constants of [Reason], and a short text for people: the offending value, at most 100 characters on one line. An asset
// comes without ids and with import state [Imported]; duplicates within one read are the caller's to find.
func (j *Judge) Machine(m *Machine) (Asset, Reason, string) {
	if reason, detail := j.belongs(m); reason != Accepted {
		return Asset{}, reason, sample(detail)
	}
	family, warning, reason := ClassifyPlatform(m.Platform, onboarded(m))
	if reason != Accepted {
		return Asset{}, reason, sample(m.Platform)
	}
	if reason, detail := j.selected(m, family); reason != Accepted {
		return Asset{}, reason, sample(detail)
	}
	name, kind, reason := NormalizeHostname(m.DNSName, &j.settings)
	if reason != Accepted {
		return Asset{}, reason, sample(m.DNSName)
	}
	primary, addresses, refused := chooseAddresses(m, &j.settings)
	if !primary.IsValid() {
		return Asset{}, IPNone, addressDetail(refused)
	}
	// The last rule, so that a machine is stale only if nothing else speaks against it.
	if seen := trusted(m.LastSeen); !seen.IsZero() && seen.Before(j.oldest) {
		return Asset{}, Stale, seen.Format(time.RFC3339)
	}
	a := j.describe(m)
	a.Hostname, a.NameKind = name, kind
	a.PrimaryIP, a.Addresses = primary, addresses
	a.OS.Family = family
	if warning != "" {
		a.Warnings = append(a.Warnings, warning)
	}
	return a, Accepted, ""
}

// belongs asks whether the record stands for a machine of its own that Defender looks after.
func (j *Judge) belongs(m *Machine) (reason Reason, detail string) {
	switch {
	case !usableID(CanonicalID(m.SourceID)):
		return IDMissing, m.SourceID
	case CanonicalID(m.MergedInto) != "":
		return Merged, m.MergedInto
	case m.Excluded:
		return Excluded, m.ExclusionReason
	case !onboarded(m) && !j.settings.IncludeDiscovered:
		return NotOnboarded, m.Onboarding
	}
	return Accepted, ""
}

// selected asks the rules between platform and host name.
func (j *Judge) selected(m *Machine, family string) (reason Reason, detail string) {
	switch {
	case isWSL(m, family):
		return WSLInstance, m.DNSName
	case len(j.groups) > 0 && !j.groups[fold(m.GroupName)]:
		return GroupFiltered, m.GroupName
	}
	if i := slices.IndexFunc(m.Tags, func(tag string) bool { return j.tagsExclude[fold(tag)] }); i >= 0 {
		return TagFiltered, m.Tags[i]
	}
	if len(j.tagsInclude) > 0 && !slices.ContainsFunc(m.Tags, func(tag string) bool { return j.tagsInclude[fold(tag)] }) {
		return TagFiltered, "none of the tags to include"
	}
	return Accepted, ""
}

// addressDetail names the reason of the best candidate, because "no address" alone helps nobody.
func addressDetail(refused refusedAddress) string {
	if refused.reason == IPNone {
		return "no address reported"
	}
	return sample(fmt.Sprintf("%s: %s", refused.reason, refused.text))
}

func onboarded(m *Machine) bool {
	word := fold(m.Onboarding)
	return word == "" || word == "onboarded"
}

// trusted drops times that cannot be: Defender writes the year 1 for "never".
func trusted(t time.Time) time.Time {
	if y := t.UTC().Year(); y < minTrusted || y > maxTrusted {
		return time.Time{}
	}
	return t.UTC()
}
