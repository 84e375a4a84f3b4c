package httpapi

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
)

// maxMergeAttempts bounds how often a patch without If-Match is merged anew because somebody else was faster.
const maxMergeAttempts = 5

func (s *server) updateIntegration(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, integrationPrefix, "integration")
	if err != nil {
		return err
	}
	var patch api.IntegrationPatch
	if err := decode(r, &patch, mediaMergePatch, mediaJSON); err != nil {
		return err
	}
	if patch.Credentials != nil {
		if err := s.checkExpiry(connector.ExpiryPointer, patch.Credentials.SecretExpiresAt); err != nil {
			return err
		}
	}
	for attempt := 1; ; attempt++ {
		i, err := s.Integrations.Get(r.Context(), caller(r), id)
		if err != nil {
			return err
		}
		if i.Gone() {
			return fault.New(fault.CodeConflict, "the integration is disconnected")
		}
		version, err := matchedVersion(r, i.PublicID, i.Version)
		if err != nil {
			return err
		}
		change, err := merge(&i, &patch)
		if err != nil {
			return err
		}
		// What was merged into must still be there when it is written, also for callers who did not ask for that.
		changed, err := s.Integrations.Change(r.Context(), caller(r), id, i.Version, change)
		if fault.Is(err, fault.CodePreconditionFailed) && version == 0 && attempt < maxMergeAttempts {
			continue
		}
		if err != nil {
			return err
		}
		return s.answerIntegration(w, r, http.StatusOK, changed, nil)
	}
}

// merge applies a patch to what is there now; members that are left out keep their value.
func merge(i *connector.Integration, patch *api.IntegrationPatch) (connector.Change, error) {
	change := connector.Change{Name: patch.Name}
	if patch.Credentials != nil {
		change.SecretExpiresAt = patch.Credentials.SecretExpiresAt
	}
	if patch.Schedule != nil {
		change.IntervalHours = &patch.Schedule.IntervalHours
	}
	if patch.Settings != nil {
		settings, err := overlay(i.Settings, patch.Settings)
		if err != nil {
			return connector.Change{}, err
		}
		change.Settings = &settings
	}
	return change, nil
}

func (s *server) disconnectIntegration(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, integrationPrefix, "integration")
	if err != nil {
		return err
	}
	p := readQuery(r)
	purge := choice(p, "data", disposals, false)
	if err := p.err(); err != nil {
		return err
	}
	version, err := s.meant(r, id)
	if err != nil {
		return err
	}
	runPublicID, err := s.Integrations.Disconnect(r.Context(), caller(r), id, version, purge)
	if err != nil {
		return err
	}
	if runPublicID == uuid.Nil {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	s.Wake()
	run, err := s.Runs.Run(r.Context(), caller(r), runPublicID)
	if err != nil {
		return err
	}
	return acceptRun(w, &run)
}

func (s *server) rotateIntegrationSecret(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, integrationPrefix, "integration")
	if err != nil {
		return err
	}
	var body api.RotateSecretRequest
	if err := decode(r, &body); err != nil {
		return err
	}
	if err := s.checkExpiry("/secret_expires_at", body.SecretExpiresAt); err != nil {
		return err
	}
	version, err := s.meant(r, id)
	if err != nil {
		return err
	}
	rotation := connector.Rotation{
		ClientID: orZero(body.ClientID), SecretExpiresAt: orZero(body.SecretExpiresAt), Version: version,
		Credentials: proof(body.Method, body.ClientSecret, body.Certificate),
	}
	var i connector.Integration
	var made []connector.Check
	if body.Stage != nil && *body.Stage {
		i, err = s.Integrations.StageSecret(r.Context(), caller(r), id, rotation)
	} else {
		i, made, err = s.Integrations.RotateSecret(r.Context(), caller(r), id, rotation)
	}
	if err != nil {
		return atTopLevel(err)
	}
	return s.answerIntegration(w, r, http.StatusOK, i, made)
}

func (s *server) dropStagedSecret(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, integrationPrefix, "integration")
	if err != nil {
		return err
	}
	version, err := s.meant(r, id)
	if err != nil {
		return err
	}
	if err := s.Integrations.DropStaged(r.Context(), caller(r), id, version); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// atTopLevel moves pointers of credentials to where this body has them.
func atTopLevel(err error) error {
	f := fault.As(err)
	for i := range f.Fields {
		f.Fields[i].Pointer = strings.TrimPrefix(f.Fields[i].Pointer, "/credentials")
	}
	return err
}

func (s *server) validateIntegration(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, integrationPrefix, "integration")
	if err != nil {
		return err
	}
	if _, err := s.meant(r, id); err != nil { // once is enough: what is found of credentials is kept only if they are still those in use
		return err
	}
	made, err := s.Integrations.Validate(r.Context(), caller(r), id)
	if fault.Is(err, fault.CodeSecretUnreadable) { // a finding like any other: the credentials cannot work
		s.Log.ErrorContext(r.Context(), "stored secret cannot be read", slog.String("request_id", exchangeOf(r.Context()).id),
			slog.String("integration", integrationID(id)), slog.String("error", err.Error()))
		made, err = []connector.Check{connector.FailedCheck("secret", fault.As(err), 0)}, nil
	}
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, s.validation(made))
}

func (s *server) pauseIntegration(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, integrationPrefix, "integration")
	if err != nil {
		return err
	}
	p := readQuery(r)
	cancel := p.flag("cancel_run")
	if err := p.err(); err != nil {
		return err
	}
	version, err := s.meant(r, id)
	if err != nil {
		return err
	}
	i, err := s.Integrations.Pause(r.Context(), caller(r), id, version, cancel != nil && *cancel)
	if err != nil {
		return err
	}
	return s.answerIntegration(w, r, http.StatusOK, i, nil)
}

func (s *server) resumeIntegration(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, integrationPrefix, "integration")
	if err != nil {
		return err
	}
	version, err := s.meant(r, id)
	if err != nil {
		return err
	}
	i, err := s.Integrations.Resume(r.Context(), caller(r), id, version)
	if err != nil {
		return err
	}
	s.Wake()
	return s.answerIntegration(w, r, http.StatusOK, i, nil)
}
