package syncer

import (
	"cmp"
	"fmt"
	"strings"

	"pgp.internal/defender/internal/fault"
)

// summarize puts a run into one sentence.
func summarize(run *Run) string {
	switch {
	case run.Kind == KindPurge && run.State == Succeeded:
		return fmt.Sprintf("Deleted %d assets with everything that belonged to them.", run.Report.Totals().Removed)
	case run.State == Cancelled || run.Report.Error != nil:
		return cutShort(run)
	case len(run.Report.Stages) == 0 && len(run.Report.Warnings) > 0:
		return "Nothing was imported: " + run.Report.Warnings[0].Title + "."
	case run.Report.NoChanges:
		if empty := explainEmpty(*run); len(empty) > 0 {
			return "Nothing was imported: " + lowered(empty[0].Title) + "."
		}
		text := fmt.Sprintf("Nothing changed: %s.", strings.Join(holdings(run), ", "))
		if over := run.Report.Told(fault.CodeQuotaExceeded); over.Detail != "" {
			text += " Besides, " + over.Detail + "."
		}
		return text
	}
	var parts []string
	if s := run.Report.StageNamed(StageAssets); s != nil {
		parts = append(parts, assetFigures(s))
	}
	if s := run.Report.StageNamed(StageVulnerabilities); s != nil {
		parts = append(parts, findingFigures(s))
	}
	text := strings.Join(parts, "; ") + "."
	if run.State == PartiallySucceeded {
		text += " Not everything could be read: " + strings.Join(unread(run), "; ") + "."
	}
	if run.Report.Restarted && run.Preview == nil {
		text += " The run was interrupted and started again: what it had stored before counts as unchanged."
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func assetFigures(s *StageReport) string {
	text := fmt.Sprintf("assets: %d created, %d updated, %d unchanged, %d left, %d skipped",
		s.Counts.Created, s.Counts.Updated, s.Counts.Unchanged, s.Counts.OutOfScope+s.Counts.Removed, s.Counts.Skipped)
	if s.Ledger.StillOut > 0 {
		text += fmt.Sprintf(", %d of the updated are out of scope as before, for another reason", s.Ledger.StillOut)
	}
	if s.Held > 0 {
		text += fmt.Sprintf(", %d held back", s.Held)
	}
	if s.Missing > 0 {
		text += fmt.Sprintf(", %d missing from the list, which count as removed once they are missing again hours later", s.Missing)
	}
	return text
}

func findingFigures(s *StageReport) string {
	text := fmt.Sprintf("findings: %d created, %d updated, %d unchanged, %d fixed, %d reopened, %d out of scope",
		s.Counts.Created, s.Counts.Updated, s.Counts.Unchanged, s.Counts.Fixed, s.Counts.Reopened, s.Counts.OutOfScope)
	for _, more := range []struct {
		n    int64
		text string
	}{
		{s.Ledger.Back, "%d of the updated came back into scope"}, {s.Held, "%d held back"},
		{s.Moved, "on %d assets software lies in other places than before"}, {s.Readvised, "%d recommendations changed"},
	} {
		if more.n > 0 {
			text += fmt.Sprintf(", "+more.text, more.n)
		}
	}
	return text
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
		which := ""
		if s.Partial {
			which = " that reported since the last run"
		}
		parts = append(parts, fmt.Sprintf("%d assets%s", s.Counts.Unchanged, which))
	}
	if s := run.Report.StageNamed(StageVulnerabilities); s != nil {
		parts = append(parts, fmt.Sprintf("%d findings", s.Counts.Unchanged))
	}
	return parts
}
