package main

import (
	"context"
	"fmt"

	"pgp.internal/defender/api"
	"pgp.internal/defender/cmd/defenderbench/internal/report"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

// What changes before an import: the software behind one row in a hundred, clustered on few machines or scattered over all, or one finding
// in a hundred, which ends while another begins.
var (
	nothing   = []world.Change(nil)
	clustered = []world.Change{{Op: "change_rows", Pattern: "clustered", Percent: 1}}
	scattered = []world.Change{{Op: "change_rows", Pattern: "scattered", Percent: 1}}
	turnover  = []world.Change{{Op: "replace_findings", Pattern: "scattered", Percent: 1}}
)

// imports measures the first import, and the ones after it that find nothing or little new. Each needs the one before.
func (z *sizeRun) imports(ctx context.Context) error {
	for _, p := range []struct {
		part, name string
		changes    []world.Change
		order      func(context.Context) (string, error)
	}{
		{partFirst, report.First, nothing, z.customer.connect},
		{partUnchanged, report.Unchanged, nothing, z.customer.again},
		{partClustered, report.Clustered, clustered, z.customer.again},
		{partClustered, report.UnchangedBehindClustered, nothing, z.customer.again},
		{partScattered, report.Scattered, scattered, z.customer.again},
		{partScattered, report.UnchangedBehindScattered, nothing, z.customer.again},
		{partTurnover, report.Turnover, turnover, z.customer.again},
		{partFull, report.Full, nothing, z.customer.compareAll},
	} {
		if !z.o.wants(p.part) {
			continue
		}
		if err := z.importOnce(ctx, p.name, p.changes, p.order); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if z.o.wants(partCopy) {
			z.fail(ctx, z.what(partCopy), z.withCause(z.copyLimit(ctx)))
		}
	}
	return nil
}

// files measures imports that read the report from Microsoft's export files, as the first one of a large directory does, and later one a week.
func (z *sizeRun) files(ctx context.Context) (err error) {
	if z.customer, err = z.service.admit(ctx, z.db, "Large by files", z.sim.main); err != nil {
		return err
	}
	z.via = connector.ViaFiles
	defer func() { z.via = connector.ViaPages }()
	if err := z.importOnce(ctx, report.FirstByFiles, nothing, z.customer.connect); err != nil {
		return err
	}
	return z.importOnce(ctx, report.UnchangedByFiles, nothing, z.customer.again)
}

// prepare changes the directory if asked to, and lets simulator and database get ready.
func (z *sizeRun) prepare(ctx context.Context, changes []world.Change) error {
	if len(changes) > 0 {
		if err := z.sim.change(ctx, changes...); err != nil {
			return err
		}
	}
	if _, err := z.sim.read(ctx, z.sim.main, z.via, z.o.pageRows); err != nil {
		return err
	}
	return z.db.settle(ctx)
}

// importOnce measures one import, and compares what it leaves in the tables.
func (z *sizeRun) importOnce(ctx context.Context, name string, changes []world.Change, order func(context.Context) (string, error)) error {
	if err := z.prepare(ctx, changes); err != nil {
		return err
	}
	profile, err := z.profile(ctx, name)
	if err != nil {
		return err
	}
	m := z.meter()
	if err := m.start(ctx); err != nil {
		return err
	}
	run, err := z.measured(ctx, order)
	if err != nil {
		return err
	}
	p := report.Phase{Name: name, Seconds: run.FinishedAt.Sub(run.CreatedAt).Seconds()}
	if p.CPU, p.PeakBytes, p.WAL, err = m.stop(ctx); err != nil {
		return err
	}
	if p.Profile, err = profile.end(ctx); err != nil {
		return err
	}
	if p.Findings, p.RowsWritten, err = z.db.findings(ctx, z.customer.number, m.began.transaction); err != nil {
		return err
	}
	if err := z.describe(ctx, run, &p); err != nil {
		return err
	}
	z.say("%s: %.2f s, %s rows/s, peak %d MiB, %.1f MB of WAL, %d findings new, %d fixed, %d rows written", name, p.Seconds,
		report.Count(int64(float64(p.RowsRead)/p.Seconds)), p.PeakBytes>>20, float64(p.WAL)/1e6, p.Created, p.Fixed, p.RowsWritten)
	// A difference fails the program, but what comes after can be measured all the same.
	p.Check, err = z.check(ctx, run)
	z.fail(ctx, z.what(name)+", comparison", err)
	z.result.Phases = append(z.result.Phases, p)
	z.result.Findings = p.Findings
	return ctx.Err()
}

func (z *sizeRun) measured(ctx context.Context, order func(context.Context) (string, error)) (*api.Run, error) {
	id, err := order(ctx)
	if err != nil {
		return nil, err
	}
	return z.customer.follow(ctx, id)
}

// describe adds what the run tells about itself.
func (z *sizeRun) describe(ctx context.Context, run *api.Run, p *report.Phase) error {
	d, err := z.customer.client.GetRunDiagnostics(ctx, run.ID)
	if err != nil {
		return err
	}
	for _, s := range run.Stages {
		if s.Name == api.StageVulnerabilities {
			p.Created, p.Fixed = s.Progress.Created, s.Progress.Fixed
			z.customer.fixed += s.Progress.Fixed - s.Progress.Reopened
		}
	}
	for _, s := range d.Stages {
		p.Stages = append(p.Stages, report.Stage{Name: string(s.Name), Seconds: float64(s.DurationMS) / 1e3})
		p.Throttled += float64(s.ThrottledMS) / 1e3
		if s.Name == api.StageVulnerabilities {
			p.RowsRead, p.Accepted = s.Fetched, s.Accepted
		}
	}
	return nil
}
