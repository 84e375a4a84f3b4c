package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
)

// ListEnd is the last line of a list that is answered as lines; only with it the list is complete.
type ListEnd struct {
	End   bool  `json:"_end"`
	Count int64 `json:"count"`
}

var (
	errNoEnd    = errors.New("the answer broke off before the end of the list")
	errAfterEnd = errors.New("something follows the end of the list")
)

// stream yields the items of a whole list as they arrive in one answer, one document a line. An error ends it, and means
// that the list is not complete. Breaking off the loop ends the transfer.
func stream[T any](ctx context.Context, c *Client, target string, q query) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		resp, err := c.open(ctx, target, q)
		if err == nil {
			defer func() { _ = resp.Body.Close() }()
			if err = eachLine(resp.Body, yield); err != nil {
				err = fmt.Errorf("api: GET %s: %w", target, err)
			}
		}
		if err != nil {
			var zero T
			yield(zero, err)
		}
	}
}

// eachLine yields the items up to the end of the list, or to the end of the caller's interest.
func eachLine[T any](body io.Reader, yield func(T, error) bool) error {
	d := json.NewDecoder(body)
	for count := int64(0); ; count++ {
		var line json.RawMessage
		if err := d.Decode(&line); errors.Is(err, io.EOF) {
			return errNoEnd
		} else if err != nil {
			return err
		}
		if end, ok := endOf(line); ok {
			return checkEnd(d, end, count)
		}
		var item T
		if err := json.Unmarshal(line, &item); err != nil {
			return err
		}
		if !yield(item, nil) {
			return nil
		}
	}
}

// endOf tells the last line from an item, and looks closely only at lines that may be it.
func endOf(line []byte) (end ListEnd, ok bool) {
	if !bytes.Contains(line, []byte(`"_end"`)) {
		return end, false
	}
	err := json.Unmarshal(line, &end)
	return end, err == nil && end.End
}

func checkEnd(d *json.Decoder, end ListEnd, count int64) error {
	if end.Count != count {
		return fmt.Errorf("%d items came of %d", count, end.Count)
	}
	if _, err := d.Token(); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return err
	}
	return errAfterEnd
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

// StreamAssets yields all assets that the options select, in one answer. Sort and page options must be left out. A list that
// did not come whole ends with an error. Role: readonly.
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
