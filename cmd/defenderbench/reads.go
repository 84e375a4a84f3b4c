package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"pgp.internal/defender/cmd/defenderbench/internal/report"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/tenant"
)

// pageSize is the API's own default.
const pageSize = 50

// resource is something that is read: its address, and how the store answers.
type resource struct {
	name, path, sort string
	answer           func(context.Context, *postgres.Store, tenant.ID) error
	cursor           nextPage // nil for what has no pages to walk
}

func (z *sizeRun) resources() []resource {
	page := func(key string, descending bool) inventory.PageRequest {
		return inventory.PageRequest{Limit: pageSize, Sort: inventory.Sort{Key: key, Descending: descending}}
	}
	findings := func(request inventory.PageRequest) func(context.Context, *postgres.Store, tenant.ID) error {
		return func(ctx context.Context, s *postgres.Store, id tenant.ID) error {
			_, _, err := s.ListFindings(ctx, id, inventory.FindingFilter{}, request)
			return err
		}
	}
	c := z.customer
	return []resource{
		{report.FindingsBySeverity, "/v1/findings", "-severity", findings(page("severity", true)), c.findingsAfter("-severity")},
		{report.FindingsByFirstSeen, "/v1/findings", "first_seen_at", findings(page("first_seen_at", false)), c.findingsAfter("first_seen_at")},
		{report.Assets, "/v1/assets", "hostname", func(ctx context.Context, s *postgres.Store, id tenant.ID) error {
			_, _, err := s.ListAssets(ctx, id, inventory.AssetFilter{}, page("hostname", false))
			return err
		}, c.assetsAfter("hostname")},
		{report.Vulnerabilities, "/v1/vulnerabilities", "-severity", func(ctx context.Context, s *postgres.Store, id tenant.ID) error {
			_, _, err := s.ListVulnerabilities(ctx, id, inventory.VulnerabilityFilter{}, page("severity", true))
			return err
		}, c.vulnerabilitiesAfter("-severity")},
		{"summary", "/v1/summary", "", func(ctx context.Context, s *postgres.Store, id tenant.ID) error {
			_, err := s.Summary(ctx, id)
			return err
		}, nil},
	}
}

// reads measures pages through the API and, in turn with it, the database's part of it by pgbench.
func (z *sizeRun) reads(ctx context.Context) (err error) {
	programs, err := findPrograms(ctx, z.db.db)
	if err != nil {
		return err
	}
	store, err := postgres.Open(ctx, z.db.url, postgres.ForRequests(), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	var errs []error
	for _, r := range z.resources() {
		if err := z.readResource(ctx, r, store, programs); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.name, err))
		}
	}
	if err := z.filtered(ctx); err != nil {
		errs = append(errs, fmt.Errorf("findings by filter: %w", err))
	}
	return errors.Join(errs...)
}

func (z *sizeRun) readResource(ctx context.Context, r resource, store *postgres.Store, programs pgPrograms) error {
	var statements []postgres.Statement
	recording := postgres.Recording(ctx, func(s postgres.Statement) { statements = append(statements, s) })
	if err := r.answer(recording, store, tenant.ID(z.customer.number)); err != nil {
		return err
	}
	first, err := z.inTurn(ctx, r, statements, programs)
	if err != nil {
		return err
	}
	z.result.Reads = append(z.result.Reads, first)
	z.say("%s: %.0f/s, p99 %.1f ms; pgbench %.0f/s, planned alike %.0f/s", r.name, first.Rate, first.P99, first.TPS, first.AlikeTPS)
	if r.cursor == nil {
		return nil
	}
	page, cursor, err := walk(ctx, r.cursor)
	if err != nil || page == 1 {
		return err
	}
	deep, err := z.profiledPage(ctx, r, page, cursor, z.o.readFor())
	if err != nil {
		return err
	}
	z.result.Reads = append(z.result.Reads, deep)
	z.say("%s, page %d: %.0f/s, p99 %.1f ms", r.name, page, deep.Rate, deep.P99)
	return nil
}

// inTurn reads the first page and its limit in turn, since the machine's speed drifts: each ratio is of windows that lie side by side, and
// one noisy window does not decide. The first turn alone is profiled, so that the limit's statements are not among the page's.
func (z *sizeRun) inTurn(ctx context.Context, r resource, statements []postgres.Statement, programs pgPrograms) (report.Read, error) {
	turns := make([]report.Read, z.o.turns())
	read := z.profiledPage
	for n := range turns {
		var err error
		if turns[n], err = read(ctx, r, 1, "", z.o.turn()); err != nil {
			return report.Read{}, err
		}
		if turns[n].TPS, err = z.db.pgbench(ctx, programs, statements, z.o); err != nil {
			return report.Read{}, err
		}
		if settings := plannedAlike(statements); settings != nil {
			if turns[n].AlikeTPS, err = z.db.pgbench(ctx, programs, statements, z.o, settings...); err != nil {
				return report.Read{}, err
			}
		}
		read = z.readPage
	}
	return middle(turns), nil
}

// middle has the median of each figure; all requests are counted.
func middle(turns []report.Read) report.Read {
	of := func(figure func(report.Read) float64) float64 {
		list := make([]float64, len(turns))
		for i, t := range turns {
			list[i] = figure(t)
		}
		return median(list)
	}
	m := report.Read{
		Name: turns[0].Name, Page: turns[0].Page, Bytes: turns[0].Bytes,
		Rate: of(func(r report.Read) float64 { return r.Rate }), TPS: of(func(r report.Read) float64 { return r.TPS }),
		AlikeTPS: of(func(r report.Read) float64 { return r.AlikeTPS }),
		P50:      of(func(r report.Read) float64 { return r.P50 }), P99: of(func(r report.Read) float64 { return r.P99 }),
		CPU: report.ReadCPU{
			Service: of(func(r report.Read) float64 { return r.CPU.Service }), Database: of(func(r report.Read) float64 { return r.CPU.Database }),
			Reader: of(func(r report.Read) float64 { return r.CPU.Reader }),
		},
	}
	for _, t := range turns {
		m.Requests += t.Requests
	}
	return m
}

func (z *sizeRun) profiledPage(ctx context.Context, r resource, page int, cursor string, lasting time.Duration) (report.Read, error) {
	profile, err := z.profile(ctx, fmt.Sprintf("page %d of %s", page, strings.ReplaceAll(r.name, ",", "")))
	if err != nil {
		return report.Read{}, err
	}
	read, err := z.readPage(ctx, r, page, cursor, lasting)
	_, ended := profile.end(ctx)
	return read, errors.Join(err, ended)
}

func (z *sizeRun) readPage(ctx context.Context, r resource, page int, cursor string, lasting time.Duration) (report.Read, error) {
	query := url.Values{}
	if r.sort != "" {
		query.Set("limit", fmt.Sprint(pageSize))
		query.Set("sort", r.sort)
	}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	m := z.meter()
	if err := m.start(ctx); err != nil {
		return report.Read{}, err
	}
	l, err := repeat(ctx, z.service.url+r.path+"?"+query.Encode(), z.customer.key, z.o.connections, lasting)
	if err != nil {
		return report.Read{}, err
	}
	used, err := m.stopReading(ctx, l.answers)
	if err != nil {
		return report.Read{}, err
	}
	milliseconds := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	return report.Read{Name: r.name, Page: page, Requests: l.requests, Rate: l.rate, P50: milliseconds(l.p50), P99: milliseconds(l.p99), Bytes: l.size, CPU: used}, nil
}
