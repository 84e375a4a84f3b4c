package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/cmd/defenderbench/internal/report"
)

// check compares the tables with the simulator's truth, and the counters with what they sum up.
func (z *sizeRun) check(ctx context.Context, run *api.Run) (*report.Check, error) {
	equal, err := z.compare(ctx, run)
	if wrong := z.db.recount(ctx, z.customer.number); wrong != nil {
		return nil, errors.Join(err, wrong)
	}
	return equal, err
}

// compare holds the tables against what the simulator says an import must end with: every finding and every asset, the rows
// that were read and left out by reason, and the counters behind the summary.
func (z *sizeRun) compare(ctx context.Context, run *api.Run) (*report.Check, error) {
	began := time.Now()
	if err := z.compareFigures(ctx, run); err != nil {
		return nil, err
	}
	findings, assets, err := z.compareTables(ctx, z.customer)
	if err != nil {
		return nil, err
	}
	return &report.Check{Findings: findings, Assets: assets, Seconds: time.Since(began).Seconds()}, nil
}

// checkOthers compares the tables of customers whose imports ran beside each other, each with its directory, and their counters with what they
// sum up.
func (z *sizeRun) checkOthers(ctx context.Context, customers ...*customer) error {
	var errs []error
	for _, c := range customers {
		if _, _, err := z.compareTables(ctx, c); err != nil {
			errs = append(errs, fmt.Errorf("tenant %s: %w", c.id, err))
		}
		if err := z.db.recount(ctx, c.number); err != nil {
			errs = append(errs, fmt.Errorf("tenant %s: %w", c.id, err))
		}
	}
	return errors.Join(errs...)
}

// compareTables holds the findings and assets of a customer against what its directory must end with.
func (z *sizeRun) compareTables(ctx context.Context, c *customer) (findings, assets int64, err error) {
	stored := z.db.stored(c.number)
	if findings, err = z.compareRecords(ctx, c.directory, "findings", stored.findings); err != nil {
		return 0, 0, err
	}
	if stored.fixed != c.fixed {
		return 0, 0, fmt.Errorf("%d findings are fixed in the tables, the imports told of %d", stored.fixed, c.fixed)
	}
	assets, err = z.compareRecords(ctx, c.directory, "assets", stored.assets)
	return findings, assets, err
}

// compareRecords reads both sides at once. Both give the lines that the simulator writes.
func (z *sizeRun) compareRecords(ctx context.Context, d directory, what string, stored func(context.Context, ledger) error) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	want, got, failed := ledger{}, ledger{}, make(chan error, 1)
	go func() { failed <- z.sim.truthLines(ctx, d, what, want) }()
	if err := stored(ctx, got); err != nil {
		cancel()
		return 0, errors.Join(fmt.Errorf("read the %s in the tables: %w", what, err), <-failed)
	}
	if err := <-failed; err != nil {
		return 0, fmt.Errorf("read the %s that the simulator expects: %w", what, err)
	}
	return want.records(), differ(what, want, got)
}

// truthLines reads the records that an import must end with.
func (s *simulator) truthLines(ctx context.Context, d directory, what string, into ledger) error {
	resp, err := s.open(ctx, http.MethodGet, "/directories/"+d.id+"/truth/"+what, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	lines := bufio.NewReaderSize(resp.Body, 1<<16)
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil
		case err != nil:
			return err
		}
		machine, err := machineOf(line)
		if err != nil {
			return err
		}
		into.add(machine, bytes.TrimSuffix(line, []byte("\n")))
	}
}

// machineOf finds the machine's id, with which each line begins.
func machineOf(line []byte) (string, error) {
	rest, ok := bytes.CutPrefix(line, []byte(`{"source_id":"`))
	id, _, closed := bytes.Cut(rest, []byte(`"`))
	if !ok || !closed {
		return "", fmt.Errorf("the simulator's line %.80q does not begin with a machine", line)
	}
	return string(id), nil
}

// compareFigures compares what the run and the summary tell with the simulator's figures.
func (z *sizeRun) compareFigures(ctx context.Context, run *api.Run) error {
	want, err := z.sim.truth(ctx)
	if err != nil {
		return err
	}
	d, err := z.customer.client.GetRunDiagnostics(ctx, run.ID)
	if err != nil {
		return err
	}
	summary, err := z.customer.client.GetSummary(ctx)
	if err != nil {
		return err
	}
	var f figures
	for _, s := range d.Stages {
		switch s.Name {
		case api.StageAssets:
			f.tally("machines", want.Machines.Fetched, want.Machines.Accepted, want.Machines.Skipped, s)
		case api.StageVulnerabilities:
			f.tally("rows", want.Rows.Fetched, want.Rows.Accepted, want.Rows.Skipped, s)
		}
	}
	f.equal("open findings", int64(want.Findings.Total), summary.Findings.ByState.Open)
	f.equal("vulnerabilities", int64(want.Vulnerabilities), summary.Vulnerabilities.Total)
	c := summary.Findings.OpenBySeverity
	for severity, got := range map[string]int64{"critical": c.Critical, "high": c.High, "medium": c.Medium, "low": c.Low, "unknown": c.Unknown} {
		f.equal(severity+" findings", int64(want.Findings.BySeverity[severity]), got)
	}
	return errors.Join(f...)
}

// figures collects differences.
type figures []error

func (f *figures) equal(what string, want, got int64) {
	if want != got {
		*f = append(*f, fmt.Errorf("%s: %d, the simulator says %d", what, got, want))
	}
}

func (f *figures) tally(what string, fetched, accepted int, skipped map[string]int, got api.StageDiagnostics) {
	f.equal(what+" read", int64(fetched), got.Fetched)
	f.equal(what+" accepted", int64(accepted), got.Accepted)
	reasons := maps.Clone(skipped)
	for reason := range got.Skipped {
		if _, ok := reasons[reason]; !ok {
			reasons[reason] = 0
		}
	}
	for reason, n := range reasons {
		f.equal(what+" left out as "+reason, int64(n), got.Skipped[reason])
	}
}
