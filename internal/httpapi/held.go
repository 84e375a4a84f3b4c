package httpapi

import (
	"net/http"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/syncer"
)

func (s *server) listHeldChanges(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, integrationPrefix, "integration")
	if err != nil {
		return err
	}
	held, err := s.Runs.HeldChanges(r.Context(), caller(r), id)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, api.HeldChanges{Items: listed(each(held, heldChange))})
}

func (s *server) approveHeldChange(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, integrationPrefix, "integration")
	if err != nil {
		return err
	}
	var body api.ApproveHeldChangeRequest
	if err := decode(r, &body, mediaJSON); err != nil {
		return err
	}
	run, ok := parseID(runPrefix, body.RunID)
	if !ok {
		f := fault.New(fault.CodeInvalidRequest, "")
		f.Fields = []fault.Field{{Pointer: "/run_id", Code: "format", Detail: "must be the id of a run"}}
		return f
	}
	if _, err := s.meant(r, id); err != nil { // once is enough: what is approved of is named by its run
		return err
	}
	held, err := s.Runs.ApproveHeldChange(r.Context(), caller(r), id, syncer.HeldKind(body.Kind), run, s.Now())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, heldChange(&held))
}

func heldChange(h *syncer.HeldChange) api.HeldChange {
	out := api.HeldChange{
		Kind: api.HeldKind(h.Kind), RunID: runID(h.Run), HeldAt: h.At, Before: h.Before, After: h.After, Leaving: h.Leaving,
		Samples: listed(each(h.Samples, skipSample)), ApprovedAt: h.ApprovedAt,
	}
	if l := h.Latest; l != nil {
		out.Latest = &api.HeldReading{
			RunID: runID(l.Run), At: l.At, Before: l.Before, After: l.After, Leaving: l.Leaving, Samples: listed(each(l.Samples, skipSample)),
		}
	}
	return out
}
