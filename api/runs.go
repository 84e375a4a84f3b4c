package api

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// StartRunRequest says how to import. No Mode means incremental. With DryRun the run changes nothing and tells what it would do;
// Settings then are tried out over the stored ones.
type StartRunRequest struct {
	Mode     *RunMode       `json:"mode,omitempty" validate:"omitnil,oneof=incremental full"`
	DryRun   *bool          `json:"dry_run,omitempty"`
	Settings *SettingsInput `json:"settings,omitempty"`
}

// Progress counts what a run or stage did. Fetched, Accepted and Skipped count what Microsoft gave: machines in the stage assets,
// software rows in the stage vulnerabilities. The others count what that came to: assets, findings.
// Reopened is a part of Updated, and OutOfScope one of Removed.
type Progress struct {
	Fetched       int64  `json:"fetched"`
	Accepted      int64  `json:"accepted"`
	Skipped       int64  `json:"skipped"`
	Created       int64  `json:"created"`
	Updated       int64  `json:"updated"`
	Reopened      int64  `json:"reopened"`
	Unchanged     int64  `json:"unchanged"`
	Fixed         int64  `json:"fixed"`
	Removed       int64  `json:"removed"`
	OutOfScope    int64  `json:"out_of_scope"`
	TotalEstimate *int64 `json:"total_estimate,omitempty"`
}

// RunStage is one stage of a run.
type RunStage struct {
	Name       RunStageName  `json:"name"`
	State      RunStageState `json:"state"`
	Progress   Progress      `json:"progress"`
	StartedAt  time.Time     `json:"started_at,omitzero"`
	FinishedAt time.Time     `json:"finished_at,omitzero"`
}

// RunError is why a run failed or brought only a part. If Permanent, somebody has to act.
type RunError struct {
	Code      string  `json:"code"`
	Title     string  `json:"title"`
	Detail    string  `json:"detail"`
	Cause     string  `json:"cause,omitempty"`
	Remedy    string  `json:"remedy"`
	Acts      Actor   `json:"acts"`
	Access    *Access `json:"access,omitempty"`
	Permanent bool    `json:"permanent"`
}

// RunWarning is something that did not stop a run.
type RunWarning struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy"`
	Acts   Actor  `json:"acts"`
}

// Run is one import. Its Progress is the sum of its stages'. Settings are those it was judged by; nil until it has begun.
type Run struct {
	ID            string       `json:"id"`
	IntegrationID string       `json:"integration_id"`
	Trigger       RunTrigger   `json:"trigger"`
	Mode          RunMode      `json:"mode"`
	State         RunState     `json:"state"`
	Stage         RunStageName `json:"stage"`
	PGPStatus     PGPJobStatus `json:"pgp_status"`
	DryRun        bool         `json:"dry_run"`
	Settings      *Settings    `json:"settings,omitempty"`
	Progress      Progress     `json:"progress"`
	Stages        []RunStage   `json:"stages"`
	NoChanges     bool         `json:"no_changes"`
	Summary       string       `json:"summary"`
	WaitingUntil  time.Time    `json:"waiting_until,omitzero"` // while it waits for Microsoft's limits
	Error         *RunError    `json:"error,omitempty"`
	Warnings      []RunWarning `json:"warnings"`
	CreatedAt     time.Time    `json:"created_at"`
	UpdatedAt     time.Time    `json:"updated_at"`
	StartedAt     time.Time    `json:"started_at,omitzero"`
	FinishedAt    time.Time    `json:"finished_at,omitzero"`
}

// RunRef is a run in brief.
type RunRef struct {
	ID         string     `json:"id"`
	State      RunState   `json:"state"`
	Trigger    RunTrigger `json:"trigger"`
	Mode       RunMode    `json:"mode"`
	CreatedAt  time.Time  `json:"created_at"`
	StartedAt  time.Time  `json:"started_at,omitzero"`
	FinishedAt time.Time  `json:"finished_at,omitzero"`
	Summary    string     `json:"summary"`
}

// StartRun queues a run. Role: analyst.
func (c *Client) StartRun(ctx context.Context, integrationID string, r StartRunRequest, options ...RequestOption) (*Run, error) {
	return send[Run](ctx, c, call{method: http.MethodPost, path: path("/v1/integrations/%s/runs", integrationID), body: r, options: options})
}

// ListRunsOptions filter runs. The zero value filters nothing; IntegrationID is ignored by ListIntegrationRuns.
type ListRunsOptions struct {
	IntegrationID []string
	State         []RunState
	Trigger       []RunTrigger
	CreatedGTE    time.Time // at or after
	CreatedLT     time.Time // before
	PageOptions
}

func (o ListRunsOptions) query() query {
	q := newQuery()
	addAll(q, "state", o.State)
	addAll(q, "trigger", o.Trigger)
	q.time("created_gte", o.CreatedGTE)
	q.time("created_lt", o.CreatedLT)
	q.page(o.PageOptions)
	return q
}

// ListRuns reads one page of the runs of all integrations, newest first. Role: readonly.
func (c *Client) ListRuns(ctx context.Context, o ListRunsOptions) (*Page[Run], error) {
	q := o.query()
	addAll(q, "integration_id", o.IntegrationID)
	return send[Page[Run]](ctx, c, call{method: http.MethodGet, path: "/v1/runs", query: q})
}

// AllRuns yields the runs of all pages from o.Cursor on; an error ends it.
func (c *Client) AllRuns(ctx context.Context, o ListRunsOptions) iter.Seq2[Run, error] {
	return walk(o.Cursor, func(cursor string) (*Page[Run], error) {
		o.Cursor = cursor
		return c.ListRuns(ctx, o)
	})
}

// ListIntegrationRuns reads one page of the runs of one integration, newest first. Role: readonly.
func (c *Client) ListIntegrationRuns(ctx context.Context, integrationID string, o ListRunsOptions) (*Page[Run], error) {
	return send[Page[Run]](ctx, c, call{method: http.MethodGet, path: path("/v1/integrations/%s/runs", integrationID), query: o.query()})
}

// AllIntegrationRuns yields the runs of all pages from o.Cursor on; an error ends it.
func (c *Client) AllIntegrationRuns(ctx context.Context, integrationID string, o ListRunsOptions) iter.Seq2[Run, error] {
	return walk(o.Cursor, func(cursor string) (*Page[Run], error) {
		o.Cursor = cursor
		return c.ListIntegrationRuns(ctx, integrationID, o)
	})
}

// GetRun reads a run. Role: readonly.
func (c *Client) GetRun(ctx context.Context, id string) (*Run, error) {
	return get[Run](ctx, c, path("/v1/runs/%s", id))
}

// CancelRun asks a run to stop; a finished one is returned as it is. Role: analyst.
func (c *Client) CancelRun(ctx context.Context, id string) (*Run, error) {
	return send[Run](ctx, c, call{method: http.MethodPost, path: path("/v1/runs/%s/cancel", id)})
}
