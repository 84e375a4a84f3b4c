package api

import (
	"context"
	"iter"
	"net/http"
)

// SkippedRecord is a machine that a run left out, or the rows of Microsoft's report that one Reason refused of one vulnerability,
// and of one machine where the machine is the reason. Records is how many records it stands for.
type SkippedRecord struct {
	Stage           RunStageName `json:"stage"`
	Reason          string       `json:"reason"`
	Records         int64        `json:"records"`
	SourceID        string       `json:"source_id,omitempty"`
	Name            string       `json:"name,omitempty"`
	VulnerabilityID string       `json:"vulnerability_id,omitempty"`
	Detail          string       `json:"detail,omitempty"`
}

// ListSkippedOptions filter what a run left out. The zero value filters nothing.
type ListSkippedOptions struct {
	Reason []string // as in StageDiagnostics.Skipped
	PageOptions
}

func (o ListSkippedOptions) query() query {
	q := newQuery()
	addAll(q, "reason", o.Reason)
	q.page(o.PageOptions)
	return q
}

// ListSkipped reads one page of what a run left out. Role: analyst.
func (c *Client) ListSkipped(ctx context.Context, runID string, o ListSkippedOptions) (*Page[SkippedRecord], error) {
	return send[Page[SkippedRecord]](ctx, c, call{method: http.MethodGet, path: path("/v1/runs/%s/skipped", runID), query: o.query()})
}

// AllSkipped yields what a run left out from o.Cursor on; an error ends it.
func (c *Client) AllSkipped(ctx context.Context, runID string, o ListSkippedOptions) iter.Seq2[SkippedRecord, error] {
	return walk(o.Cursor, func(cursor string) (*Page[SkippedRecord], error) {
		o.Cursor = cursor
		return c.ListSkipped(ctx, runID, o)
	})
}

// StreamSkipped yields the whole list from one answer; an error ends it, and means that the list is not complete. o.PageOptions must be empty.
func (c *Client) StreamSkipped(ctx context.Context, runID string, o ListSkippedOptions) iter.Seq2[SkippedRecord, error] {
	return stream[SkippedRecord](ctx, c, path("/v1/runs/%s/skipped", runID), o.query())
}
