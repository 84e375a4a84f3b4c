package main

import (
	"context"

	"pgp.internal/defender/api"
)

// deepPage is how far the lists are walked.
const deepPage = 1000

// walk goes to the page that is to be read, or to the last but one if the list ends before: the last may not be full.
func walk(ctx context.Context, next nextPage) (page int, cursor string, err error) {
	before := ""
	for page = 1; page < deepPage; page++ {
		further, err := next(ctx, cursor)
		if err != nil {
			return 0, "", err
		}
		if further == "" {
			return max(page-1, 1), before, nil
		}
		before, cursor = cursor, further
	}
	return page, cursor, nil
}

// nextPage gives the cursor of the page after the one of a cursor; none after the last.
type nextPage func(ctx context.Context, cursor string) (string, error)

func (c *customer) findingsAfter(sort string) nextPage {
	return func(ctx context.Context, cursor string) (string, error) {
		return following(c.client.ListFindings(ctx, api.ListFindingsOptions{Sort: sort, PageOptions: at(cursor)}))
	}
}

func (c *customer) assetsAfter(sort string) nextPage {
	return func(ctx context.Context, cursor string) (string, error) {
		return following(c.client.ListAssets(ctx, api.ListAssetsOptions{Sort: sort, PageOptions: at(cursor)}))
	}
}

func (c *customer) vulnerabilitiesAfter(sort string) nextPage {
	return func(ctx context.Context, cursor string) (string, error) {
		return following(c.client.ListVulnerabilities(ctx, api.ListVulnerabilitiesOptions{Sort: sort, PageOptions: at(cursor)}))
	}
}

func at(cursor string) api.PageOptions { return api.PageOptions{Limit: pageSize, Cursor: cursor} }

func following[T any](p *api.Page[T], err error) (string, error) {
	if err != nil {
		return "", err
	}
	return p.NextCursor, nil
}
