package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/cmd/defenderbench/internal/report"
	"pgp.internal/defender/internal/connector"
)

// fairness imports many small directories for the first time, by themselves and then, for other tenants, while the large one
// is imported as the service does it when it is left alone: from files. One group follows the other until the large import has ended, so
// that they meet all it does: reading, copying and indexing.
func (z *sizeRun) fairness(ctx context.Context) error {
	directories, err := z.smallDirectories(ctx)
	if err != nil {
		return err
	}
	f := &report.Fairness{Tenants: z.o.small, Machines: z.o.smallMachines, Rows: z.o.smallRows, LargeSize: z.target}
	if f.Alone, err = z.alone(ctx, directories); err != nil {
		return fmt.Errorf("alone: %w", err)
	}
	if f.Groups, err = z.beside(ctx, directories, f); err != nil {
		return fmt.Errorf("beside the large one: %w", err)
	}
	f.Beside = report.Worst(f.Groups)
	z.report.Fairness = f
	z.say("fairness: median %.2f s alone and %.2f s beside, longest %.2f s and %.2f s, %d groups", f.Alone.Median, f.Beside.Median, f.Alone.Longest, f.Beside.Longest, len(f.Groups))
	return nil
}

// smallDirectories makes the directories and gets their pages ready. One tenant more than is measured fills the catalogue,
// which the first import of all has to read.
func (z *sizeRun) smallDirectories(ctx context.Context) ([]directory, error) {
	for _, via := range []connector.Via{connector.ViaPages, connector.ViaFiles} {
		if _, err := z.sim.read(ctx, z.sim.main, via, z.o.pageRows); err != nil {
			return nil, err
		}
	}
	list := make([]directory, z.o.small)
	for i := range list {
		list[i] = newDirectory(i + 1)
		if err := z.sim.addSmall(ctx, list[i], z.o.smallMachines, z.o.smallRows); err != nil {
			return nil, err
		}
		if _, err := z.sim.read(ctx, list[i], connector.ViaPages, z.o.pageRows); err != nil {
			return nil, err
		}
	}
	pioneer, err := z.service.admit(ctx, z.db, "Pioneer", list[0])
	if err != nil {
		return nil, err
	}
	run, err := pioneer.connect(ctx)
	if err != nil {
		return nil, err
	}
	_, err = pioneer.follow(ctx, run)
	return list, err
}

func (z *sizeRun) alone(ctx context.Context, directories []directory) (report.Group, error) {
	customers, err := z.admitAll(ctx, "Alone", directories)
	if err != nil {
		return report.Group{}, err
	}
	g, err := z.group(ctx, customers)
	if err != nil {
		return report.Group{}, err
	}
	z.fail(ctx, z.what("fairness, alone")+", comparison", z.checkOthers(ctx, customers...))
	return g, ctx.Err()
}

// beside measures groups while imports of the large directory run, one after the other until a group has ended behind the first of them. When
// all is over, that first import and the last group are held against the truth.
func (z *sizeRun) beside(ctx context.Context, directories []directory, f *report.Fairness) (groups []report.Group, err error) {
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &largeImports{busy: make(chan struct{}), ended: make(chan struct{}), over: make(chan struct{})}
	failed := make(chan error, 1)
	go func() {
		err := z.keepBusy(running, l, f)
		cancel() // without the large import, the groups measure nothing
		failed <- err
	}()
	select {
	case <-l.busy:
	case err := <-failed:
		return nil, err
	}
	began := time.Now()
	var customers []*customer
	for last := false; err == nil && !last; {
		var g report.Group
		g, customers, err = z.besideNext(running, directories, len(groups)+1)
		g.After = time.Since(began).Seconds() - g.Makespan
		groups = append(groups, g)
		select {
		case <-l.ended:
			last = true
		default:
		}
	}
	close(l.over)
	if err := errors.Join(err, <-failed); err != nil {
		return nil, err
	}
	z.fail(ctx, z.what("fairness, beside")+", comparison", z.checkOthers(ctx, append(customers, l.first)...))
	return groups, ctx.Err()
}

func (z *sizeRun) besideNext(ctx context.Context, directories []directory, number int) (report.Group, []*customer, error) {
	customers, err := z.admitAll(ctx, fmt.Sprintf("Beside %d,", number), directories)
	if err != nil {
		return report.Group{}, nil, err
	}
	g, err := z.group(ctx, customers)
	return g, customers, err
}

// largeImports is what imports of the large directory tell, and what ends them.
type largeImports struct {
	busy  chan struct{} // closed when the first one reads rows
	ended chan struct{} // closed when the first one has ended
	over  chan struct{} // closed when it is enough
	first *customer     // whose import is the first one; to be read once all have ended
}

// keepBusy imports the large directory for one new tenant after the other, and takes the last import back when told that it is enough.
func (z *sizeRun) keepBusy(ctx context.Context, l *largeImports, f *report.Fairness) error {
	busy := l.busy
	for {
		f.LargeRuns++
		c, err := z.service.admit(ctx, z.db, fmt.Sprintf("Large %d", f.LargeRuns), z.sim.main)
		if err != nil {
			return err
		}
		if l.first == nil {
			l.first = c
		}
		run, err := c.connect(ctx)
		if err != nil {
			return err
		}
		enough, err := z.watch(ctx, c, run, busy, l.over, f)
		if err != nil || enough {
			return err
		}
		if busy = nil; f.LargeRuns == 1 {
			close(l.ended)
		}
	}
}

// watch follows one import of the large directory to its end, or until it is enough. When it reads rows, it has been weighed.
func (z *sizeRun) watch(ctx context.Context, c *customer, run string, busy chan<- struct{}, over <-chan struct{}, f *report.Fairness) (enough bool, err error) {
	for {
		now, err := c.client.GetRun(ctx, run)
		if err != nil {
			return false, err
		}
		if busy != nil && now.Stage == api.StageVulnerabilities {
			rows, err := z.db.weighed(ctx, c.number)
			if err != nil {
				return false, err
			}
			f.LargeRows = &rows
			close(busy)
			busy = nil
		}
		if now.State.Finished() {
			if now.State != api.RunSucceeded {
				return false, fmt.Errorf("the large import ended %s", now.State)
			}
			if busy != nil { // it was over before it was seen reading
				close(busy)
			}
			return false, nil
		}
		select {
		case <-over:
			_, err := c.client.CancelRun(ctx, run)
			return true, err
		default:
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return false, err
		}
	}
}

func (z *sizeRun) admitAll(ctx context.Context, name string, directories []directory) ([]*customer, error) {
	var list []*customer
	for i, d := range directories {
		c, err := z.service.admit(ctx, z.db, fmt.Sprintf("%s %d", name, i+1), d)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// group connects all customers at once and waits for their imports.
func (z *sizeRun) group(ctx context.Context, customers []*customer) (report.Group, error) {
	runs, errs := make([]*api.Run, len(customers)), make([]error, len(customers))
	var group sync.WaitGroup
	for i, c := range customers {
		group.Go(func() {
			var id string
			if id, errs[i] = c.connect(ctx); errs[i] == nil {
				runs[i], errs[i] = c.follow(ctx, id)
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return report.Group{}, err
	}
	return grouped(runs), nil
}

// grouped takes times from what the service tells: each from its order, the whole from the first order to the last end.
func grouped(runs []*api.Run) report.Group {
	var took []float64
	first, last := runs[0].CreatedAt, runs[0].FinishedAt
	for _, r := range runs {
		took = append(took, r.FinishedAt.Sub(r.CreatedAt).Seconds())
		if r.CreatedAt.Before(first) {
			first = r.CreatedAt
		}
		if r.FinishedAt.After(last) {
			last = r.FinishedAt
		}
	}
	return report.Group{Median: median(took), Longest: slices.Max(took), Makespan: last.Sub(first).Seconds()}
}
