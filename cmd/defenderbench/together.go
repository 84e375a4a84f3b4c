package main

import (
	"context"
	"fmt"

	"pgp.internal/defender/cmd/defenderbench/internal/report"
	"pgp.internal/defender/internal/connector"
)

// together imports the directory for several new tenants at once, for the first time, and takes the service's peak of memory
// each time. One import before fills the catalogue, which is read once for all tenants.
func (z *sizeRun) together(ctx context.Context) error {
	if _, err := z.sim.read(ctx, z.sim.main, connector.ViaPages, z.o.pageRows); err != nil {
		return err
	}
	if _, err := z.atOnce(ctx, "Pioneer", 1); err != nil {
		return err
	}
	for _, n := range z.o.atOnce {
		t, err := z.atOnce(ctx, fmt.Sprintf("Together %d", n), n)
		if err != nil {
			return err
		}
		z.result.Together = append(z.result.Together, t)
		z.say("%d first imports at once: %.1f s, %.1f s of the service's processor time, peak %d MiB", n, t.Seconds, t.CPUSeconds, t.PeakBytes>>20)
	}
	return nil
}

// atOnce measures n imports.
func (z *sizeRun) atOnce(ctx context.Context, name string, n int) (t report.Together, err error) {
	directories := make([]directory, n)
	for i := range directories {
		directories[i] = z.sim.main
	}
	customers, err := z.admitAll(ctx, name, directories)
	if err != nil {
		return t, err
	}
	m := z.meter()
	if err := m.start(ctx); err != nil {
		return t, err
	}
	g, err := z.group(ctx, customers)
	if err != nil {
		return t, err
	}
	cpu, peak, _, err := m.stop(ctx)
	if err != nil {
		return t, err
	}
	z.fail(ctx, z.what(name)+", comparison", z.checkOthers(ctx, customers...))
	return report.Together{Imports: n, Seconds: g.Makespan, CPUSeconds: cpu.Service, PeakBytes: peak}, ctx.Err()
}
