package syncer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

// outset is what a run knows of the report before it reads any of it.
type outset struct {
	known   Reading
	rules   time.Time // see Store.RulesAt
	began   time.Time
	plan    Plan
	refused []RefusedVulnerability // with a plan to read changes
}

// vulnerabilities reads the report of rows, or what changed in it, judges each row, and applies what changed.
func (e *execution) vulnerabilities(ctx context.Context, r *StageReport, c *census) (err error) {
	r.Counts.OutOfScope = e.withdrawn
	o, err := e.setOut(ctx, c)
	if err != nil {
		return err
	}
	e.expectLosses(o.known)
	r.TotalEstimate = o.known.Rows
	p, err := e.readReport(ctx, r, c, &o.plan)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	unread := e.unreadRows(r, p, o.plan)
	if err := r.balance(); err != nil {
		return err
	}
	if !e.settings.ImportAssets {
		if err := e.applyCarriers(ctx, r, c, p); err != nil {
			return err
		}
	}
	changes, err := e.applyRows(ctx, r, c, p, o, unread > 0)
	if err != nil {
		return err
	}
	e.learnt = o.known.learn(o.plan, e.settings, r.Counts.Fetched, o.began, changes.Held > 0, unread > 0)
	e.learnt.RulesAt, e.learnt.Settled = o.rules, e.settledLosses(&o, changes.Held == 0 && unread == 0)
	e.learnt.learnRefused(e.options.Report, o.known.Refused, o.plan.Changes, e.skipped)
	e.learnt.learnFiles(o.plan, o.known.FilesClosedAt, e.noFiles)
	e.learnt.learnMachines(c, e.run.Report.StageNamed(StageAssets), e.partial, e.unread > unread, e.now())
	if o.plan.Changes || e.unread > 0 || e.run.Preview != nil {
		return nil // what was left out of the other rows is not known, or nothing will be stored
	}
	r.publish()
	e.saveProgress(ctx) // what follows may take as long as Microsoft likes, and the run may be ended meanwhile by somebody else
	return e.reconcile(ctx, p)
}

// setOut decides how to read the report.
func (e *execution) setOut(ctx context.Context, c *census) (o outset, err error) {
	if o.known, err = e.store.Reading(ctx, e.run.Tenant, e.run.IntegrationID); err != nil { // again: the assets may have raised a doubt
		return o, err
	}
	if o.rules, err = e.store.RulesAt(ctx); err != nil { // before any traits are read
		return o, err
	}
	o.began = e.now()
	plan := c.allow(e.options.Report.plan(o.known, e.run.Mode, e.settings, o.began), o.known)
	if plan, err = e.ruled(ctx, plan, o.known); err != nil {
		return o, err
	}
	o.plan, o.refused, err = e.narrow(ctx, plan, o.known, c.judge)
	o.plan = e.options.Report.choose(o.plan, o.known, int64(len(c.entries)), e.run.Mode, o.began)
	return o, err
}

// unreadRows books what could not be read of the report, and how many records that are; a poor report lacks at least one.
func (e *execution) unreadRows(r *StageReport, p *pass, plan Plan) int64 {
	unread := e.setAside(r)
	if !plan.Changes && plan.Via == connector.ViaMapping {
		p.poor, e.short = true, fault.CodeReportPoor
		unread++
		e.warn(fault.New(fault.CodeReportPoor, ""))
	}
	e.unread += unread
	return unread
}

// applyRows makes the findings what the rows tell, and books what that did.
func (e *execution) applyRows(ctx context.Context, r *StageReport, c *census, p *pass, o outset, incomplete bool) (changes FindingChanges, err error) {
	stage := p.stageChanges
	if o.plan.Changes {
		stage = p.stageReportChanges
	}
	apply, err := stage(ctx)
	if err == nil && !o.plan.Changes {
		err = r.balanceRows(apply.Rows)
	}
	if err != nil {
		return changes, err
	}
	apply.Removal, apply.Judge, apply.Incomplete, apply.Rejudged = e.options.Removal, c.judge, incomplete, !o.known.judgedBy(e.settings, inventory.Settings.SameRows)
	if o.plan.Changes {
		apply.Refused = o.refused
	}
	apply.Confirm = func(c *FindingChanges) error { return c.balance(&apply, e.run.Mode == Full) }
	if changes, err = e.stage.ApplyFindings(ctx, apply); err != nil {
		return changes, err
	}
	e.applied(StageVulnerabilities)
	r.Counts.Created, r.Counts.Updated, r.Counts.Unchanged = changes.Created, changes.Updated, changes.Unchanged
	r.Counts.Fixed, r.Counts.Reopened, r.Counts.OutOfScope = changes.Fixed, changes.Reopened, e.withdrawn+changes.OutOfScope
	r.Ledger, r.Held = e.ledger(&changes, apply.Present), changes.Held
	r.Moved, r.Readvised = changes.Moved, changes.Readvised
	e.held(changes.Held, "findings")
	if changes.Recounted > 0 {
		e.log.Error("counters of findings were wrong by a defect and have been set right", "counters", changes.Recounted)
	}
	e.bookReleased(changes.Released, changes.ReleasedNamed)
	return changes, nil
}

// readReport reads the report as planned; whole and from its start should Microsoft not tell the changes any more, or end
// the chain of its pages; and another way if the planned one is closed.
func (e *execution) readReport(ctx context.Context, r *StageReport, c *census, plan *Plan) (*pass, error) {
	for again := true; ; {
		read := e.readRows
		if plan.Changes {
			read = e.readChanges
		}
		r.Plan = *plan
		if plan.Changes {
			r.TotalEstimate = 0 // nobody knows
		}
		p, err := read(ctx, r, c, *plan)
		if other := otherWay(plan.Via); errors.Is(err, connector.ErrWayClosed) && !plan.Changes && other != "" {
			e.log.Warn("the report cannot be read this way; another one is tried", "via", plan.Via, "next", other, "error", err)
			plan.Why += fmt.Sprintf("; not by %s, which could not be had", plan.Via)
			if plan.Via == connector.ViaFiles {
				e.noFiles = e.now()
			}
			plan.Via = other // which may be begun again, too
			e.restart(r)
			continue
		}
		ambiguous := errors.Is(err, errAmbiguous)
		if err == nil || !again || !ambiguous && !errors.Is(err, connector.ErrSnapshotLost) {
			return p, err
		}
		e.log.Warn("the report could not be read to its end and is read again from its start", "error", err)
		switch {
		case ambiguous:
			*plan = Plan{Via: plan.Via, Why: "one of several machines that were merged has lost rows, and changes do not tell whether another has the same ones"}
		case plan.Changes:
			*plan = Plan{Via: plan.Via, Why: "Microsoft could not tell what changed since the last reading"}
		}
		again = false
		e.restart(r)
	}
}

// restart forgets what a reading counted that has to be made again.
func (e *execution) restart(r *StageReport) {
	r.Counts, r.SkippedBy, r.Samples = Counts{OutOfScope: e.withdrawn}, nil, nil
	e.skipped.restartRows()
	used := e.source.Usage()
	r.spentBefore.Malformed, r.spentBefore.Files, r.spentBefore.Lost = used.Malformed, used.Files, used.Lost
}

// readRows reads the whole report.
func (e *execution) readRows(ctx context.Context, r *StageReport, c *census, plan Plan) (*pass, error) {
	p, err := newPass(e, r, c, false)
	if err != nil {
		return nil, err
	}
	err = e.source.Rows(ctx, plan.Via, func(rows []inventory.Row) error { return p.take(ctx, rows) })
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// bookReleased moves carriers that have no finding left from the accepted machines to the skipped ones.
func (e *execution) bookReleased(n int64, named []Sample) {
	e.mu.Lock()
	defer e.mu.Unlock()
	report := e.run.Report.StageNamed(StageAssets).clone()
	report.Counts.OutOfScope += n
	report.Counts.release(n, report.Ledger.StillOut)
	e.leaveOut(&report, n, named, inventory.ImportAssetsOff, carrierFree)
	*e.run.Report.StageNamed(StageAssets) = report
}

// release takes so many off the accepted: off the unchanged first, which most are, then off the changed ones, and off those that
// were taken for their rows just now although none of these became a finding. Of the changed ones so many were never accepted.
func (c *Counts) release(n, stillOut int64) {
	c.Updated -= stillOut
	defer func() { c.Updated += stillOut }()
	for _, of := range []*int64{&c.Unchanged, &c.Updated, &c.Created} {
		gone := min(n, *of)
		*of -= gone
		n -= gone
	}
}

const carrierFree = "asset import is off and it carries no finding"

// applyCarriers books the machines that carry findings; the figures belong to the stage that read them. Then it is known which rows
// are none of an asset.
func (e *execution) applyCarriers(ctx context.Context, r *StageReport, c *census, p *pass) error {
	e.mu.Lock()
	report := e.run.Report.StageNamed(StageAssets).clone()
	e.mu.Unlock()
	err := e.applyMachines(ctx, &report, c, ApplyMachines{CarriersOnly: true, Carriers: p.carriers(), MaxAssets: e.maxAssets})
	if err != nil {
		return err
	}
	e.mu.Lock()
	*e.run.Report.StageNamed(StageAssets) = report
	e.mu.Unlock()
	r.Counts.OutOfScope = e.withdrawn
	if err := p.leaveOutRationed(); err != nil {
		return err
	}
	return r.balance()
}

// withdrawFindings takes all findings out of scope, because their import was switched off.
func (e *execution) withdrawFindings(ctx context.Context, r *StageReport) error {
	apply := ApplyFindings{Now: e.now(), CloseReason: inventory.ImportVulnerabilitiesOff}
	apply.Confirm = func(c *FindingChanges) error { return c.balance(&apply, e.run.Mode == Full) }
	changes, err := e.stage.ApplyFindings(ctx, apply)
	if err != nil {
		return err
	}
	e.applied(StageVulnerabilities)
	r.Counts.OutOfScope, r.Counts.Updated, r.Ledger = e.withdrawn+changes.OutOfScope, changes.Updated, e.ledger(&changes, 0)
	known, err := e.store.Reading(ctx, e.run.Tenant, e.run.IntegrationID) // again: the assets may have raised a doubt
	if err == nil {
		e.learnt = known.withoutRows()
	}
	return err
}

// stageChanges reads the spooled rows back, groups them into findings, and stages those of the parts of assets whose sums
// differ from the stored ones. In full mode everything is compared.
func (p *pass) stageChanges(ctx context.Context) (ApplyFindings, error) {
	if err := p.flushRemediations(ctx); err != nil {
		return ApplyFindings{}, err
	}
	s := &staging{
		pass: p, apply: ApplyFindings{Now: p.now(), Poor: p.poor, CarriersOnly: !p.settings.ImportAssets, Recount: p.run.Mode == Full},
		changed: make([]parts, len(p.census.known)), exposures: tally{},
	}
	s.apply.LastSeen = make([]SeenAsset, 0, len(p.census.known))
	for position := range p.census.known {
		asset := &p.census.known[position]
		s.apply.Open += asset.Findings
		if at := p.lastSeen[asset.Index]; at != 0 {
			s.apply.LastSeen = append(s.apply.LastSeen, SeenAsset{asset.ID, at})
		}
		switch {
		case p.poor || asset.Dormant || asset.Uncompared || p.run.Mode == Full:
			s.changed[position] = allParts
		default:
			s.changed[position] = p.sums[asset.Index].differing(&asset.FindingHash)
		}
		if s.changed[position] == 0 {
			s.apply.Unchanged += asset.Findings
			s.apply.Present += asset.Findings
			s.apply.Rows += int64(p.taken[asset.Index])
		}
	}
	if err := s.findings(ctx); err != nil {
		return ApplyFindings{}, err
	}
	return s.apply, s.finish(ctx)
}
