package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// profiler keeps profiles of the service while a phase runs; a nil one keeps none.
type profiler struct {
	z      *sizeRun
	prefix string
	over   chan struct{}
	ended  chan error
}

// slice is how long each CPU profile is: a phase has as many as it needs, and "go tool pprof" adds them up.
const slice = 5 * time.Second

func (z *sizeRun) profile(ctx context.Context, phase string) (*profiler, error) {
	if z.o.profile == "" {
		return nil, nil
	}
	if err := z.db.forgetStatements(ctx); err != nil {
		return nil, err
	}
	name := strings.NewReplacer(" % ", "-", " ", "-").Replace(z.name(phase))
	p := &profiler{z: z, prefix: filepath.Join(z.o.profile, name), over: make(chan struct{}), ended: make(chan error, 1)}
	go func() { p.ended <- p.slices() }()
	return p, nil
}

func (p *profiler) slices() error {
	for n := 1; ; n++ {
		path := fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(slice.Seconds()))
		if err := p.fetch(context.Background(), path, fmt.Sprintf("cpu-%03d.pprof", n)); err != nil {
			return err
		}
		select {
		case <-p.over:
			return nil
		default:
		}
	}
}

// end waits for the last slice and keeps what is on the heap.
func (p *profiler) end(ctx context.Context) error {
	if p == nil {
		return nil
	}
	close(p.over)
	return errors.Join(p.z.db.costliestStatements(ctx, p.prefix+"-statements.txt"), <-p.ended, p.fetch(ctx, "/debug/pprof/heap", "heap.pprof"))
}

func (p *profiler) fetch(ctx context.Context, path, name string) error {
	ctx, cancel := context.WithTimeout(ctx, slice+30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.z.service.admin+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("a profile was answered with %s", resp.Status)
	}
	file, err := os.Create(p.prefix + "-" + name)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, resp.Body)
	return errors.Join(err, file.Close())
}

// keepsStatements tells whether the server was started with pg_stat_statements.
func (d *database) keepsStatements(ctx context.Context) (bool, error) {
	var libraries string
	err := d.db.QueryRowContext(ctx, "show shared_preload_libraries").Scan(&libraries)
	return strings.Contains(libraries, "pg_stat_statements"), err
}

func (d *database) forgetStatements(ctx context.Context) error {
	keeps, err := d.keepsStatements(ctx)
	if err != nil || !keeps {
		return err
	}
	_, err = d.db.ExecContext(ctx, "create extension if not exists pg_stat_statements; select pg_stat_statements_reset()")
	return err
}

// costliestStatements writes down what took the database most of its time.
func (d *database) costliestStatements(ctx context.Context, name string) error {
	keeps, err := d.keepsStatements(ctx)
	if err != nil || !keeps {
		return err
	}
	rows, err := d.db.QueryContext(ctx, `
		select round(s.total_exec_time::numeric, 1), s.calls, s.rows, round(s.wal_bytes / 1e6, 1), regexp_replace(s.query, '\s+', ' ', 'g')
		from pg_stat_statements s join pg_database b on b.oid = s.dbid and b.datname = current_database()
		order by s.total_exec_time desc limit 25`)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // its error is that of Err
	var b strings.Builder
	fmt.Fprintf(&b, "%12s %10s %12s %10s  %s\n", "ms", "calls", "rows", "WAL MB", "statement")
	for rows.Next() {
		var ms, wal float64
		var calls, count int64
		var text string
		if err := rows.Scan(&ms, &calls, &count, &wal, &text); err != nil {
			return err
		}
		fmt.Fprintf(&b, "%12.1f %10d %12d %10.1f  %.600s\n", ms, calls, count, wal, text)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(b.String()), 0o644)
}
