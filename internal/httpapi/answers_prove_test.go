package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
)

// trouble is one answer of Microsoft, or its lack, and what this service has to make of it wherever it meets it.
type trouble struct {
	name    string
	arrange func(t *testing.T, a *answers, directory string)
	code    string
	acts    api.Actor
	remedy  string // part of what is told to do
	ids     bool   // Microsoft's correlation id is told
	wait    time.Duration
}

// passing are the codes of what goes by without anybody acting on the integration. All others are permanent.
var passing = []string{api.CodeUpstreamThrottled, api.CodeUpstreamUnavailable, api.CodeUpstreamTimeout, api.CodeUpstreamUnexpected, api.CodeFederatedToken}

func (c *trouble) permanent() bool { return !slices.Contains(passing, c.code) }

// subject is a trouble with the directory and integration that have it.
type subject struct {
	trouble
	directory, integration, run string
}

// prove meets each trouble at Connect, in a run and at a re-check, and then looks for the foreign words.
func (a *answers) prove(t *testing.T, within time.Duration, troubles []trouble) {
	var all []*subject
	for n, c := range troubles {
		s := &subject{trouble: c, directory: fmt.Sprintf("5a1e5b0c-0c8e-4d1c-9a52-3f5c1d0e%04x", n)}
		a.open(t, s.directory)
		all = append(all, s)
	}
	each := func(what string, do func(t *testing.T, c *api.Client, s *subject)) {
		t.Run(what, func(t *testing.T) {
			for _, s := range all {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					do(t, a.client(t), s)
				})
			}
		})
		if t.Failed() {
			t.FailNow()
		}
	}
	each("at Connect", func(t *testing.T, c *api.Client, s *subject) { a.refusedAtConnect(t, c, s, within) })
	a.work(t, len(all))
	each("the first run is fine", func(t *testing.T, c *api.Client, s *subject) { a.startInTrouble(t, c, s) })
	a.work(t, len(all))
	each("in a run", func(t *testing.T, c *api.Client, s *subject) { a.failedInRun(t, c, s) })
	each("at a re-check", func(t *testing.T, c *api.Client, s *subject) { a.refusedAtReCheck(t, c, s, within) })
	mustNotTell(t, map[string]string{"answers": a.told.String(), "log": a.log.String(), "database": (&microsoft{house: a.house}).dump(t)}, foreign+" "+a.signs.secret)
}

func mustNotTell(t *testing.T, places map[string]string, words string) {
	t.Helper()
	for place, text := range places {
		if len(text) < 10_000 {
			t.Errorf("%s: only %d bytes to search", place, len(text))
		}
		for _, part := range append(strings.Fields(words), simSecret) {
			if len(part) > 6 && strings.Contains(text, part) {
				at := strings.Index(text, part)
				t.Errorf("%s: %q came out: …%s…", place, part, text[max(0, at-200):min(len(text), at+200)])
			}
		}
	}
}

// refusedAtConnect also connects once the trouble is over.
func (a *answers) refusedAtConnect(t *testing.T, c *api.Client, s *subject, within time.Duration) {
	s.arrange(t, a, s.directory)
	began := time.Now()
	err := second(c.ConnectIntegration(t.Context(), a.entered(s.directory)))
	mustBeWithin(t, began, within)
	var p *api.Problem
	if !errors.As(err, &p) {
		t.Fatalf("no problem: %v", err)
	}
	status := http.StatusServiceUnavailable
	if s.permanent() {
		status = http.StatusUnprocessableEntity
	}
	if p.Code != s.code || p.Status != status || p.Acts != s.acts || s.permanent() == (p.RetryAfter > 0) {
		t.Errorf("%d %s, acts %s, after %v: %s; want %d %s %s", p.Status, p.Code, p.Acts, p.RetryAfter, p.Detail, status, s.code, s.acts)
	}
	if s.wait > 0 && (p.RetryAfter > s.wait || p.RetryAfter < s.wait-5*time.Second) {
		t.Errorf("told to wait %v, Microsoft said %v", p.RetryAfter, s.wait)
	}
	s.mustBeTold(t, p.Checks)
	a.mend(t, s.directory)
	i, err := c.ConnectIntegration(t.Context(), a.entered(s.directory))
	must(t, err)
	s.integration, s.run = i.ID, i.LastRun.ID
}

// mustBeTold looks at the first failed check.
func (s *subject) mustBeTold(t *testing.T, made []api.Check) {
	t.Helper()
	n := slices.IndexFunc(made, func(c api.Check) bool { return !c.OK })
	if n < 0 {
		t.Fatalf("no check failed: %+v", made)
	}
	got := made[n]
	if got.Code != s.code || got.Acts != s.acts || !strings.Contains(got.Remedy, s.remedy) || got.Cause == "" || got.Title == "" {
		t.Errorf("the check tells %s, acts %s: %q; want %s %s %q", got.Code, got.Acts, got.Remedy, s.code, s.acts, s.remedy)
	}
	if got.Name != "permissions" && s.ids != strings.Contains(got.Detail, "Microsoft correlation id ") { // that one is summed up from others
		t.Errorf("correlation id told: %v, want %v: %s", !s.ids, s.ids, got.Detail)
	}
	if s.permanent() != (got.RetryAfterSeconds == nil) {
		t.Errorf("told to wait %v seconds", got.RetryAfterSeconds)
	}
	if (s.code == api.CodePermissionMissing || s.code == api.CodeConsentMissing) && got.Name != "token" && (got.Access == nil || len(got.Access.Needed) == 0) {
		t.Error("a missing permission is told without what is granted and what is needed")
	}
}

// startInTrouble sees the first run through and starts another one into the trouble.
func (a *answers) startInTrouble(t *testing.T, c *api.Client, s *subject) {
	first, err := c.GetRun(t.Context(), s.run)
	must(t, err)
	if first.State != api.RunSucceeded {
		t.Fatalf("the first run %s: %+v", first.State, first.Error)
	}
	s.arrange(t, a, s.directory)
	run, err := c.StartRun(t.Context(), s.integration, api.StartRunRequest{})
	must(t, err)
	s.run = run.ID
}

func (a *answers) failedInRun(t *testing.T, c *api.Client, s *subject) {
	run, err := c.GetRun(t.Context(), s.run)
	must(t, err)
	if run.Error == nil {
		t.Fatalf("the run %s without an error", run.State)
	}
	e := run.Error
	if e.Code != s.code || e.Permanent != s.permanent() || e.Acts != s.acts || !strings.Contains(e.Remedy, s.remedy) {
		t.Errorf("the run tells %s, permanent %v, acts %s: %q (%s); want %s %s %q", e.Code, e.Permanent, e.Acts, e.Remedy, e.Detail, s.code, s.acts, s.remedy)
	}
	if s.ids != strings.Contains(e.Detail, "Microsoft correlation id ") {
		t.Errorf("correlation id told: %v, want %v: %s", !s.ids, s.ids, e.Detail)
	}
	i := a.mustBeIn(t, c, s)
	if soon := time.Now().Add(max(5*time.Minute, s.wait) + time.Second); !s.permanent() && i.NextRunAt.After(soon) {
		t.Errorf("the next try of a passing fault is planned for %v", i.NextRunAt)
	}
	documented, err := c.GetProblemType(t.Context(), s.code)
	must(t, err)
	if documented.Retryable == s.permanent() || documented.Title != e.Title || documented.Acts == "" {
		t.Errorf("/problems tells otherwise: %+v", documented)
	}
}

// mustBeIn checks the state of the integration that a failed run leaves behind.
func (a *answers) mustBeIn(t *testing.T, c *api.Client, s *subject) *api.Integration {
	t.Helper()
	i, err := c.GetIntegration(t.Context(), s.integration)
	must(t, err)
	state := api.IntegrationDegraded
	if s.permanent() {
		state = api.IntegrationActionRequired
	}
	if i.State != state || i.StateReason == nil || i.StateReason.Code != s.code || i.StateReason.Acts == "" || i.StateReason.Remedy == "" {
		t.Fatalf("the integration is %s for %+v, want %s for %s", i.State, i.StateReason, state, s.code)
	}
	return i
}

// refusedAtReCheck first finds the link mended, which clears at once what the run left behind, and then in trouble again.
func (a *answers) refusedAtReCheck(t *testing.T, c *api.Client, s *subject, within time.Duration) {
	a.mend(t, s.directory)
	v, err := c.ValidateIntegration(t.Context(), s.integration)
	must(t, err)
	i, err := c.GetIntegration(t.Context(), s.integration)
	must(t, err)
	wait := s.wait // what Microsoft asks to wait stands, and so does the minute of a quota that is used up
	if s.code == api.CodeUpstreamThrottled {
		wait = max(wait, time.Minute)
	}
	if !v.OK || i.State != api.IntegrationActive || i.StateReason != nil || i.NextRunAt.After(time.Now().Add(wait+time.Second)) {
		t.Fatalf("mended and validated: %v, %s, next run at %v", v.OK, i.State, i.NextRunAt)
	}
	s.arrange(t, a, s.directory)
	began := time.Now()
	v, err = c.ValidateIntegration(t.Context(), s.integration)
	mustBeWithin(t, began, within)
	must(t, err)
	if v.OK {
		t.Fatal("the re-check finds nothing")
	}
	s.mustBeTold(t, v.Checks)
	if s.permanent() {
		a.mustBeIn(t, c, s)
	} else if i, err := c.GetIntegration(context.WithoutCancel(t.Context()), s.integration); err != nil || i.State != api.IntegrationActive {
		t.Errorf("a passing fault at a re-check leaves %s behind, %v", i.State, err)
	}
}

func mustBeWithin(t *testing.T, began time.Time, limit time.Duration) {
	t.Helper()
	if took := time.Since(began); took > limit {
		t.Errorf("answered after %v, the limit is %v", took, limit)
	}
}
