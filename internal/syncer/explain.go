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

// Codes of explanations that are no faults.
const (
	ExplainNotYetRun    = "not_yet_run"
	ExplainInProgress   = "in_progress"
	ExplainAssetsOff    = "import_assets_off"
	ExplainFindingsOff  = "import_vulnerabilities_off"
	ExplainNoMachines   = "no_machines"
	ExplainAllFiltered  = "all_machines_filtered"
	ExplainNoRows       = "no_vulnerability_rows"
	ExplainRowsFiltered = "all_rows_filtered"
	ExplainNothingNew   = "nothing_new"
	ExplainRestarted    = "restarted"
	ExplainMissing      = "machines_missing"
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
	add := func(code string, acts fault.Actor, title, detail, remedy string) {
		out = append(out, Notice{Code: code, Title: title, Detail: detail, Remedy: remedy, Acts: acts})
	}
	switch {
	case run.State == Queued:
		add(ExplainNotYetRun, fault.Nobody, "The run has not started yet", "It waits for a free worker.", "Look again in a moment.")
		return out
	case !run.State.Final():
		add(ExplainInProgress, fault.Nobody, "The run is still going on", "Figures grow until it ends.", "Look again when it has finished.")
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
		add(ExplainAssetsOff, fault.Caller, "Import Internal Assets is off", "Machines are kept only as carriers of findings.", "Turn on Import Internal Assets to import all of them.")
	}
	if !settings.ImportVulnerabilities {
		add(ExplainFindingsOff, fault.Caller, "Import Vulnerabilities is off", "No findings are imported.", "Turn on Import Vulnerabilities to import them.")
	}
	out = append(out, explainAssets(run)...)
	if settings.ImportVulnerabilities {
		out = append(out, explainRows(run)...)
	}
	if run.Report.NoChanges {
		add(ExplainNothingNew, fault.Nobody, "Nothing has changed", "Everything was read, and what is stored equals it.", "Nothing to do.")
	}
	if run.Report.Restarted {
		add(ExplainRestarted, fault.Nobody, "The run was interrupted and started again",
			"Its counts are those of the last attempt: what an earlier one had stored already counts as unchanged.", "Nothing to do.")
	}
	return out
}

func explainAssets(run Run) []Notice {
	s := run.Report.StageNamed(StageAssets)
	if s != nil && s.Missing > 0 {
		return []Notice{{
			Code: ExplainMissing, Acts: fault.Nobody, Title: "Some machines were not reported this time",
			Detail: fmt.Sprintf("%d known machines were missing from the list. They are kept until they are missing again in a later run.", s.Missing),
			Remedy: "Nothing to do: they are removed, or back, after one of the next runs.",
		}}
	}
	switch {
	case s == nil || s.State != Succeeded || s.Counts.Accepted > 0:
		return nil
	case s.Counts.Fetched == 0:
		return []Notice{{
			Code: ExplainNoMachines, Acts: fault.CustomerAdmin, Title: "The directory holds no machines",
			Detail: "Microsoft Defender reported no device at all.",
			Remedy: "Onboard devices in the Microsoft Defender portal, and check that the Tenant ID belongs to the directory that holds them.",
		}}
	}
	return []Notice{{
		Code: ExplainAllFiltered, Acts: fault.Caller, Title: "No machine passed the rules",
		Detail: fmt.Sprintf("Defender reported %d machines and all were skipped: %s.", s.Counts.Fetched, biggest(s.SkippedBy)),
		Remedy: "Look at the samples of each reason. Mobile and IoT devices are never imported; age, device groups, tags and name rules are settings.",
	}}
}

func explainRows(run Run) []Notice {
	s := run.Report.StageNamed(StageVulnerabilities)
	switch {
	case s == nil || s.State != Succeeded || s.Counts.Accepted > 0 || s.Plan.Changes || s.Counts.OutOfScope > 0 && s.Counts.Fetched == 0:
		return nil
	case s.Counts.Fetched == 0:
		return []Notice{{
			Code: ExplainNoRows, Acts: fault.CustomerAdmin, Title: "Defender reported no vulnerabilities",
			Detail: "The vulnerability report of the directory is empty.",
			Remedy: "A newly onboarded device needs up to a day to be assessed; vulnerability management needs Plan 2 or the add-on.",
		}}
	}
	return []Notice{{
		Code: ExplainRowsFiltered, Acts: fault.Caller, Title: "No vulnerability passed the rules",
		Detail: fmt.Sprintf("Defender reported %d rows and all were skipped: %s.", s.Counts.Fetched, biggest(s.SkippedBy)),
		Remedy: "Only network-accessible vulnerabilities on imported machines count; minimum severity, attack vectors and unknown vectors are settings.",
	}}
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
		return fmt.Sprintf("Nothing changed: %s.", strings.Join(holdings(run), ", "))
	}
	var parts []string
	if s := run.Report.StageNamed(StageAssets); s != nil {
		parts = append(parts, fmt.Sprintf("assets: %d created, %d updated, %d unchanged, %d left, %d skipped",
			s.Counts.Created, s.Counts.Updated, s.Counts.Unchanged, s.Counts.OutOfScope+s.Counts.Removed, s.Counts.Skipped))
		if s.Missing > 0 {
			parts[0] += fmt.Sprintf(", %d missing from the list, which count as removed once they are missing again hours later", s.Missing)
		}
	}
	if s := run.Report.StageNamed(StageVulnerabilities); s != nil {
		parts = append(parts, fmt.Sprintf("findings: %d created, %d updated, %d unchanged, %d fixed, %d reopened, %d out of scope",
			s.Counts.Created, s.Counts.Updated, s.Counts.Unchanged, s.Counts.Fixed, s.Counts.Reopened, s.Counts.OutOfScope))
	}
	text := strings.Join(parts, "; ") + "."
	return strings.ToUpper(text[:1]) + text[1:]
}

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
