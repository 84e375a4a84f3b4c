package api

import (
	"context"
	"time"
)

// Diagnostics is what a run did at Microsoft and what it left out.
type Diagnostics struct {
	RunID        string             `json:"run_id"`
	Stages       []StageDiagnostics `json:"stages"`
	Explanations []Explanation      `json:"explanations"`
}

// StageDiagnostics is one stage in detail. Skipped counts by reason what was not taken, in the unit of Progress; Samples holds up to five
// records for each reason. Reasons are an open list; openapi.yaml names today's.
type StageDiagnostics struct {
	Name         RunStageName            `json:"name"`
	State        RunStageState           `json:"state"`
	DurationMS   int64                   `json:"duration_ms"`
	Calls        int64                   `json:"calls"`
	Pages        int64                   `json:"pages"`
	ResumedPages int64                   `json:"resumed_pages"`
	ResumedFrom  string                  `json:"resumed_from_run_id,omitempty"`
	Retries      int64                   `json:"retries"`
	ThrottledMS  int64                   `json:"throttled_ms"`
	Bytes        int64                   `json:"bytes"`
	CatalogueAt  time.Time               `json:"catalogue_read_at,omitzero"` // of the stage catalogue: as of when the one is that the run went by
	Fetched      int64                   `json:"fetched"`
	Accepted     int64                   `json:"accepted"`
	Skipped      map[string]int64        `json:"skipped"`
	Samples      map[string][]SkipSample `json:"samples"`
	Funnel       []FunnelStep            `json:"funnel"` // from what was read to what was taken
	Report       *ReportReading          `json:"report,omitempty"`
}

// FunnelStep is a rule that left records out, in the order in which the rules are asked.
type FunnelStep struct {
	Reason  string `json:"reason"`
	Skipped int64  `json:"skipped"`
	Left    int64  `json:"left"` // records that went on to the next rule; after the last one those that were taken
}

// ReportReading is how the stage vulnerabilities read Microsoft's report, and why so.
type ReportReading struct {
	Reading ReadingKind `json:"reading"`
	Via     string      `json:"via,omitempty"`  // of a whole report: pages, files or mapping
	Since   time.Time   `json:"since,omitzero"` // of changes
	Reason  string      `json:"reason"`
}

// ReadingKind tells a whole report from its changes.
type ReadingKind string

// Kinds of readings.
const (
	ReadingWhole   ReadingKind = "whole"
	ReadingChanges ReadingKind = "changes"
)

// SkipSample is a record that was not taken.
type SkipSample struct {
	SourceID string `json:"source_id"`
	Name     string `json:"name"`
	Detail   string `json:"detail"`
}

// GetRunDiagnostics tells why a run imported what it did. Role: readonly.
func (c *Client) GetRunDiagnostics(ctx context.Context, id string) (*Diagnostics, error) {
	return get[Diagnostics](ctx, c, path("/v1/runs/%s/diagnostics", id))
}
