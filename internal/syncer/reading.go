package syncer

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/inventory"
)

// ReportPolicy says when the vulnerability report is read whole and when only what changed in it. The zero value reads it
// whole always.
type ReportPolicy struct {
	WholeEvery time.Duration // read it whole when the last whole reading is older; 0 means always
	WholeRows  int64         // read it whole while it has no more rows: it is few calls, and complete
	KeptFor    time.Duration // how far back the source can tell changes
	Overlap    time.Duration // ask for changes this much before the last reading, against late ones

	FilesRows     int64         // read a whole report with more rows from files
	FilesMachines int64         // and one of unknown size, when there are more machines
	FilesAgain    time.Duration // not before so long after files could not be had; a full run tries them at once

	WholeMachines   int64         // list all machines, whatever is read of the report, while there are no more
	MachinesEvery   time.Duration // list all machines when the last whole list is older
	MachinesOverlap time.Duration // else those that reported this much before the last reading
}

// DefaultReportPolicy follows Microsoft's page "Export software vulnerabilities assessment per device": the report whole at
// least once a week, and changes, which are kept for 14 days and come in batches of six hours, in between. Up to four pages
// it is read whole, and from files when it is larger than what some twenty pages hold. Up to five pages of machines are listed
// whole each time; of more, a run between two whole lists asks for those that reported since the last reading: who is missing
// shows in the next whole list, which another one soon confirms. Whole lists are due an hour short of three days, so that daily
// runs, which do not begin to the second, keep to every third.
//
// A report may be six hours old when its reading begins, and its reading may go on with pages that are six hours old by
// then (see [pagelog.MaxAge]); the overlap covers both.
func DefaultReportPolicy() ReportPolicy {
	return ReportPolicy{WholeEvery: 7 * 24 * time.Hour, WholeRows: 200_000, KeptFor: 13 * 24 * time.Hour, Overlap: 18 * time.Hour,
		FilesRows: 1_000_000, FilesMachines: 10_000, FilesAgain: 12 * time.Hour, WholeMachines: 50_000, MachinesEvery: 71 * time.Hour, MachinesOverlap: 6 * time.Hour}
}

// Reading is what an integration remembers of how its report was read.
type Reading struct {
	WholeAt    time.Time `json:"whole_at,omitzero"`    // when the last whole reading that was applied had begun
	KnownAt    time.Time `json:"known_at,omitzero"`    // changes until then are known
	Rows       int64     `json:"rows,omitempty"`       // of the last whole reading
	Machines   int64     `json:"machines,omitempty"`   // of the last whole list
	MachinesAt time.Time `json:"machines_at,omitzero"` // when that had begun
	MissingAt  time.Time `json:"missing_at,omitzero"`  // when a whole list was through that missed assets, until another one has looked again
	Doubt      string    `json:"doubt,omitempty"`      // why the next reading has to be whole, if it has to

	// Merged leads from the records that Defender had merged into others by the last list to those: their rows count for them.
	Merged    map[string]string `json:"merged,omitempty"`     // unless there are more than maxMerged
	MergedSum string            `json:"merged_sum,omitempty"` // of all of them; empty for none

	FilesClosedAt time.Time `json:"files_closed_at,omitzero"` // when the report could not be had from files, and never since

	Settled []SettledLoss `json:"settled,omitempty"` // losses of those records that changes may tell again

	RulesAt time.Time `json:"rules_at,omitzero"` // what the catalogue told by then was known when the reading began; see Store.RulesAt
	// Refused are the vulnerabilities of which rows were refused that may count once the catalogue tells otherwise of them.
	Refused []int32 `json:"refused,omitempty"`

	JudgedBy *inventory.Settings `json:"judged_by,omitempty"` // and by which rules:
	Rules    int                 `json:"rules,omitempty"`     // rowSumVersion then
}

// judgedBy tells whether machines, or rows, count by the settings that the last reading was judged by.
func (r Reading) judgedBy(s inventory.Settings, same func(inventory.Settings, inventory.Settings) bool) bool {
	return r.JudgedBy != nil && same(*r.JudgedBy, s)
}

// withoutRows is what to remember once no rows count any more: when they do again, the settings have changed. Nil for what is known.
func (r Reading) withoutRows() *Reading {
	if r.JudgedBy == nil || !r.JudgedBy.ImportVulnerabilities {
		return nil
	}
	judged := *r.JudgedBy
	judged.ImportVulnerabilities = false
	r.JudgedBy = &judged
	return &r
}

// Reasons to doubt that changes would do.
const (
	DoubtUnread = "not everything could be read last time"
	DoubtHeld   = "something was held back last time until a second reading agrees"
	DoubtJudged = "a run with other settings began to apply them and did not come to its end"
	DoubtMany   = "rows of more vulnerabilities are refused than are remembered"
)

// maxMerged bounds what is remembered of merged records; with more of them the machines are listed whole each time.
const maxMerged = 500

// maxRefused bounds what is remembered of vulnerabilities with refused rows; with more of them the report is read whole each time.
const maxRefused = 50_000

// learnRefused is what to remember of refused rows, of a report that is not read whole each time: those of a whole reading, and those
// that changes add to them.
func (r *Reading) learnRefused(p ReportPolicy, known []int32, changes bool, skipped *skipList) {
	if r.Rows <= p.WholeRows {
		return
	}
	refused, all := skipped.refused()
	if changes {
		refused = append(refused, known...)
	}
	slices.Sort(refused)
	if refused = slices.Compact(refused); !all || len(refused) > maxRefused {
		r.Doubt = cmp.Or(r.Doubt, DoubtMany)
		return
	}
	r.Refused = refused
}

// learnMachines is what to remember of the list of machines besides; gaps says that not all of it could be read.
func (r *Reading) learnMachines(c *census, assets *StageReport, partial, gaps bool, now time.Time) {
	if !partial {
		// A list that confirms may miss others: machines come and go every day, and if each list had to be confirmed all would be whole.
		switch first := r.MissingAt.IsZero(); {
		case assets.Missing == 0, !first && assets.StartedAt.Sub(r.MissingAt) >= confirmAfter:
			r.MissingAt = time.Time{}
		case first:
			r.MissingAt = now
		}
		r.Machines, r.MachinesAt = assets.Counts.Fetched, assets.StartedAt
	}
	r.Merged = c.mergers()
	r.MergedSum = sumOf(r.Merged)
	if len(r.Merged) > maxMerged {
		r.Merged, r.MachinesAt = nil, time.Time{}
	}
	if assets.Held > 0 || gaps {
		r.MachinesAt = time.Time{} // only a whole list can agree, or tell of a machine that has not reported since
	}
}

// sumOf tells apart what was merged into what.
func sumOf(merged map[string]string) string {
	if len(merged) == 0 {
		return ""
	}
	h := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(merged)) {
		_, _ = fmt.Fprintf(h, "%q %q\n", id, merged[id]) // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Plan is how a run reads the report, and why so.
type Plan struct {
	Changes bool          // only what changed
	Via     connector.Via // of a whole reading
	Since   time.Time     // of the changes
	Why     string        // a clause for people
}

// choose adds the way to a whole report to the plan. What could not be had from files a while ago is not asked for there again: the
// list of files has a small quota, and what the storage does not give out costs its waits each time.
func (p ReportPolicy) choose(plan Plan, r Reading, machines int64, mode Mode, now time.Time) Plan {
	large := p.FilesRows > 0 && (r.Rows > p.FilesRows || r.WholeAt.IsZero() && machines > p.FilesMachines)
	again := r.FilesClosedAt.Add(p.FilesAgain)
	switch {
	case !large:
		plan.Via = connector.ViaPages
	case mode == Full || !now.Before(again):
		plan.Via = connector.ViaFiles
	default:
		plan.Via = connector.ViaPages
		if !plan.Changes {
			plan.Why += fmt.Sprintf("; not by files, which could not be had on %s and are tried again from %s on, or by a full run", moment(r.FilesClosedAt), moment(again))
		}
	}
	return plan
}

func moment(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 MST") }

// learnFiles is what to remember of the way that was taken; closed is when files could not be had in this run.
func (r *Reading) learnFiles(p Plan, known, closed time.Time) {
	switch {
	case !closed.IsZero():
		r.FilesClosedAt = closed
	case p.Changes || p.Via != connector.ViaFiles:
		r.FilesClosedAt = known
	}
}

// otherWay leads from a way that is closed to the next one, empty behind the last.
func otherWay(via connector.Via) connector.Via {
	switch via {
	case connector.ViaFiles:
		return connector.ViaPages
	case connector.ViaPages:
		return connector.ViaMapping
	}
	return ""
}

// plan decides between the whole report and its changes.
func (p ReportPolicy) plan(r Reading, mode Mode, s inventory.Settings, now time.Time) Plan {
	switch {
	case p.WholeEvery == 0:
		return Plan{Why: "the service is set to read it whole always"}
	case r.WholeAt.IsZero():
		return Plan{Why: "it has not been read before"}
	case mode == Full:
		return Plan{Why: "a full run compares everything"}
	case !s.ImportAssets:
		return Plan{Why: "asset import is off, and which machines count follows from the whole report"}
	case r.JudgedBy == nil || r.Rules != rowSumVersion || !r.JudgedBy.ImportAssets:
		return Plan{Why: "the rules have changed since it was read last"}
	case s.TakesMoreRows(*r.JudgedBy):
		return Plan{Why: "the settings take more of it than they did when it was read last"}
	case r.Doubt != "":
		return Plan{Why: r.Doubt}
	case r.Rows <= p.WholeRows:
		return Plan{Why: fmt.Sprintf("it had %d rows last time, which takes few calls", r.Rows)}
	case now.Sub(r.WholeAt) >= p.WholeEvery:
		return Plan{Why: fmt.Sprintf("it was read whole last on %s", r.WholeAt.UTC().Format(time.DateOnly))}
	case now.Sub(r.KnownAt) >= p.KeptFor:
		return Plan{Why: "the last reading is so long ago that Microsoft no longer has all the changes since"}
	}
	return Plan{Changes: true, Since: r.KnownAt.Add(-p.Overlap), Why: fmt.Sprintf("it was read whole on %s", r.WholeAt.UTC().Format(time.DateOnly))}
}

// machinesSince decides from when on machines have to have reported to be asked for; zero asks for all.
func (p ReportPolicy) machinesSince(r Reading, mode Mode, s inventory.Settings, now time.Time) time.Time {
	if !p.plan(r, mode, s, now).Changes || r.Machines <= p.WholeMachines || now.Sub(r.MachinesAt) >= p.MachinesEvery {
		return time.Time{}
	}
	if !r.judgedBy(s, inventory.Settings.SameMachines) || !r.MissingAt.IsZero() && now.Sub(r.MissingAt) >= confirmAfter {
		return time.Time{}
	}
	return r.KnownAt.Add(-p.MachinesOverlap)
}

// learn is what to remember after a reading that was applied in full. rows is how many there were, began when it began.
func (r Reading) learn(p Plan, s inventory.Settings, rows int64, began time.Time, held, unread bool) *Reading {
	next := Reading{WholeAt: r.WholeAt, KnownAt: began, Rows: r.Rows, Machines: r.Machines, MachinesAt: r.MachinesAt, MissingAt: r.MissingAt, JudgedBy: &s, Rules: rowSumVersion}
	switch {
	case unread:
		next.Doubt = DoubtUnread
	case held:
		next.Doubt = DoubtHeld
	}
	if !p.Changes && !unread { // of a part nobody knows how many rows there are
		next.WholeAt, next.Rows = began, rows
	}
	return &next
}
