package api

import (
	"context"
	"time"
)

// FindingHistory is what became of a finding, the newest first.
type FindingHistory struct {
	Items []FindingEvent `json:"items"`
}

// FindingEvent is one change of a finding. Software is written as vendor/product/version. RunID is empty once the run's record is gone, and for
// what the first run of a tenant created.
type FindingEvent struct {
	At               time.Time     `json:"at"`
	Change           FindingChange `json:"change"`
	RunID            string        `json:"run_id,omitempty"`
	Reason           string        `json:"reason,omitempty"`
	Severity         Severity      `json:"severity"`
	PreviousSeverity Severity      `json:"previous_severity,omitempty"`
	SoftwareAdded    []string      `json:"software_added"`
	SoftwareGone     []string      `json:"software_gone"`
}

// FindingChange is what became of a finding.
type FindingChange string

// Changes of findings.
const (
	ChangeCreated    FindingChange = "created"
	ChangeUpdated    FindingChange = "updated"
	ChangeFixed      FindingChange = "fixed"
	ChangeReopened   FindingChange = "reopened"
	ChangeOutOfScope FindingChange = "out_of_scope"
	ChangeReturned   FindingChange = "returned"
)

// GetFindingHistory tells what became of a finding. Role: readonly.
func (c *Client) GetFindingHistory(ctx context.Context, id string) (*FindingHistory, error) {
	return get[FindingHistory](ctx, c, path("/v1/findings/%s/history", id))
}
