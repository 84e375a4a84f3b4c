package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/cmd/defenderbench/internal/report"
)

// walkedPages is how far a list under a filter is walked: a page may be short or empty, with others behind it.
const walkedPages = 20

// filtered walks the findings under filters that meet many of them, few and none, by one client.
func (z *sizeRun) filtered(ctx context.Context) error {
	filters, err := z.filters(ctx)
	if err != nil {
		return err
	}
	for _, f := range filters {
		w, err := z.walkFiltered(ctx, f)
		if err != nil {
			return err
		}
		z.result.Walks = append(z.result.Walks, w)
		z.say("findings, %s: %d in %d pages, %.1f ms, longest %.1f ms", w.Filter, w.Findings, w.Pages, w.Median, w.Longest)
	}
	return nil
}

// filter is one that findings are listed under.
type filter struct {
	name    string
	options api.ListFindingsOptions
}

// filters names values that there are: of the finding with which the list begins, and the vulnerability that most assets have.
func (z *sizeRun) filters(ctx context.Context) ([]filter, error) {
	begin, err := z.customer.client.ListFindings(ctx, api.ListFindingsOptions{PageOptions: api.PageOptions{Limit: 1}})
	if err != nil {
		return nil, err
	}
	most, err := z.customer.client.ListVulnerabilities(ctx, api.ListVulnerabilitiesOptions{Sort: "-exposed_assets", PageOptions: api.PageOptions{Limit: 1}})
	if err != nil {
		return nil, err
	}
	if len(begin.Items) == 0 || len(begin.Items[0].Instances) == 0 || len(most.Items) == 0 {
		return nil, errors.New("there is nothing to filter")
	}
	some, without := begin.Items[0], false
	product, common := []string{some.Instances[0].Product}, []string{most.Items[0].ID}
	fixed, critical, low := []api.FindingState{api.FindingFixed}, []api.Severity{api.SeverityCritical}, []api.Severity{api.SeverityLow}
	return []filter{
		{"fixed", api.ListFindingsOptions{State: fixed}},
		{"critical", api.ListFindingsOptions{Severity: critical}},
		{"low", api.ListFindingsOptions{Severity: low}},
		{"without an update", api.ListFindingsOptions{FixAvailable: &without}},
		{"first seen since a time", api.ListFindingsOptions{FirstSeenGTE: some.FirstSeenAt}},
		{"first seen before it", api.ListFindingsOptions{FirstSeenLT: some.FirstSeenAt}},
		{"one asset", api.ListFindingsOptions{AssetID: []string{some.AssetID}}},
		{"one vulnerability", api.ListFindingsOptions{VulnerabilityID: []string{some.VulnerabilityID}}},
		{"the most common vulnerability", api.ListFindingsOptions{VulnerabilityID: common}},
		{"one product", api.ListFindingsOptions{Product: product}},
		{"a product that nobody has", api.ListFindingsOptions{Product: []string{"no such product"}}},
		{"one product, low", api.ListFindingsOptions{Product: product, Severity: low}},
		{"one product, low, without an update", api.ListFindingsOptions{Product: product, Severity: low, FixAvailable: &without}},
		{"the most common vulnerability, fixed", api.ListFindingsOptions{VulnerabilityID: common, State: fixed}},
	}, nil
}

func (z *sizeRun) walkFiltered(ctx context.Context, f filter) (report.Walk, error) {
	w, options := report.Walk{Filter: f.name}, f.options
	var times []float64
	options.Limit = pageSize
	for w.Pages < walkedPages && !w.Ended {
		began := time.Now()
		p, err := z.customer.client.ListFindings(ctx, options)
		if err != nil {
			return w, fmt.Errorf("%s: %w", f.name, err)
		}
		times = append(times, float64(time.Since(began).Microseconds())/1e3)
		w.Pages, w.Findings, options.Cursor = w.Pages+1, w.Findings+len(p.Items), p.NextCursor
		w.Ended = p.NextCursor == ""
	}
	w.Median, w.Longest = median(times), slices.Max(times)
	return w, nil
}
