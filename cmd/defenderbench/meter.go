package main

import (
	"context"
	"errors"
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
	service, simulator, database time.Duration
	wal, transaction             int64
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
	var errs [4]error
	u.service, errs[0] = proc.CPU(m.service)
	u.simulator, errs[1] = proc.CPU(m.simulator)
	if m.database.pid != 0 {
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
