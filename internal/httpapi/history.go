package httpapi

import (
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

var findingChanges = words[inventory.EventKind]{
	{"created", inventory.EventCreated}, {"updated", inventory.EventUpdated}, {"fixed", inventory.EventFixed}, {"reopened", inventory.EventReopened},
	{"out_of_scope", inventory.EventOutOfScope}, {"returned", inventory.EventReturned},
}

func (s *server) getFindingHistory(w http.ResponseWriter, r *http.Request) error {
	asset, vulnID, ok := parseFindingID(chi.URLParam(r, "id"))
	if !ok {
		return fault.New(fault.CodeNotFound, "there is no such finding")
	}
	events, err := s.Findings.FindingHistory(r.Context(), caller(r), asset, vulnID)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, api.FindingHistory{Items: each(events, findingEvent)})
}

func findingEvent(e *inventory.Event) api.FindingEvent {
	out := api.FindingEvent{
		At: e.At, Change: api.FindingChange(wordFor(findingChanges, e.Kind)), Reason: e.Reason, Severity: api.Severity(wordFor(severities, e.Severity)),
		SoftwareAdded: listed(e.Added), SoftwareGone: listed(e.Gone),
	}
	if e.Run != uuid.Nil {
		out.RunID = runID(e.Run)
	}
	if e.Severe {
		out.PreviousSeverity = api.Severity(wordFor(severities, e.OldSeverity))
	}
	return out
}
