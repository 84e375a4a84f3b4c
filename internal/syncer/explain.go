package syncer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// Explain says in plain language why a run imported what it imported, the most important reason first. "Nothing was
// imported" always has an explanation. A run is explained by the settings and the subscription it was judged by; the present
// ones, i and e, stand in for them where the run does not hold its own: it has not begun, or it was stored before runs kept them.
func Explain(run Run, i connector.Integration, e tenant.Entitlement, now time.Time) []Notice {
	settings, entitled := i.Settings, e.Effective(now)
	if used := run.SettingsUsed(); used != nil {
		settings = *used
	}
	if run.Report.Judged != nil {
		entitled = run.Report.Judged.Entitled
	}
	var out []Notice
	add := func(code string) { out = append(out, explained(code, "")) }
	switch {
	case run.State == Queued:
		add(ExplainNotYetRun)
		return out
	case !run.State.Final():
		add(ExplainInProgress)
	case run.Report.Error != nil:
		out = append(out, *run.Report.Error)
	}
	if !entitled && !slices.ContainsFunc(run.Report.Warnings, hasCode(fault.CodeEntitlementMissing)) {
		out = append(out, NoticeOf(fault.New(fault.CodeEntitlementMissing, "the next run will import nothing")))
	}
	for _, w := range run.Report.Warnings {
		if e := run.Report.Error; e == nil || e.Code != fault.CodeSecretExpired || w.Code != e.Code { // whose warning says no more than the error does
			out = append(out, w)
		}
	}
	if run.Kind == KindPurge {
		return out
	}
	if !settings.ImportAssets {
		add(ExplainAssetsOff)
	}
	if !settings.ImportVulnerabilities {
		add(ExplainFindingsOff)
	}
	empty := explainEmpty(run)
	out = append(out, empty...)
	if len(empty) == 0 {
		out = append(out, explainMissing(run)...)
	}
	if settings.ImportVulnerabilities && !slices.ContainsFunc(empty, hasCode(ExplainNoMachines)) { // no machines have no vulnerabilities
		out = append(out, explainRows(run)...)
	}
	if run.Report.NoChanges && len(empty) == 0 {
		out = append(out, explainNothingNew(run))
	}
	if run.Report.Restarted {
		add(ExplainRestarted)
	}
	return out
}

// explainNothingNew says by which catalogue: what it tells otherwise since, no run has judged by yet.
func explainNothingNew(run Run) Notice {
	s := run.Report.StageNamed(StageCatalogue)
	if s == nil || s.CatalogueAt.IsZero() {
		return explained(ExplainNothingNew, "")
	}
	return explained(ExplainNothingNew, fmt.Sprintf("Everything that was to be read was, and nothing that is stored had to be changed, by the catalogue of vulnerabilities as of %s. "+
		"What Microsoft has changed in that since comes with a later run.", moment(s.CatalogueAt)))
}

func explainMissing(run Run) []Notice {
	s := run.Report.StageNamed(StageAssets)
	if s == nil || s.Missing == 0 {
		return nil
	}
	return []Notice{{
		Code: ExplainMissing, Acts: fault.Nobody, Title: "Some machines were not reported this time",
		Detail: fmt.Sprintf("%d known machines were missing from the list. They are kept until a list misses them that is read six hours or more after the first one that did.", s.Missing),
		Remedy: "Nothing to do: scheduled runs remove them, or find them again.",
	}}
}

// explainEmpty says why no machine counted, if none did.
func explainEmpty(run Run) []Notice {
	s := run.Report.StageNamed(StageAssets)
	if s != nil && (s.Missing > 0 || s.Partial) {
		return nil // it is told of those; and a list of some says nothing of all
	}
	switch {
	case s == nil || s.State != Succeeded || s.Counts.Accepted > 0:
		return nil
	case s.Counts.Fetched == 0:
		return []Notice{explained(ExplainNoMachines, "")}
	}
	return []Notice{explained(ExplainAllFiltered, fmt.Sprintf("Defender reported %d machines and all were skipped: %s.", s.Counts.Fetched, biggest(s.SkippedBy)))}
}

func explainRows(run Run) []Notice {
	s := run.Report.StageNamed(StageVulnerabilities)
	switch {
	case s == nil || s.State != Succeeded || s.Counts.Accepted > 0 || s.Plan.Changes || s.Counts.OutOfScope > 0 && s.Counts.Fetched == 0:
		return nil
	case s.Counts.Fetched == 0 && len(unread(&run)) > 0:
		return nil // there may be some in what could not be read
	case s.Counts.Fetched == 0:
		return []Notice{explained(ExplainNoRows, "")}
	}
	return []Notice{explained(ExplainRowsFiltered, fmt.Sprintf("Defender reported %d rows and all were skipped: %s.", s.Counts.Fetched, biggest(s.SkippedBy)))}
}

// biggest names the three most frequent reasons.
func biggest(by map[inventory.Reason]int64) string {
	reasons := slices.SortedFunc(maps.Keys(by), func(a, b inventory.Reason) int {
		return cmp.Or(cmp.Compare(by[b], by[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, r := range reasons[:min(3, len(reasons))] {
		parts = append(parts, fmt.Sprintf("%d × %s", by[r], r))
	}
	return strings.Join(parts, ", ")
}

func hasCode(code string) func(Notice) bool { return func(n Notice) bool { return n.Code == code } }
