package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// presenter reads at once what showing these integrations needs, and returns their conversion.
func (s *server) presenter(ctx context.Context, t tenant.ID, items []connector.Integration) (func(*connector.Integration) api.Integration, error) {
	e, err := s.Tenants.Entitlement(ctx, t)
	if err != nil {
		return nil, err
	}
	var ids []uuid.UUID
	for _, i := range items {
		if i.LastRunID != uuid.Nil {
			ids = append(ids, i.LastRunID)
		}
	}
	runs := map[uuid.UUID]*syncer.Run{}
	if len(ids) > 0 {
		found, err := s.Runs.RunsByID(ctx, t, ids)
		if err != nil {
			return nil, err
		}
		for i := range found {
			runs[found[i].PublicID] = &found[i]
		}
	}
	now := s.Now()
	return func(i *connector.Integration) api.Integration { return integration(i, e, now, runs[i.LastRunID]) }, nil
}

func (s *server) present(r *http.Request, i connector.Integration) (api.Integration, error) {
	convert, err := s.presenter(r.Context(), caller(r), []connector.Integration{i})
	if err != nil {
		return api.Integration{}, err
	}
	return convert(&i), nil
}

// answerIntegration writes an integration with its tag and, if checks were made, their outcome.
func (s *server) answerIntegration(w http.ResponseWriter, r *http.Request, status int, i connector.Integration, made []connector.Check) error {
	body, err := s.present(r, i)
	if err != nil {
		return err
	}
	if made != nil {
		v := s.validation(made)
		body.Validation = &v
	}
	w.Header().Set("ETag", body.ETag)
	return answer(w, status, body)
}

func integration(i *connector.Integration, e tenant.Entitlement, now time.Time, last *syncer.Run) api.Integration {
	assets, vulnerabilities, blocked := connector.Effective(*i, e, now)
	out := api.Integration{
		ID: integrationID(i.PublicID), Type: api.IntegrationTypeName(i.Kind), Name: i.Name,
		PGP: api.PGPIntegration{Name: string(i.Kind), Value: i.DirectoryID, Key: "#integration#" + string(i.Kind) + "#" + i.DirectoryID},
		Credentials: api.Credentials{
			TenantID: i.DirectoryID, ClientID: i.ClientID, Method: api.SignInMethod(i.Method), SecretHint: i.SecretHint, SecretUpdatedAt: i.SecretUpdatedAt,
			SecretExpiresAt: i.SecretExpiresAt, SecretExpiredAt: i.SecretExpiredAt, Staged: staged(&i.Staged),
		},
		Settings:          settings(&i.Settings),
		EffectiveSettings: api.EffectiveSettings{ImportAssets: assets, ImportVulnerabilities: vulnerabilities},
		BlockedBy:         listed(blocked), State: api.IntegrationState(i.State), StateReason: stateReason(i.StateNotice), Warnings: warnings(i, now),
		Schedule: api.Schedule{IntervalHours: i.IntervalHours}, LastSuccessAt: i.LastSuccessAt, NextRunAt: i.DueAt(),
		Counts:    api.IntegrationCounts{Assets: int64(i.OpenAssets), OpenFindings: int64(i.OpenFindings)},
		CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt,
	}
	if last != nil {
		ref := runRef(last)
		out.LastRun = &ref
	}
	tag, err := etagOf(i.PublicID, i.Version, out)
	if err != nil {
		panic(err) // only strings, numbers and times of this century are in it
	}
	out.ETag = tag
	return out
}

// stateReason tells what a run or check met, in the words it told it in; nil for nothing.
func stateReason(n fault.Notice) *api.Explanation {
	if n.Code == "" {
		return nil
	}
	told := explanation(&n)
	return &told
}

func staged(s *connector.Staged) *api.StagedCredentials {
	if len(s.Box) == 0 {
		return nil
	}
	return &api.StagedCredentials{
		ClientID: s.ClientID, Method: api.SignInMethod(s.Method), Hint: s.Hint, StagedAt: s.At, ExpiresAt: s.ExpiresAt,
		LastCheckedAt: s.CheckedAt, LastProblem: stateReason(s.Problem),
	}
}

// warnings tell what needs attention before it becomes trouble, and what is missing from the data.
func warnings(i *connector.Integration, now time.Time) []api.IntegrationWarning {
	told := []api.IntegrationWarning{}
	if w, due := i.ExpiryWarning(now); due {
		shown := needsAttention(w.Fault)
		shown.ExpiresAt, shown.DaysLeft = w.ExpiresAt, &w.DaysLeft
		told = append(told, shown)
	}
	for _, f := range i.HeldWarnings() {
		told = append(told, needsAttention(f))
	}
	if n, incomplete := i.IncompleteWarning(); incomplete {
		told = append(told, api.IntegrationWarning{Code: n.Code, Title: n.Title, Detail: orElse(n.Detail, n.Cause), Remedy: n.Remedy})
	}
	return told
}

func needsAttention(f *fault.Error) api.IntegrationWarning {
	return api.IntegrationWarning{Code: f.Code, Title: f.Title(), Detail: f.Detail, Remedy: f.RemedyText()}
}

// passed names the outcome of checks that succeeded; failures bring their own titles.
var passed = map[string]string{
	"shape":           "The values have the right form",
	"token":           "Microsoft issued an access token",
	"permissions":     "All permissions are granted",
	"machines":        "Endpoints can be read",
	"vulnerabilities": "Vulnerabilities can be read",
}

// checks shows the checks that were made. Those not tried after a failure are left out.
func checks(made []connector.Check) []api.Check {
	out := []api.Check{}
	for _, c := range made {
		if c.Skipped {
			continue
		}
		shown := api.Check{
			Name: c.Name, OK: c.OK, Code: c.Code, Title: c.Title, Detail: c.Detail, Cause: c.Cause, Remedy: c.Remedy,
			Acts: api.Actor(c.Acts), Access: access(c.Access), DurationMS: c.Duration.Milliseconds(),
		}
		if c.RetryAfter > 0 {
			shown.RetryAfterSeconds = new(wholeSeconds(c.RetryAfter))
		}
		if d, ok := fault.Lookup(c.Code); ok && shown.Title == "" {
			shown.Title = d.Title
		}
		if c.OK && shown.Title == "" {
			shown.Title = passed[c.Name]
		}
		out = append(out, shown)
	}
	return out
}

// access is nil where permissions were not looked at.
func access(a *fault.Access) *api.Access {
	if a == nil {
		return nil
	}
	return &api.Access{Needed: listed(a.Needed), Granted: listed(a.Granted), OtherGranted: a.Others}
}

func (s *server) validation(made []connector.Check) api.Validation {
	v := api.Validation{OK: true, CheckedAt: s.Now().UTC(), Checks: checks(made)}
	for _, c := range v.Checks {
		v.OK = v.OK && c.OK
	}
	return v
}
