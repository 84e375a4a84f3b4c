package syncer

import (
	"fmt"
	"strings"

	"pgp.internal/defender/internal/fault"
)

// cancelledUntouched is the summary of a run that was cancelled before it changed anything.
const cancelledUntouched = "Cancelled; nothing was marked removed or fixed."

// Cancel makes the run, as it was stored last, one that was cancelled; for runs whose end no worker will record.
func (r *Run) Cancel() {
	notice := NoticeOf(fault.New(fault.CodeRunCancelled, ""))
	r.State, r.Report.Error = Cancelled, &notice
	r.Report.endStages(Cancelled)
	r.Report.Summary = summarize(r)
}

// endStages ends the stages that whoever carried them out has not ended.
func (r *Report) endStages(state RunState) {
	for i := range r.Stages {
		if r.Stages[i].State == Running {
			r.Stages[i].State = state
		}
	}
}

// cutShort tells of a run that did not come to its end. It goes by what was committed until then, which stays.
func cutShort(run *Run) string {
	if run.Kind == KindPurge {
		return purgeCutShort(run)
	}
	r := &run.Report
	switch {
	case run.State == Cancelled && (run.Preview != nil || r.Applied == ""):
		return cancelledUntouched
	case run.State == Cancelled && r.Applied == StageVulnerabilities:
		return "Cancelled after assets and vulnerabilities were brought up to date." + r.done()
	case run.State == Cancelled:
		return "Cancelled after the assets were brought up to date; all other vulnerabilities were left as they were." + r.done()
	case run.State == PartiallySucceeded && r.Applied == StageVulnerabilities:
		return "Assets and vulnerabilities were imported, but the run did not come to its end: " + r.Error.Title + "." + r.done()
	case run.State == PartiallySucceeded:
		return "Assets were imported, vulnerabilities were not: " + r.Error.Title + "." + r.done()
	case run.Preview == nil && r.Applied != "":
		return "Failed: " + r.Error.Title + ". What it had stored by then stays." + r.done()
	}
	return "Failed: " + r.Error.Title + "."
}

func purgeCutShort(run *Run) string {
	done := ""
	if deleted := run.Report.Totals().Removed; deleted > 0 {
		done = fmt.Sprintf(" %d assets had been deleted by then, with everything that belonged to them.", deleted)
	}
	if run.State == Cancelled {
		return "Cancelled." + done
	}
	return "Failed: " + run.Report.Error.Title + "." + done
}

// done gives the figures of what was applied, as far as there are any: of what an interrupted attempt committed, or a worker that
// could not tell of it any more, there are none.
func (r *Report) done() (text string) {
	if s := r.StageNamed(StageAssets); s != nil && s.State == Succeeded {
		text = " Assets" + strings.TrimPrefix(assetFigures(s), "assets")
		if n := r.withdrawn(); n > 0 && r.Applied != StageVulnerabilities {
			text += fmt.Sprintf("; %d findings went out of scope with their assets", n)
		}
		text += "."
	}
	if r.Applied != StageVulnerabilities {
		return text
	}
	if s := r.StageNamed(StageVulnerabilities); s != nil && (s.Ledger != Ledger{} || s.Counts.Changes()+s.Counts.Unchanged > 0) {
		return text + " Findings" + strings.TrimPrefix(findingFigures(s), "findings") + "."
	}
	return text + " There are no figures of the vulnerabilities."
}

// withdrawn is how many findings left with their assets in a run that did not get so far as to apply findings.
func (r *Report) withdrawn() (n int64) {
	for _, s := range r.Stages {
		if s.Name == StageVulnerabilities || s.Name == StageFinish {
			n += s.Counts.OutOfScope
		}
	}
	return n
}

// applied notes that changes are committed; the store does the same together with them.
func (e *execution) applied(stage Stage) {
	if e.run.Preview != nil {
		return
	}
	e.mu.Lock()
	if e.run.Report.Applied != StageVulnerabilities {
		e.run.Report.Applied = stage
	}
	e.mu.Unlock()
}
