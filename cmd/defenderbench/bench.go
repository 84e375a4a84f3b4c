package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"pgp.internal/defender/cmd/defenderbench/internal/proc"
	"pgp.internal/defender/cmd/defenderbench/internal/report"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/pgserver"
	"pgp.internal/defender/internal/syncer"
)

// bench is one run of this program.
type bench struct {
	o      options
	server *server
	report *report.Report
	began  time.Time
}

func newBench(ctx context.Context, o options) (*bench, error) {
	b := &bench{o: o, began: time.Now()}
	for _, name := range []string{"defenderd", "defendersim"} {
		if _, err := exec.LookPath(filepath.Join(o.programs, name)); err != nil {
			return nil, fmt.Errorf("%w; \"make build\" makes it", err)
		}
	}
	if _, err := proc.Read(os.Getpid()); err != nil {
		return nil, fmt.Errorf("processor time and memory are read from Linux's /proc: %w", err)
	}
	err := os.MkdirAll(o.work, 0o755)
	if o.profile != "" {
		err = errors.Join(err, os.MkdirAll(o.profile, 0o755))
	}
	if err != nil {
		return nil, err
	}
	if b.server, err = openServer(ctx, os.Getenv(pgserver.EnvURL)); err != nil {
		return nil, err
	}
	if o.wants(partCopy) || o.wants(partReads) || o.wants(partExport) {
		if _, err := findPrograms(ctx, b.server.db); err != nil {
			return nil, err
		}
	}
	b.report = &report.Report{
		Date: b.began, Command: commandLine(os.Args), Build: version, Go: runtime.Version(), Machine: proc.ThisMachine(), Failures: []string{},
		Setup: report.Setup{PageRows: o.pageRows, Catalogue: o.catalogue, RowsPerMachine: o.rowsPerMachine, Connections: o.connections, Seconds: o.seconds, WalkedPages: walkedPages},
	}
	b.report.Database, b.report.Settings, err = b.server.describe(ctx)
	return b, err
}

// commandLine is how this program was called, wherever it lies.
func commandLine(args []string) string {
	return strings.Join(append([]string{filepath.Base(args[0])}, args[1:]...), " ")
}

// run measures size by size. What fails is told in the report, which is written in any case.
func (b *bench) run(ctx context.Context) error {
	for i, size := range b.o.sizes {
		b.fail(ctx, report.Count(size)+" findings", b.size(ctx, size, i == 0, i == len(b.o.sizes)-1))
		if err := b.write(); err != nil || ctx.Err() != nil {
			return errors.Join(err, b.outcome())
		}
	}
	return b.outcome()
}

// fail books an error.
func (b *bench) fail(ctx context.Context, what string, err error) {
	switch {
	case err == nil:
		return
	case ctx.Err() != nil:
		b.report.Failures = append(b.report.Failures, what+": interrupted")
	default:
		b.report.Failures = append(b.report.Failures, what+": "+err.Error())
	}
	fmt.Fprintf(os.Stderr, "FAILED: %s\n", b.report.Failures[len(b.report.Failures)-1])
}

func (b *bench) write() error {
	b.report.Seconds = time.Since(b.began).Seconds()
	b.report.HoldUp()
	return b.report.Write(b.o.out)
}

func (b *bench) outcome() error {
	missed := 0
	for _, line := range b.report.Reach {
		if line.Known && !line.Met {
			missed++
		}
	}
	fmt.Printf("\nThe report is in %s.md and %s.json. Of %d lines on what should be reached, %d are not met.\n", b.o.out, b.o.out, len(b.report.Reach), missed)
	if n := len(b.report.Failures); n > 0 {
		return fmt.Errorf("%d parts failed; the report says which", n)
	}
	return nil
}

// sizeRun measures with a directory of one size.
type sizeRun struct {
	*bench
	target   int64
	sim      *simulator
	db       *database
	service  *service
	customer *customer
	via      connector.Via // how the report is read
	result   *report.Size
}

// say tells how it goes.
func (z *sizeRun) say(format string, args ...any) {
	fmt.Printf("%7.1f s  %s: %s\n", time.Since(z.began).Seconds(), report.Count(z.target), fmt.Sprintf(format, args...))
}

func (z *sizeRun) name(what string) string { return fmt.Sprintf("%d-%s", z.target, what) }

func (z *sizeRun) log(what string) string { return filepath.Join(z.o.work, z.name(what)+".log") }

func (z *sizeRun) meter() *meter {
	return &meter{service: z.service.pid(), simulator: z.sim.pid(), database: z.db}
}

// size measures one size, several imports at once if it is the smallest, and fairness if it is the largest. The result is in the
// report even if a part fails.
func (b *bench) size(ctx context.Context, target int64, smallest, largest bool) (err error) {
	b.report.Sizes = append(b.report.Sizes, report.Size{Target: target, Machines: b.o.machines(target), Phases: []report.Phase{}, Reads: []report.Read{}})
	z := &sizeRun{bench: b, target: target, via: connector.ViaPages, result: &b.report.Sizes[len(b.report.Sizes)-1]}
	if z.sim, err = startSimulator(ctx, b.o, z.result.Machines, z.log("simulator")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, z.sim.stop()) }()
	if b.o.wants(partDecode) {
		b.fail(ctx, z.what("decode"), z.decode(ctx))
	}
	if b.o.wants(partFirst) {
		if err := z.stage(ctx, "sync", z.parts); err != nil {
			return err
		}
	}
	z.apart(ctx, true, partFiles, z.files, "DEFENDERD_REPORT_FILES_ROWS=1")
	// As many imports must run at once as are to be measured, be they large or not.
	z.apart(ctx, smallest, partTogether, z.together, fmt.Sprintf("DEFENDERD_WORKERS=%d", max(4, slices.Max(z.o.atOnce))), "DEFENDERD_LARGE_ROWS=0")
	z.apart(ctx, largest, partFairness, z.fairness, fmt.Sprintf("DEFENDERD_REPORT_FILES_ROWS=%d", syncer.DefaultReportPolicy().FilesRows))
	return ctx.Err()
}

// apart measures a part that is wanted and due in a stage of its own.
func (z *sizeRun) apart(ctx context.Context, due bool, name string, part func(context.Context) error, settings ...string) {
	if due && z.o.wants(name) && ctx.Err() == nil {
		z.fail(ctx, z.what(name), z.stage(ctx, name, func(ctx context.Context) error { return z.withCause(part(ctx)) }, settings...))
	}
}

func (z *sizeRun) what(part string) string { return report.Count(z.target) + " findings, " + part }

// stage gives a part a fresh database with a service of its own, which may have other settings than usual.
func (z *sizeRun) stage(ctx context.Context, name string, part func(context.Context) error, settings ...string) (err error) {
	if z.db, err = z.server.create(ctx, "defenderbench_"+strings.ReplaceAll(z.name(name), "-", "_")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, z.db.remove(ctx, z.o.keep)) }()
	if z.service, err = startService(ctx, z.o, z.db, z.sim, z.log(name), settings...); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, z.service.stop()) }()
	return part(ctx)
}

// parts measures everything that one tenant is enough for. Without imports there is nothing to read.
func (z *sizeRun) parts(ctx context.Context) (err error) {
	if z.customer, err = z.service.admit(ctx, z.db, "Large", z.sim.main); err != nil {
		return err
	}
	if err := z.imports(ctx); err != nil {
		return z.withCause(err)
	}
	if err := z.db.settle(ctx); err != nil {
		return err
	}
	for _, part := range []struct {
		name    string
		measure func(context.Context) error
	}{{partReads, z.reads}, {partExport, z.export}} {
		if z.o.wants(part.name) && ctx.Err() == nil {
			z.fail(ctx, z.what(part.name), z.withCause(part.measure(ctx)))
		}
	}
	z.result.Relations, err = z.db.relations(ctx)
	return err
}

// withCause adds to an error that a process has ended, if one has: that explains most others.
func (z *sizeRun) withCause(err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(err, z.service.alive(), z.sim.alive())
}

// median of figures in any order.
func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}
