package httpapi

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/go-chi/chi/v5"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/syncer"
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
	all := append(each(fault.Definitions(), problemDefinition), each(syncer.Explanations(), explanationDefinition)...)
	slices.SortFunc(all, func(a, b api.ProblemType) int { return cmp.Compare(a.Code, b.Code) })
	return answer(w, http.StatusOK, api.Page[api.ProblemType]{Items: all})
}

func (s *server) getProblemType(w http.ResponseWriter, r *http.Request) error {
	code := chi.URLParam(r, "code")
	if d, ok := fault.Lookup(code); ok {
		return answer(w, http.StatusOK, problemDefinition(&d))
	}
	if e, ok := syncer.LookupExplanation(code); ok {
		return answer(w, http.StatusOK, explanationDefinition(&e))
	}
	return fault.New(fault.CodeNotFound, "there is no such code")
}

// explanationDefinition shows what a code of a run's explanations means that is no failure, and so no status of any answer.
func explanationDefinition(e *syncer.Explanation) api.ProblemType {
	return api.ProblemType{
		Code: e.Code, Type: problemType(e.Code), Title: e.Title, Detail: e.Detail, Remedy: e.Remedy, Acts: api.Actor(e.Acts),
		Retryable: e.Acts == fault.Nobody,
	}
}

func problemDefinition(d *fault.Definition) api.ProblemType {
	return api.ProblemType{
		Code: d.Code, Type: problemType(d.Code), Title: d.Title, Status: statusOf[d.Kind], Detail: d.Cause, Remedy: d.Remedy,
		Acts: api.Actor(d.Actor), Retryable: !d.Permanent,
	}
}
