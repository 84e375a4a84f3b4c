package syncer

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/tenant"
)

// Opener makes a source from a stored integration, and gives the integration as it is then: a staged credential may have
// taken the place of a refused one. [connector.Service] is one.
type Opener interface {
	OpenForRun(ctx context.Context, i connector.Integration) (connector.Integration, connector.Source, error)
}

// Meter hears how runs end; labels are enums, never names of tenants, machines or vulnerabilities.
type Meter interface {
	RunEnded(kind Kind, state RunState, code string, took time.Duration)
	StageEnded(stage Stage, state RunState, took time.Duration)
	Records(stage Stage, outcome string, n int64)
}

// Options tune runs. Zero values take the defaults.
type Options struct {
	ProgressEvery time.Duration // how often a running run's report is stored; default 1 s
	SpoolDir      string        // for the rows of a run in progress; default the system's temporary directory
	Catalogue     CataloguePolicy
	Removal       RemovalPolicy
	Report        ReportPolicy // the zero value reads the report whole always
}

func (o Options) withDefaults() Options {
	if o.ProgressEvery == 0 {
		o.ProgressEvery = time.Second
	}
	if o.Catalogue == (CataloguePolicy{}) {
		o.Catalogue = DefaultCataloguePolicy()
	}
	return o
}

// DefaultCataloguePolicy keeps the shared catalogue at most an hour behind: Microsoft regenerates machines' rows every six
// hours, and a row may name a vulnerability that is minutes old.
func DefaultCataloguePolicy() CataloguePolicy {
	return CataloguePolicy{
		MaxAge: time.Hour, FullEvery: 7 * 24 * time.Hour, Overlap: 48 * time.Hour, LeaseFor: 15 * time.Minute, WaitForAny: true,
	}
}

// Syncer carries out sync and purge jobs.
type Syncer struct {
	store   Store
	opener  Opener
	options Options
	log     *slog.Logger
	meter   Meter
	now     func() time.Time

	spoolFile func(dir string) (*os.File, error)
}

// New wires a syncer.
func New(store Store, opener Opener, o Options, log *slog.Logger, m Meter, now func() time.Time) *Syncer {
	return &Syncer{store: store, opener: opener, options: o.withDefaults(), log: log, meter: m, now: now, spoolFile: unnamedFile}
}

// actor is the service itself in the course of a run.
func actor(run *Run) audit.Actor {
	return audit.Actor{Kind: audit.System, ID: tenant.PublicText(tenant.RunPrefix, run.PublicID), Name: "import"}
}

// Handle carries out one run and always records its end, unless the claim is lost or the process is stopping.
func (s *Syncer) Handle(ctx context.Context, j job.Job) job.Outcome {
	run, err := s.store.BeginRun(ctx, j)
	if err != nil {
		return s.postpone(ctx, j, err)
	}
	ctx = audit.WithActor(ctx, actor(&run))
	if run.State.Final() {
		return job.Outcome{Ending: job.Done}
	}
	e := &execution{Syncer: s, job: j, run: run, skipped: newSkipList(), log: j.Named(s.log).With("integration", tenant.PublicText(tenant.IntegrationPrefix, run.IntegrationPublic))}
	if run.State == Cancelling {
		return e.conclude(ctx, job.ErrCancelled)
	}
	// What an attempt before this one has stored stays; its counts go. The first attempt of all has just been marked as
	// started, at the same time as it was updated.
	e.run.Report = Report{Restarted: run.StartedAt.Before(run.UpdatedAt), Applied: run.Report.Applied}
	return e.conclude(ctx, e.execute(ctx))
}

// Abandon records that a run's worker died more often than allowed.
func (s *Syncer) Abandon(ctx context.Context, j job.Job) error {
	run, err := s.store.BeginRun(ctx, j)
	if err != nil || run.State.Final() {
		return err
	}
	ctx = audit.WithActor(ctx, actor(&run))
	code := fault.CodeWorkerLost
	if j.Ended == fault.CodeDatabaseTimeout { // a purge that did not get on in the last attempt either
		code = j.Ended
	}
	notice := NoticeOf(fault.New(code, ""))
	run.State, run.Report.Error = Failed, &notice
	run.Report.endStages(Failed)
	run.Report.Summary = summarize(&run)
	var c Consequence
	if run.Preview == nil { // what ends its workers is not tried again soon: they may have been at others' work as well
		c = Consequence{State: connector.StateDegraded, Reason: notice.Code, Failed: true, RetryAt: s.now().Add(retryCap)}
	}
	s.meter.RunEnded(run.Kind, run.State, notice.Code, s.now().Sub(run.StartedAt))
	return s.store.FinishRun(ctx, j, run, c)
}

// postpone decides what a failure before or beside the run's own record means for the job.
func (s *Syncer) postpone(ctx context.Context, j job.Job, err error) job.Outcome {
	switch {
	case errors.Is(err, job.ErrLeaseLost):
		return job.Outcome{Ending: job.HandBack} // the queue refuses it too; nothing more to do
	case errors.Is(context.Cause(ctx), job.ErrStopping):
		return job.Outcome{Ending: job.HandBack}
	case errors.Is(err, job.ErrTimedOut): // costs an attempt
	case fault.Is(err, fault.CodeUnavailable), fault.Is(err, fault.CodeReadOnly):
		return job.Outcome{Ending: job.Snooze, After: 10 * time.Second}
	}
	j.Named(s.log).Error("a run could not be recorded", "error", err)
	return job.Outcome{Ending: job.Retry, After: job.Backoff(j.Attempt), Code: job.CodeOf(err)}
}

// conclude turns the result of a run into its final record and the job's outcome.
func (e *execution) conclude(ctx context.Context, err error) job.Outcome {
	// The record is written even though the work's context may have ended.
	done, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	cause := context.Cause(ctx)
	switch {
	case err == nil && !errors.Is(cause, job.ErrLeaseLost): // everything was applied, whatever happened since
	case errors.Is(err, job.ErrLeaseLost) || errors.Is(cause, job.ErrLeaseLost):
		e.log.Warn("the run's claim is gone: another worker took it over, its integration was disconnected, or its tenant was stopped")
		return job.Outcome{Ending: job.HandBack}
	case errors.Is(cause, job.ErrStopping):
		return e.requeue(done, job.Outcome{Ending: job.HandBack}, false)
	case errors.Is(err, job.ErrNoPlace):
		e.log.Info("a run turned out to be large and waits for a place", "places", e.job.Large.Places)
		return e.requeue(done, job.Outcome{Ending: job.HandBack}, true)
	case errors.Is(cause, job.ErrCancelled) || errors.Is(err, job.ErrCancelled):
		err = job.ErrCancelled
	case errors.Is(err, job.ErrTimedOut) && (!e.job.Last || e.run.Kind == KindPurge): // a purge that got on is counted anew, which the queue knows
		e.log.Warn("the database broke a statement of a run off; the run will start again", "error", err, "attempt", e.job.Attempt)
		return e.requeue(done, job.Outcome{Ending: job.Retry, After: job.Backoff(e.job.Attempt), Code: job.CodeOf(err)}, false)
	case errors.Is(err, job.ErrTimedOut): // as it did in the attempts before
		e.log.Error("the database broke a statement of a run off, in the last attempt too", "error", err)
		err = fault.Wrap(err, fault.CodeDatabaseTimeout, "")
	case fault.Is(err, fault.CodeDiskFull) && !e.job.Last:
		e.log.Warn("the disk that imports keep their rows on is full; the run will start again", "error", err, "attempt", e.job.Attempt)
		return e.requeue(done, job.Outcome{Ending: job.Retry, After: fullDiskFor, Code: fault.CodeDiskFull}, false)
	case fault.Is(err, fault.CodeUnavailable), fault.Is(err, fault.CodeReadOnly), fault.Is(err, fault.CodeKeysUnavailable): // our own, so it says nothing about the customer's link
		e.log.Warn("the database or the key service failed during a run; it will start again", "error", err)
		return e.requeue(done, job.Outcome{Ending: job.Snooze, After: max(10*time.Second, fault.As(err).RetryAfter)}, false)
	}
	consequence := e.settle(done, err)
	if e.run.Kind == KindSync && !e.integration.CreatedAt.IsZero() {
		consequence.JudgedBy, consequence.Held, consequence.Entitled = &e.integration.Settings, e.integration.Held, e.entitlement
	}
	if e.run.Preview != nil { // it says nothing about the integration, but for what Microsoft asks
		consequence = Consequence{WaitUntil: consequence.WaitUntil}
		e.run.Report.Summary = "Preview, nothing was stored: " + e.run.Report.Summary
	}
	if e.waitUntil.After(consequence.WaitUntil) {
		consequence.WaitUntil = e.waitUntil
	}
	consequence.ClientOf = e.integration.ClientID
	consequence.SecretOf = e.integration.SecretUpdatedAt
	consequence.Reconciled = e.reconciled.of(e.run.Report.StageNamed(StageAssets))
	if consequence.Skipped, err = e.skipped.chunks(); err != nil {
		return e.postpone(done, e.job, err)
	}
	took := e.now().Sub(e.run.StartedAt)
	if err := e.store.FinishRun(done, e.job, e.run, consequence); err != nil {
		return e.postpone(done, e.job, err)
	}
	code := ""
	if e.run.Report.Error != nil {
		code = e.run.Report.Error.Code
	}
	e.measureRecords()
	e.meter.RunEnded(e.run.Kind, e.run.State, code, took)
	e.log.Info("run ended", "state", e.run.State, "code", code, "took", took, "summary", e.run.Report.Summary)
	return job.Outcome{Ending: job.Done}
}

func (e *execution) requeue(ctx context.Context, o job.Outcome, untouched bool) job.Outcome {
	if err := e.store.RequeueRun(ctx, e.job, untouched); err != nil && !errors.Is(err, job.ErrLeaseLost) {
		e.log.Warn("cannot put a run back into the queue; its lease will run out", "error", err)
	}
	return o
}

// Waiting times before a failed run is repeated outside its schedule.
const (
	retryBase   = 5 * time.Minute
	retryCap    = 6 * time.Hour
	retrySpread = 4 // up to a quarter less
)

// After so many failures in a row, the last of them permanent, a link is not tried more often than this, however short its
// schedule: somebody has to act, and is noticed by a validation or a rotation.
const (
	hopelessAfter = 3
	hopelessEvery = time.Hour
)

// settle fills in the run's final state and says what it means for the integration.
func (e *execution) settle(ctx context.Context, err error) (c Consequence) {
	run := &e.run
	defer func() { run.Report.Summary = summarize(run) + e.whatFollows(&c) }()
	if err == nil {
		run.State, run.Stage = Succeeded, StageFinish
		run.Report.NoChanges = run.Kind == KindSync && run.Report.Totals().Changes() == 0 && !run.Report.surrounded() &&
			!slices.ContainsFunc(run.Report.Warnings, ofChanges) && !run.Report.Restarted && !run.Report.missing()
		if e.unread+e.gaps > 0 {
			run.State = PartiallySucceeded
			return e.unfinished(ctx)
		}
		if e.blocked {
			return Consequence{} // nobody asked Microsoft: what was known of the link still stands
		}
		return Consequence{State: connector.StateActive, Succeeded: run.Kind == KindSync, Reading: e.learnt}
	}
	if errors.Is(err, job.ErrCancelled) {
		run.Cancel()
		return Consequence{}
	}
	f := fault.As(err)
	if f.Code == fault.CodeInternal || f.Code == fault.CodeLedgerUnbalanced {
		e.log.Error("a run failed by a defect", "error", err)
	}
	notice := NoticeOf(f)
	run.State, run.Report.Error = Failed, &notice
	if assets := run.Report.StageNamed(StageAssets); assets != nil && assets.State == Succeeded && (e.settings.ImportAssets || run.Report.Applied == StageVulnerabilities) && f.Code != fault.CodeLedgerUnbalanced {
		run.State = PartiallySucceeded // with asset import off, machines alone are nothing
	}
	return e.afterFailure(f, e.failuresBefore(ctx))
}

// afterFailure is what follows from a failure behind so many others. No planned run comes before the time is over that Microsoft asked for,
// however short the schedule.
func (e *execution) afterFailure(f *fault.Error, failures int) (c Consequence) {
	now := e.now()
	if f.Definition().Permanent {
		c = Consequence{State: connector.StateActionRequired, Reason: f.Code, Failed: true}
		if failures+1 >= hopelessAfter {
			c.NotBefore = now.Add(hopelessEvery)
		}
		return c
	}
	c = Consequence{State: connector.StateDegraded, Reason: f.Code, Failed: true, RetryAt: now.Add(max(backOff(failures), f.RetryAfter))}
	if f.Asked {
		c.WaitUntil = now.Add(f.RetryAfter)
	}
	return c
}

// failuresBefore is how many runs since the last success failed or were left unfinished.
func (e *execution) failuresBefore(ctx context.Context) int {
	failures, err := e.store.FailuresInARow(ctx, e.job, e.run.IntegrationID)
	if err != nil {
		e.log.Warn("cannot count earlier failures", "error", err)
	}
	return failures
}

// backOff is the wait after so many failures, less a random part, so that what failed together does not come back together.
func backOff(failures int) time.Duration {
	wait := min(retryCap, retryBase<<min(failures, 10))
	return wait - rand.N(wait/retrySpread)
}

// skip counts a skipped record and keeps the first few of each reason as examples.
func (r *StageReport) skip(reason inventory.Reason, sample func() Sample) {
	if r.SkippedBy == nil {
		r.SkippedBy = map[inventory.Reason]int64{}
		r.Samples = map[inventory.Reason][]Sample{}
	}
	r.Counts.Skipped++
	r.SkippedBy[reason]++
	if kept := r.Samples[reason]; len(kept) < SamplesPerReason {
		r.Samples[reason] = append(kept, sample())
	}
}

// unskip takes back a skip that turned out to be another one; its example stays.
func (r *StageReport) unskip(reason inventory.Reason) {
	r.Counts.Skipped--
	if r.SkippedBy[reason]--; r.SkippedBy[reason] == 0 {
		delete(r.SkippedBy, reason)
		delete(r.Samples, reason)
	}
}
