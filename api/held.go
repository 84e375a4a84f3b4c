package api

import (
	"context"
	"net/http"
	"time"
)

// HeldKind is what a held change is about.
type HeldKind string

// Kinds of held changes.
const (
	HeldAssets   HeldKind = "assets"
	HeldFindings HeldKind = "findings"
)

// HeldChanges is what the removal guard holds back in an integration.
type HeldChanges struct {
	Items []HeldChange `json:"items"`
}

// HeldChange is a drop to nothing or by more than half that a run met and did not believe, with the figures of that run. Samples names
// some of what would leave. Latest is what a later run found, and what an approval lets go; nil until one has looked.
type HeldChange struct {
	Kind       HeldKind     `json:"kind"`
	RunID      string       `json:"run_id"`
	HeldAt     time.Time    `json:"held_at"`
	Before     int64        `json:"before"`
	After      int64        `json:"after"`
	Leaving    int64        `json:"leaving"`
	Samples    []SkipSample `json:"samples"`
	Latest     *HeldReading `json:"latest,omitempty"`
	ApprovedAt time.Time    `json:"approved_at,omitzero"`
}

// HeldReading is what the last run found that looked at a held change and held it back still.
type HeldReading struct {
	RunID   string       `json:"run_id"`
	At      time.Time    `json:"at"`
	Before  int64        `json:"before"`
	After   int64        `json:"after"`
	Leaving int64        `json:"leaving"`
	Samples []SkipSample `json:"samples"`
}

// ApproveHeldChangeRequest names the change that was looked at, and with LatestRunID the run whose figures were: that of Latest, or RunID
// where there is none. If another one has looked since, nothing is approved of. Left out, what the last one found is.
type ApproveHeldChangeRequest struct {
	Kind        HeldKind `json:"kind" validate:"required,oneof=assets findings"`
	RunID       string   `json:"run_id" validate:"required"`
	LatestRunID *string  `json:"latest_run_id,omitempty"`
}

// ListHeldChanges tells what the removal guard holds back. Role: readonly.
func (c *Client) ListHeldChanges(ctx context.Context, integrationID string) (*HeldChanges, error) {
	return get[HeldChanges](ctx, c, path("/v1/integrations/%s/held-changes", integrationID))
}

// ApproveHeldChange lets the next run go through with what it names. Role: admin.
func (c *Client) ApproveHeldChange(ctx context.Context, integrationID string, r ApproveHeldChangeRequest, options ...RequestOption) (*HeldChange, error) {
	return send[HeldChange](ctx, c, call{method: http.MethodPost, path: path("/v1/integrations/%s/held-changes/approve", integrationID), body: r, options: options})
}
