package httpapi

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/go-chi/chi/v5"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
)

func (s *server) getVersion(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, api.Version{Version: s.Version.Version, Revision: s.Version.Revision, API: "v1"})
}

func (s *server) getOpenAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(s.docs.json) // who no longer listens needs no answer
	return nil
}

func (s *server) listProblemTypes(w http.ResponseWriter, _ *http.Request) error {
	all := fault.Definitions()
	slices.SortFunc(all, func(a, b fault.Definition) int { return cmp.Compare(a.Code, b.Code) })
	return answer(w, http.StatusOK, page(all, "", problemDefinition))
}

func (s *server) getProblemType(w http.ResponseWriter, r *http.Request) error {
	d, ok := fault.Lookup(chi.URLParam(r, "code"))
	if !ok {
		return fault.New(fault.CodeNotFound, "there is no such code")
	}
	return answer(w, http.StatusOK, problemDefinition(&d))
}

func problemDefinition(d *fault.Definition) api.ProblemType {
	return api.ProblemType{
		Code: d.Code, Type: problemType(d.Code), Title: d.Title, Status: statusOf[d.Kind], Detail: d.Cause, Remedy: d.Remedy,
		Acts: api.Actor(d.Actor), Retryable: !d.Permanent,
	}
}
