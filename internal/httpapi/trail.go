package httpapi

import (
	"context"
	"net/http"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// longestAuditName is the longest id of an actor or a resource: a token's subject has at most as many bytes.
const longestAuditName = 255

var auditFilters = []string{"actor", "action", "resource", "outcome", "at_gte", "at_lt", "limit", "cursor"}

func (s *server) listAuditEvents(w http.ResponseWriter, r *http.Request) error {
	return s.answerEvents(w, r, caller(r))
}

func (s *server) listPlatformAuditEvents(w http.ResponseWriter, r *http.Request) error {
	return s.answerEvents(w, r, audit.Platform)
}

func (s *server) answerEvents(w http.ResponseWriter, r *http.Request, chain tenant.ID) error {
	p := readQuery(r)
	f := audit.Filter{
		Actors: p.texts("actor", longestAuditName), Actions: chosen(p, "action", auditActions), Resources: p.texts("resource", longestAuditName),
		Outcomes: chosen(p, "outcome", auditOutcomes), From: p.time("at_gte"), Before: p.time("at_lt"),
	}
	list := func(ctx context.Context, page inventory.PageRequest) ([]audit.Event, inventory.Position, error) {
		return s.Audit.ListAuditEvents(ctx, chain, f, page)
	}
	return answerList(s, w, r, p, list, AuditEvent)
}

// AuditEvent shows an event as the API does.
func AuditEvent(e *audit.Event) api.AuditEvent {
	shown := api.AuditEvent{
		ID: tenant.PublicText(audit.IDPrefix, e.ID), Sequence: e.Sequence, At: e.At, Action: api.AuditAction(e.Action), Outcome: api.AuditOutcome(e.Outcome),
		Actor:    api.AuditActor{Kind: api.AuditActorKind(e.Actor.Kind), ID: e.Actor.ID, Name: e.Actor.Name},
		Resource: api.AuditResource{Type: e.Resource.Type, ID: e.Resource.ID}, RequestID: e.RequestID, Address: e.Address,
		Changes: each(e.Changes, func(c *audit.Change) api.AuditChange { return api.AuditChange(*c) }),
	}
	if e.Unreadable {
		shown.Problem = api.AuditUnreadable
	}
	return shown
}
