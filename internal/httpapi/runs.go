package httpapi

import (
	"net/http"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// pollEvery is what callers are told to wait before they ask for an unfinished run again, in seconds.
const pollEvery = "5"

var runFilters = []string{"state", "trigger", "created_gte", "created_lt", "limit", "cursor"}

func (s *server) listRuns(w http.ResponseWriter, r *http.Request) error {
	p := readQuery(r)
	return s.answerRuns(w, r, p, p.ids("integration_id", integrationPrefix))
}

func (s *server) listIntegrationRuns(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, integrationPrefix, "integration")
	if err != nil {
		return err
	}
	if _, err := s.Integrations.Get(r.Context(), caller(r), id); err != nil {
		return err
	}
	return s.answerRuns(w, r, readQuery(r), []uuid.UUID{id})
}

func (s *server) answerRuns(w http.ResponseWriter, r *http.Request, p *params, integrations []uuid.UUID) error {
	f := syncer.RunFilter{
		Integrations: integrations, States: chosen(p, "state", runStates), CreatedFrom: p.time("created_gte"),
		CreatedBefore: p.time("created_lt"),
	}
	for _, origin := range chosen(p, "trigger", runOrigins) {
		if origin.kind == syncer.KindPurge {
			f.Purges = true
		} else {
			f.Triggers = append(f.Triggers, origin.trigger)
		}
	}
	request, err := s.paging(r, p, inventory.Sort{})
	if err != nil {
		return err
	}
	runs, end, err := s.Runs.ListRuns(r.Context(), caller(r), f, request)
	if err != nil {
		return err
	}
	return answerPage(s, w, r, runs, end, run)
}

func (s *server) startRun(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, integrationPrefix, "integration")
	if err != nil {
		return err
	}
	var body api.StartRunRequest
	if err := decodeOptional(r, &body); err != nil {
		return err
	}
	mode := syncer.Incremental
	if body.Mode != nil {
		mode, _ = runModes.parse(string(*body.Mode))
	}
	started, err := s.start(r, id, mode, &body)
	if err != nil {
		return err
	}
	s.Wake()
	return acceptRun(w, &started)
}

func (s *server) startedBefore(w http.ResponseWriter, r *http.Request, made string, _ func() (string, error)) error {
	id, err := madeID(runPrefix, made)
	if err != nil {
		return err
	}
	started, err := s.Runs.Run(r.Context(), caller(r), id)
	if err != nil {
		return err
	}
	return acceptRun(w, &started)
}

// start queues the run or, if asked, a preview of it, unless it would try too often what was refused. If-Match is held against what is
// there before: the run itself takes what it finds when its turn comes.
func (s *server) start(r *http.Request, id uuid.UUID, mode syncer.Mode, body *api.StartRunRequest) (syncer.Run, error) {
	preview := orZero(body.DryRun)
	if !preview && body.Settings != nil {
		return syncer.Run{}, invalid(fault.Field{Pointer: "/settings", Code: "not_applicable", Detail: "Only a dry run tries out settings; change the integration's to import by others"})
	}
	i, err := s.Integrations.Get(r.Context(), caller(r), id)
	if err != nil {
		return syncer.Run{}, err
	}
	if _, err := matchedVersion(r, i.PublicID, i.Version); err != nil {
		return syncer.Run{}, err
	}
	settings, err := overlay(i.Settings, body.Settings)
	if err == nil && preview {
		err = connector.CheckSettings(settings)
	}
	if err != nil {
		return syncer.Run{}, err
	}
	undo, err := s.Integrations.CountRun(&i)
	if err != nil {
		return syncer.Run{}, err
	}
	var started syncer.Run
	if preview {
		started, err = s.Runs.StartPreview(r.Context(), caller(r), id, mode, syncer.Preview{Settings: settings})
	} else {
		started, err = s.Runs.StartRun(r.Context(), caller(r), id, mode)
	}
	if err != nil {
		undo()
	}
	return started, err
}

// acceptRun answers with a run that was queued and where to follow it.
func acceptRun(w http.ResponseWriter, queued *syncer.Run) error {
	w.Header().Set("Location", "/v1/runs/"+runID(queued.PublicID))
	w.Header().Set("Retry-After", pollEvery)
	return answer(w, http.StatusAccepted, run(queued))
}

func (s *server) getRun(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, runPrefix, "run")
	if err != nil {
		return err
	}
	found, err := s.Runs.Run(r.Context(), caller(r), id)
	if err != nil {
		return err
	}
	if !found.State.Final() {
		w.Header().Set("Retry-After", pollEvery)
	}
	return answerTagged(w, r, run(&found))
}

func (s *server) cancelRun(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, runPrefix, "run")
	if err != nil {
		return err
	}
	found, err := s.Runs.Run(r.Context(), caller(r), id)
	if err != nil {
		return err
	}
	if found.Kind != syncer.KindPurge && !found.State.Final() {
		if found, err = s.Runs.CancelRun(r.Context(), caller(r), id); err != nil {
			return err
		}
	}
	if !found.State.Final() {
		w.Header().Set("Retry-After", pollEvery)
	}
	return answer(w, http.StatusAccepted, run(&found))
}

func (s *server) getRunDiagnostics(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, runPrefix, "run")
	if err != nil {
		return err
	}
	found, err := s.Runs.Run(r.Context(), caller(r), id)
	if err != nil {
		return err
	}
	i, err := s.Integrations.Get(r.Context(), caller(r), found.IntegrationPublic)
	if err != nil {
		return err
	}
	e, err := s.Tenants.Entitlement(r.Context(), caller(r))
	if err != nil {
		return err
	}
	return answerTagged(w, r, api.Diagnostics{
		RunID:        runID(found.PublicID),
		Stages:       each(found.Report.Stages, func(st *syncer.StageReport) api.StageDiagnostics { return stageDiagnostics(&found, st) }),
		Explanations: each(s.Explain(found, i, e, s.Now()), explanation),
	})
}
