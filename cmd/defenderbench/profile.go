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

	"pgp.internal/defender/cmd/defenderbench/internal/report"
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

// end waits for the last slice, keeps what is on the heap, and adds it all up.
func (p *profiler) end(ctx context.Context) (*report.Profile, error) {
	if p == nil {
		return nil, nil
	}
	close(p.over)
	statements, err := p.z.db.costliestStatements(ctx, p.prefix+"-statements.txt")
	if err := errors.Join(err, <-p.ended, p.fetch(ctx, "/debug/pprof/heap", "heap.pprof")); err != nil {
		return nil, err
	}
	slices, err := filepath.Glob(p.prefix + "-cpu-*.pprof")
	if err != nil {
		return nil, err
	}
	sum := &report.Profile{Statements: statements}
	if sum.CPU, err = sumProfiles("cpu", slices); err != nil {
		return nil, err
	}
	sum.Heap, err = sumProfiles("inuse_space", []string{p.prefix + "-heap.pprof"})
	return sum, err
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

// costliestStatements tells what took the database most of its time, and writes it down.
func (d *database) costliestStatements(ctx context.Context, name string) (costly []report.Statement, err error) {
	keeps, err := d.keepsStatements(ctx)
	if err != nil || !keeps {
		return nil, err
	}
	rows, err := d.db.QueryContext(ctx, `
		select s.total_exec_time, s.calls, s.rows, s.wal_bytes::bigint, left(regexp_replace(s.query, '\s+', ' ', 'g'), 600)
		from pg_stat_statements s join pg_database b on b.oid = s.dbid and b.datname = current_database()
		order by s.total_exec_time desc limit 25`)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // its error is that of Err
	var b strings.Builder
	fmt.Fprintf(&b, "%12s %10s %12s %10s  %s\n", "ms", "calls", "rows", "WAL MB", "statement")
	for rows.Next() {
		var s report.Statement
		if err := rows.Scan(&s.Milliseconds, &s.Calls, &s.Rows, &s.WAL, &s.Text); err != nil {
			return nil, err
		}
		s.Text = strings.TrimSpace(s.Text)
		costly = append(costly, s)
		fmt.Fprintf(&b, "%12.1f %10d %12d %10.1f  %s\n", s.Milliseconds, s.Calls, s.Rows, float64(s.WAL)/1e6, s.Text)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return costly, os.WriteFile(name, []byte(b.String()), 0o644)
}
