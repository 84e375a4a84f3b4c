package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
)

// stream yields the items of a whole list as they arrive in one answer, one document a line. An error ends it; one of the
// transfer means that the list is not complete. Breaking off the loop ends the transfer.
func stream[T any](ctx context.Context, c *Client, target string, q query) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		resp, err := c.open(ctx, target, q)
		if err != nil {
			yield(zero, err)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		for d := json.NewDecoder(resp.Body); ; {
			var item T
			switch err := d.Decode(&item); {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(zero, fmt.Errorf("api: GET %s: %w", target, err))
				return
			case !yield(item, nil):
				return
			}
		}
	}
}

func (c *Client) open(ctx context.Context, target string, q query) (*http.Response, error) {
	lines := func(h http.Header) { h.Set("Accept", "application/x-ndjson, application/problem+json") }
	req, err := c.request(ctx, call{method: http.MethodGet, path: target, query: q, options: []RequestOption{lines}})
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("api: GET %s: %w", target, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer func() { _ = resp.Body.Close() }()
		return nil, problemOf(resp)
	}
	return resp, nil
}

// StreamAssets yields all assets that the options select, in one answer. Sort and page options must be left out. Role:
// readonly.
func (c *Client) StreamAssets(ctx context.Context, o ListAssetsOptions) iter.Seq2[Asset, error] {
	return stream[Asset](ctx, c, "/v1/assets", o.query())
}

// StreamVulnerabilities is StreamAssets for vulnerabilities.
func (c *Client) StreamVulnerabilities(ctx context.Context, o ListVulnerabilitiesOptions) iter.Seq2[Vulnerability, error] {
	return stream[Vulnerability](ctx, c, "/v1/vulnerabilities", o.query())
}

// StreamFindings is StreamAssets for findings: the way to get millions of them.
func (c *Client) StreamFindings(ctx context.Context, o ListFindingsOptions) iter.Seq2[Finding, error] {
	return stream[Finding](ctx, c, "/v1/findings", o.everywhere())
}
