package httpapi

import (
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// origin is what started a run: a purge is a kind of its own inside and a trigger on the wire.
type origin struct {
	kind    syncer.Kind
	trigger syncer.Trigger
}

var runOrigins = words[origin]{
	{"schedule", origin{syncer.KindSync, syncer.BySchedule}}, {"manual", origin{syncer.KindSync, syncer.ByHand}},
	{"connect", origin{syncer.KindSync, syncer.ByConnect}}, {"disconnect", origin{kind: syncer.KindPurge}},
}

func run(r *syncer.Run) api.Run {
	out := api.Run{
		ID: runID(r.PublicID), IntegrationID: integrationID(r.IntegrationPublic), Trigger: runTrigger(r), Mode: runMode(r),
		State: api.RunState(r.State), Stage: runStage(r, r.Stage), PGPStatus: api.PGPJobStatus(r.State.PGPStatus()),
		DryRun: r.Preview != nil, Progress: progress(r.Report.Totals()), NoChanges: r.Report.NoChanges, Summary: runSummary(r),
		Stages:    each(r.Report.Stages, func(s *syncer.StageReport) api.RunStage { return stage(r, s) }),
		Warnings:  each(r.Report.Warnings, warning),
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, StartedAt: r.StartedAt, FinishedAt: r.FinishedAt,
	}
	out.WaitingUntil = waitingUntil(r)
	if used := r.SettingsUsed(); used != nil {
		out.Settings = new(settings(used))
	}
	if e := r.Report.Error; e != nil {
		out.Error = &api.RunError{
			Code: e.Code, Title: e.Title, Detail: orElse(e.Detail, e.Cause), Cause: e.Cause, Remedy: e.Remedy, Acts: acts(e), Access: access(e.Access),
			Permanent: e.Permanent,
		}
	}
	return out
}

func runRef(r *syncer.Run) api.RunRef {
	return api.RunRef{
		ID: runID(r.PublicID), State: api.RunState(r.State), Trigger: runTrigger(r), Mode: runMode(r), CreatedAt: r.CreatedAt,
		StartedAt: r.StartedAt, FinishedAt: r.FinishedAt, Summary: runSummary(r),
	}
}

func runTrigger(r *syncer.Run) api.RunTrigger {
	if r.Kind == syncer.KindPurge {
		return api.TriggerDisconnect
	}
	return api.RunTrigger(r.Trigger)
}

func runMode(r *syncer.Run) api.RunMode {
	if r.Kind == syncer.KindPurge {
		return api.ModePurge
	}
	return api.RunMode(r.Mode)
}

// runStage names a stage; a purge has one stage only, whatever it is called inside.
func runStage(r *syncer.Run, s syncer.Stage) api.RunStageName {
	switch {
	case s == "" || s == syncer.StageQueued:
		return api.StageQueued
	case r.Kind == syncer.KindPurge:
		return api.StagePurge
	}
	return api.RunStageName(s)
}

// unfinished says what a run that has no summary yet is doing.
var unfinished = map[syncer.RunState]string{
	syncer.Queued:     "Waiting to start.",
	syncer.Running:    "Under way.",
	syncer.Cancelling: "Being cancelled.",
	syncer.Cancelled:  "Cancelled.",
	syncer.Failed:     "Failed.",
}

func runSummary(r *syncer.Run) string {
	if until := waitingUntil(r); !until.IsZero() {
		return "Waiting until " + until.Format("15:04:05") + " UTC: Microsoft asked for a pause, or the quota of calls to it is used up."
	}
	return orElse(r.Report.Summary, unfinished[r.State])
}

// waitingUntil is when a wait for Microsoft's limits ends that a running run was last seen in; zero for none.
func waitingUntil(r *syncer.Run) time.Time {
	n := len(r.Report.Stages)
	if r.State != syncer.Running || n == 0 {
		return time.Time{}
	}
	return r.Report.Stages[n-1].WaitsUntil.UTC().Truncate(time.Second)
}

// progress shows reopened findings within those that were updated, and what is out of scope within what has left, each with a
// figure of its own beside.
func progress(c syncer.Counts) api.Progress {
	return api.Progress{
		Fetched: c.Fetched, Accepted: c.Accepted, Skipped: c.Skipped, Created: c.Created, Updated: c.Updated + c.Reopened, Reopened: c.Reopened,
		Unchanged: c.Unchanged, Fixed: c.Fixed, Removed: c.Removed + c.OutOfScope, OutOfScope: c.OutOfScope,
	}
}

func stage(r *syncer.Run, s *syncer.StageReport) api.RunStage {
	out := api.RunStage{Name: runStage(r, s.Name), State: api.RunStageState(s.State), Progress: progress(s.Counts), StartedAt: s.StartedAt}
	if s.TotalEstimate > 0 {
		out.Progress.TotalEstimate = &s.TotalEstimate
	}
	if s.State != syncer.Running && !s.StartedAt.IsZero() {
		out.FinishedAt = s.StartedAt.Add(s.Duration).UTC()
	}
	return out
}

func stageDiagnostics(r *syncer.Run, s *syncer.StageReport) api.StageDiagnostics {
	out := api.StageDiagnostics{
		Name: runStage(r, s.Name), State: api.RunStageState(s.State), DurationMS: s.Duration.Milliseconds(), Calls: s.Calls,
		Pages: s.Pages, ResumedPages: s.Resumed, Retries: s.Retries, ThrottledMS: s.Throttled.Milliseconds(), Bytes: s.Bytes, Fetched: s.Counts.Fetched,
		Accepted: s.Counts.Accepted, Skipped: map[string]int64{}, Samples: map[string][]api.SkipSample{},
		Funnel: funnel(s), Report: reportReading(s.Plan), CatalogueAt: s.CatalogueAt.UTC(),
	}
	if from, err := uuid.Parse(s.ResumedFrom); err == nil {
		out.ResumedFrom = runID(from)
	}
	for reason, n := range s.SkippedBy {
		out.Skipped[string(reason)] = n
	}
	for reason, samples := range s.Samples {
		out.Samples[string(reason)] = each(samples, skipSample)
	}
	return out
}

// funnel puts what was left out into the order in which the rules are asked.
func funnel(s *syncer.StageReport) []api.FunnelStep {
	steps := make([]api.FunnelStep, 0, len(s.SkippedBy))
	left := s.Counts.Fetched
	for _, reason := range inventory.ReasonsInOrder() {
		if n := s.SkippedBy[reason]; n > 0 {
			left -= n
			steps = append(steps, api.FunnelStep{Reason: string(reason), Skipped: n, Left: left})
		}
	}
	return steps
}

// reportReading is nil for stages that read no report.
func reportReading(p syncer.Plan) *api.ReportReading {
	switch {
	case p.Why == "":
		return nil
	case p.Changes:
		return &api.ReportReading{Reading: api.ReadingChanges, Since: p.Since.UTC(), Reason: p.Why}
	}
	return &api.ReportReading{Reading: api.ReadingWhole, Via: string(p.Via), Reason: p.Why}
}

func skipSample(s *syncer.Sample) api.SkipSample {
	return api.SkipSample{SourceID: s.SourceID, Name: s.Name, Detail: s.Detail}
}

func warning(n *syncer.Notice) api.RunWarning {
	return api.RunWarning{Code: n.Code, Detail: orElse(n.Detail, orElse(n.Cause, n.Title)), Remedy: n.Remedy, Acts: acts(n)}
}

func explanation(n *syncer.Notice) api.Explanation {
	return api.Explanation{Code: n.Code, Title: n.Title, Detail: orElse(n.Detail, n.Cause), Cause: n.Cause, Remedy: n.Remedy, Acts: acts(n)}
}

// acts is who has to act about a notice. Runs that were stored before notices said so take it from the catalogue; what is no
// fault asks nothing of anybody.
func acts(n *syncer.Notice) api.Actor {
	if n.Acts != "" {
		return api.Actor(n.Acts)
	}
	if d, known := fault.Lookup(n.Code); known {
		return api.Actor(d.Actor)
	}
	return api.ActorNobody
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// day writes a calendar day; nothing for the zero time.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

func severityCounts(c inventory.SeverityCounts) api.SeverityCounts {
	return api.SeverityCounts{
		Total: int64(c.Total()), Critical: int64(c.Critical), High: int64(c.High), Medium: int64(c.Medium), Low: int64(c.Low),
		Unknown: int64(c.Unknown),
	}
}
