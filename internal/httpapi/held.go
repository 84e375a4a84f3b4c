package httpapi

import (
	"net/http"

	"github.com/google/uuid"

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
	a := syncer.Approval{Kind: syncer.HeldKind(body.Kind)}
	if a.Run, err = runIn("/run_id", body.RunID); err != nil {
		return err
	}
	if body.LatestRunID != nil {
		if a.Latest, err = runIn("/latest_run_id", *body.LatestRunID); err != nil {
			return err
		}
	}
	if _, err := s.meant(r, id); err != nil { // once is enough: what is approved of is named by its run
		return err
	}
	held, err := s.Runs.ApproveHeldChange(r.Context(), caller(r), id, a, s.Now())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, heldChange(&held))
}

// runIn reads the id of a run from a field of the body.
func runIn(pointer, text string) (uuid.UUID, error) {
	run, ok := parseID(runPrefix, text)
	if !ok {
		f := fault.New(fault.CodeInvalidRequest, "")
		f.Fields = []fault.Field{{Pointer: pointer, Code: "format", Detail: "must be the id of a run"}}
		return run, f
	}
	return run, nil
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
