package httpapi

import (
	"context"
	"net/http"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// Bounds of the reasons that can be asked for: all there are, and some more.
const (
	maxReasons    = 50
	longestReason = 50
)

func (s *server) listSkipped(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, runPrefix, "run")
	if err != nil {
		return err
	}
	p := readQuery(r)
	var reasons []inventory.Reason
	for _, reason := range p.upTo(maxReasons, "reason") {
		p.checkLength("reason", reason, 1, longestReason)
		reasons = append(reasons, inventory.Reason(reason))
	}
	list := func(ctx context.Context, page inventory.PageRequest) ([]syncer.SkippedRecord, inventory.Position, error) {
		return s.Runs.ListSkipped(ctx, caller(r), id, reasons, page)
	}
	return answerList(s, w, r, p, list, skippedRecord)
}

func skippedRecord(s *syncer.SkippedRecord) api.SkippedRecord {
	return api.SkippedRecord{
		Stage: api.RunStageName(s.Stage), Reason: string(s.Reason), Records: s.Records, SourceID: s.SourceID, Name: s.Name,
		VulnerabilityID: s.Vulnerability, Detail: s.Detail,
	}
}
