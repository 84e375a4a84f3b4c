package syncer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/pagelog"
	"pgp.internal/defender/internal/tenant"
)

// execution is one run in progress.
type execution struct {
	*Syncer
	job         job.Job
	log         *slog.Logger
	integration connector.Integration
	settings    inventory.Settings
	maxAssets   int
	large       bool // it turned out to be large, and has a place for that
	blocked     bool // the subscription imports nothing: the run has nothing to do
	source      connector.Source
	estimates   map[Stage]int64
	known       Reading             // what the last runs remembered
	learnt      *Reading            // what to remember of how the report was read; nil until it was applied
	partial     bool                // only machines that reported lately were asked for
	noFiles     time.Time           // when the report could not be had from files; zero if it could, or was not asked for there
	short       string              // the code of why not everything was read
	unread      int64               // records of machines and rows that could not be read
	gaps        int64               // entries of the catalogue that could not be read
	withdrawn   int64               // findings that went out of scope with their assets
	lost        map[lostRow]int64   // rows of merged records that are gone, and since when: what a whole reading settles
	openBefore  int64               // open findings of the integration before any of them did
	reconciled  *Reconciliation     // nil until it was taken
	entitlement *tenant.Entitlement // nil until it was read
	waitUntil   time.Time           // until when Microsoft asked to wait before it tells its own counts; zero for nothing asked
	skipped     *skipList           // what the run leaves out
	stage       DataStage
	pages       *pagelog.Log  // nil: pages are not kept
	entered     chan struct{} // tells the progress writer that a stage has begun

	saving sync.Mutex // one store of the progress at a time, so that none overtakes a later one
	mu     sync.Mutex // guards run.Report and run.Stage while the progress writer is active
	run    Run
}

// execute carries the run out. It returns nil only if everything was read and applied.
func (e *execution) execute(ctx context.Context) (err error) {
	if e.run.Kind == KindPurge {
		return e.purge(ctx)
	}
	if err := e.prepare(ctx); err != nil || e.blocked {
		return err
	}
	if e.stage, err = e.store.NewStage(ctx, e.job, e.integration, e.run.Preview != nil); err != nil {
		return err
	}
	defer func() {
		if err := e.stage.Close(); err != nil {
			e.log.Warn("cannot close the working area", "error", err)
		}
	}()
	e.keepPages()
	defer func() { e.releasePages(err) }()
	stop := e.reportProgress(ctx)
	defer stop()
	if err := e.sync(ctx); err != nil {
		return err
	}
	if err := e.run.Report.balanced(); err != nil {
		return err
	}
	return e.skipped.agrees(&e.run.Report)
}

// prepare reads what the run depends on and opens the source. Without the entitlement there is nothing to open.
func (e *execution) prepare(ctx context.Context) (err error) {
	if e.integration, err = e.store.IntegrationByID(ctx, e.run.Tenant, e.run.IntegrationID); err != nil {
		return err
	}
	entitlement, err := e.store.Entitlement(ctx, e.run.Tenant)
	if err != nil {
		return err
	}
	e.entitlement = &entitlement
	e.settings, e.maxAssets = e.integration.Settings, entitlement.MaxAssets
	if e.run.Preview != nil {
		e.settings = e.run.Preview.Settings
	}
	entitled := entitlement.Effective(e.now())
	e.run.Report.Judged = &Judged{Settings: e.settings, Entitled: entitled}
	if !entitled {
		e.blocked = true
		e.warn(fault.New(fault.CodeEntitlementMissing, "the subscription does not include internal assessments today; nothing was imported"))
		return nil
	}
	if e.known, err = e.store.Reading(ctx, e.run.Tenant, e.run.IntegrationID); err != nil {
		return err
	}
	if e.estimates, err = e.store.Estimates(ctx, e.run.Tenant, e.run.IntegrationID); err != nil {
		return err
	}
	e.integration, e.source, err = e.opener.OpenForRun(ctx, e.integration) // by the stored settings, whatever a preview tries out
	e.integration.Settings = e.settings
	if err != nil {
		return err
	}
	if w, due := e.integration.ExpiryWarning(e.now()); due {
		e.warn(w.Fault)
	}
	return nil
}

// sync is the way of a sync, straight down.
func (e *execution) sync(ctx context.Context) error {
	if err := e.in(ctx, StageAuthenticate, e.authenticate); err != nil {
		return err
	}
	census := newCensus(inventory.NewJudge(e.settings, e.now()), e.skipped)
	err := e.in(ctx, StageAssets, func(ctx context.Context, r *StageReport) error { return e.assets(ctx, r, census) })
	if err != nil {
		return err
	}
	defer e.bookWithdrawn()
	if !e.settings.ImportVulnerabilities {
		return e.in(ctx, StageVulnerabilities, e.withdrawFindings)
	}
	if err := e.in(ctx, StageCatalogue, e.catalogue); err != nil {
		return err
	}
	return e.in(ctx, StageVulnerabilities, func(ctx context.Context, r *StageReport) error { return e.vulnerabilities(ctx, r, census) })
}

// in runs one stage and keeps its report, with what the source spent on it.
func (e *execution) in(ctx context.Context, name Stage, f func(context.Context, *StageReport) error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	began, before := e.now(), e.source.Usage()
	e.mu.Lock()
	e.run.Stage = name
	local := StageReport{Name: name, State: Running, StartedAt: began, TotalEstimate: e.estimates[name], spentBefore: before}
	e.run.Report.Stages = append(e.run.Report.Stages, local)
	index := len(e.run.Report.Stages) - 1
	e.mu.Unlock()
	select {
	case e.entered <- struct{}{}:
	default: // it has yet to take note of an earlier one
	}

	publish := func() {
		local.spent(before, e.source.Usage())
		local.ResumedFrom = e.resumedFrom(&local)
		local.Duration = e.now().Sub(began)
		e.mu.Lock()
		e.run.Report.Stages[index] = local.clone()
		e.mu.Unlock()
	}
	local.publish = publish
	err := f(ctx, &local)
	switch {
	case err == nil:
		local.State = Succeeded
	case errors.Is(err, job.ErrNoPlace):
		local.State = Cancelled
	case ctx.Err() != nil:
		local.State = Cancelled
		err = errors.Join(context.Cause(ctx), err)
	default:
		local.State = Failed
	}
	publish()
	e.meter.StageEnded(local.Name, local.State, local.Duration)
	return err
}

// measureRecords tells what became of the records once the run's end is stored: a later stage may still correct what an
// earlier one has booked, and what no run record holds was read in vain.
func (e *execution) measureRecords() {
	for _, r := range e.run.Report.Stages {
		e.meter.Records(r.Name, "fetched", r.Counts.Fetched)
		e.meter.Records(r.Name, "accepted", r.Counts.Accepted)
		for reason, n := range r.SkippedBy {
			e.meter.Records(r.Name, string(reason), n)
		}
	}
}

// spent books the source's usage since the stage began.
func (r *StageReport) spent(before, now connector.Usage) {
	r.Calls, r.Pages, r.Resumed, r.Retries = now.Calls-before.Calls, now.Pages-before.Pages, now.Resumed-before.Resumed, now.Retries-before.Retries
	r.Throttled, r.Bytes = now.Throttled-before.Throttled, now.Bytes-before.Bytes
}

func (r *StageReport) clone() StageReport {
	c := *r
	c.SkippedBy = maps.Clone(r.SkippedBy)
	c.Samples = make(map[inventory.Reason][]Sample, len(r.Samples))
	for reason, samples := range r.Samples {
		c.Samples[reason] = slices.Clone(samples)
	}
	c.publish = nil
	return c
}

func (e *execution) warn(f *fault.Error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.run.Report.Warnings = append(e.run.Report.Warnings, NoticeOf(f))
}

// authenticate gets a token, so that a refused credential is told as such and not as a failed read.
func (e *execution) authenticate(ctx context.Context, _ *StageReport) error {
	return connector.Refusal(e.source.Check(ctx, connector.Probe{}))
}

// bookWithdrawn gives findings that left with their assets a stage of their own if the one of the findings was never
// reached.
func (e *execution) bookWithdrawn() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.withdrawn > 0 && e.run.Report.StageNamed(StageVulnerabilities) == nil {
		e.run.Report.Stages = append(e.run.Report.Stages, StageReport{
			Name: StageFinish, State: Succeeded, StartedAt: e.now(), Counts: Counts{OutOfScope: e.withdrawn},
		})
	}
}

// setAside books the records of a stage that could not be read, and returns how many there were. Nothing may be missed in a
// list that has such records: what is missing may be among them.
func (e *execution) setAside(r *StageReport) int64 {
	used := e.source.Usage()
	n, lost := used.Malformed-r.spentBefore.Malformed, used.Lost-r.spentBefore.Lost
	r.Counts.Fetched += n
	for range n {
		r.skip(inventory.Unreadable, func() Sample { return Sample{Detail: "not an object, or without a readable identifier"} })
	}
	e.skipped.more[skipReason{r.Name, inventory.Unreadable}] += n
	if n > 0 {
		f := fault.Newf(fault.CodeUnreadable, "%d records of the stage %s could not be read", n, r.Name)
		if r.Name == StageCatalogue {
			f.Remedy = "Nothing to do: a run reads the catalogue again once it may be renewed. If it persists, report the id of the run."
		}
		e.warn(f)
	}
	if lost > 0 {
		f := fault.Newf(fault.CodeUnreadable, "%d of %d files of the vulnerability report could not be read; what was not read of them is missing until a later run reads it",
			lost, used.Files-r.spentBefore.Files)
		f.Headline, f.Cause = "Some files of the report could not be read", "Microsoft's storage did not give them, or what it gave was damaged or broke off. Nothing was marked removed or fixed."
		e.warn(f)
	}
	if n+lost > 0 {
		e.short = fault.CodeUnreadable
	}
	return n + lost
}

// held warns that the removal guard stopped something.
func (e *execution) held(n int64, what string) {
	if n > 0 {
		e.warn(fault.New(fault.CodeRemovalHeld, fmt.Sprintf("%d %s would have left the inventory and were kept", n, what)))
	}
}
