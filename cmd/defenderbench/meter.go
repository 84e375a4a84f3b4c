package main

import (
	"context"
	"errors"
	"os"
	"time"

	"pgp.internal/defender/cmd/defenderbench/internal/proc"
	"pgp.internal/defender/cmd/defenderbench/internal/report"
)

// meter tells what a phase used.
type meter struct {
	service, simulator int // processes
	database           *database
	began              counters
}

// counters are what is read before and after.
type counters struct {
	service, simulator, database, self time.Duration
	wal, transaction                   int64
}

// start takes the counters and lets the service's peak of memory begin anew.
func (m *meter) start(ctx context.Context) error {
	if err := proc.ResetPeak(m.service); err != nil {
		return err
	}
	var err error
	if m.began.transaction, err = m.database.transaction(ctx); err != nil {
		return err
	}
	m.began, err = m.read(ctx, m.began)
	return err
}

func (m *meter) read(ctx context.Context, u counters) (counters, error) {
	var errs [5]error
	u.service, errs[0] = proc.CPU(m.service)
	u.simulator, errs[1] = proc.CPU(m.simulator)
	if u.self, errs[4] = proc.CPU(os.Getpid()); m.database.pid != 0 {
		u.database, errs[2] = proc.CPUOfFamily(m.database.pid)
	}
	u.wal, errs[3] = m.database.wal(ctx)
	return u, errors.Join(errs[:]...)
}

// stop tells what was used since start.
func (m *meter) stop(ctx context.Context) (cpu report.CPU, peak, wal int64, err error) {
	now, err := m.read(ctx, counters{})
	if err != nil {
		return cpu, 0, 0, err
	}
	cpu = report.CPU{
		Service:   (now.service - m.began.service).Seconds(),
		Database:  (now.database - m.began.database).Seconds(),
		Simulator: (now.simulator - m.began.simulator).Seconds(),
	}
	peak, err = proc.Peak(m.service)
	return cpu, peak, now.wal - m.began.wal, err
}

// stopReading tells what was used since start for each of so many answers.
func (m *meter) stopReading(ctx context.Context, answers int64) (report.ReadCPU, error) {
	now, err := m.read(ctx, counters{})
	each := func(used time.Duration) float64 { return used.Seconds() * 1e3 / float64(max(answers, 1)) }
	return report.ReadCPU{
		Service: each(now.service - m.began.service), Database: each(now.database - m.began.database), Reader: each(now.self - m.began.self),
	}, err
}
