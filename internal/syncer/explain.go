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
	out = append(out, run.Report.Warnings...)
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
		add(ExplainNothingNew)
	}
	if run.Report.Restarted {
		add(ExplainRestarted)
	}
	return out
}

func explainMissing(run Run) []Notice {
	s := run.Report.StageNamed(StageAssets)
	if s == nil || s.Missing == 0 {
		return nil
	}
	return []Notice{{
		Code: ExplainMissing, Acts: fault.Nobody, Title: "Some machines were not reported this time",
		Detail: fmt.Sprintf("%d known machines were missing from the list. They are kept until they are missing again in a later run.", s.Missing),
		Remedy: "Nothing to do: they are removed, or back, after one of the next runs.",
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

// CancelledUntouched is the summary of a run that was cancelled before it changed anything.
const CancelledUntouched = "Cancelled; nothing was marked removed or fixed."

// summarize puts a run into one sentence.
func summarize(run *Run) string {
	switch {
	case run.Kind == KindPurge && run.State == Succeeded:
		return fmt.Sprintf("Deleted %d assets with everything that belonged to them.", run.Report.Totals().Removed)
	case run.State == Cancelled && run.Report.withdrawn() > 0:
		return fmt.Sprintf("Cancelled after the assets were brought up to date; %d findings went out of scope with their assets, all others were left as they were.",
			run.Report.withdrawn())
	case run.State == Cancelled && run.Report.applied():
		return "Cancelled after the assets were brought up to date; vulnerabilities were left as they were."
	case run.State == Cancelled:
		return CancelledUntouched
	case run.Report.Error != nil && run.State == PartiallySucceeded && run.Report.withdrawn() > 0:
		return fmt.Sprintf("Assets were imported, and %d findings went out of scope with theirs; vulnerabilities were not: %s.",
			run.Report.withdrawn(), run.Report.Error.Title)
	case run.Report.Error != nil && run.State == PartiallySucceeded:
		return "Assets were imported, vulnerabilities were not: " + run.Report.Error.Title + "."
	case run.Report.Error != nil:
		return "Failed: " + run.Report.Error.Title + "."
	case len(run.Report.Stages) == 0 && len(run.Report.Warnings) > 0:
		return "Nothing was imported: " + run.Report.Warnings[0].Title + "."
	case run.Report.NoChanges:
		if empty := explainEmpty(*run); len(empty) > 0 {
			return "Nothing was imported: " + lowered(empty[0].Title) + "."
		}
		return fmt.Sprintf("Nothing changed: %s.", strings.Join(holdings(run), ", "))
	}
	var parts []string
	if s := run.Report.StageNamed(StageAssets); s != nil {
		parts = append(parts, fmt.Sprintf("assets: %d created, %d updated, %d unchanged, %d left, %d skipped",
			s.Counts.Created, s.Counts.Updated, s.Counts.Unchanged, s.Counts.OutOfScope+s.Counts.Removed, s.Counts.Skipped))
		if s.Held > 0 {
			parts[0] += fmt.Sprintf(", %d held back", s.Held)
		}
		if s.Missing > 0 {
			parts[0] += fmt.Sprintf(", %d missing from the list, which count as removed once they are missing again hours later", s.Missing)
		}
	}
	if s := run.Report.StageNamed(StageVulnerabilities); s != nil {
		parts = append(parts, fmt.Sprintf("findings: %d created, %d updated, %d unchanged, %d fixed, %d reopened, %d out of scope",
			s.Counts.Created, s.Counts.Updated, s.Counts.Unchanged, s.Counts.Fixed, s.Counts.Reopened, s.Counts.OutOfScope))
		if s.Ledger.Back > 0 {
			parts[len(parts)-1] += fmt.Sprintf(", %d of the updated came back into scope", s.Ledger.Back)
		}
		if s.Held > 0 {
			parts[len(parts)-1] += fmt.Sprintf(", %d held back", s.Held)
		}
	}
	text := strings.Join(parts, "; ") + "."
	if run.State == PartiallySucceeded {
		text += " Not everything could be read: " + strings.Join(unread(run), "; ") + "."
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// unread tells what a run could not read, in clauses.
func unread(run *Run) (clauses []string) {
	for _, n := range run.Report.Warnings {
		if n.Code == fault.CodeUnreadable || n.Code == fault.CodeReportPoor {
			clauses = append(clauses, cmp.Or(n.Detail, lowered(n.Title)))
		}
	}
	return clauses
}

// lowered begins a clause with a title.
func lowered(title string) string { return strings.ToLower(title[:1]) + title[1:] }

func holdings(run *Run) []string {
	var parts []string
	if s := run.Report.StageNamed(StageAssets); s != nil {
		parts = append(parts, fmt.Sprintf("%d assets", s.Counts.Unchanged))
	}
	if s := run.Report.StageNamed(StageVulnerabilities); s != nil {
		parts = append(parts, fmt.Sprintf("%d findings", s.Counts.Unchanged))
	}
	return parts
}
