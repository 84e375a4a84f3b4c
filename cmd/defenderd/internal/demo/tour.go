package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"pgp.internal/defender/api"
)

// Tour is a walk through the API.
type Tour struct {
	Client  *api.Client
	Writer  *Writer
	Control string // base URL of the simulator's control interface, for Compare

	DirectoryID, ClientID, Secret string // what the customer's administrator made at Microsoft

	integration *api.Integration
	imported    *api.Run // the newest run that compared everything
}

// Walk goes from the connect form to a second import without changes. It begins with what an earlier walk left.
func (t *Tour) Walk(ctx context.Context) error {
	if err := t.form(ctx); err != nil {
		return err
	}
	if err := t.connect(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{t.result, t.skipped, t.examples, t.again} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tour) form(ctx context.Context) error {
	w := t.Writer
	w.Step("The catalogue offers an integration")
	entry, err := t.Client.GetIntegrationType(ctx, api.TypeMicrosoftDefender)
	if err != nil {
		return err
	}
	w.Line("%s\n%s\n\nIts connect form:\n", entry.Name, wrap(entry.Description, "", 100))
	var rows [][]string
	for _, f := range entry.Form.Fields {
		if !f.Required && !f.Recommended && f.Input != api.InputCheckbox {
			continue
		}
		if f.When != nil && f.When.Equals != string(api.SignInClientSecret) {
			continue // of the other ways to sign in
		}
		required := "optional"
		if f.Required {
			required = "required"
		}
		standard := ""
		if f.Default != nil {
			standard = fmt.Sprintf("default %v", f.Default)
		}
		rows = append(rows, []string{f.Label, string(f.Input), required, standard, clip(f.Help, 60)})
	}
	w.Table([]string{"FIELD", "INPUT", "", "", "HELP"}, rows)
	return nil
}

// connect finds the integration of an earlier walk, or tries a wrong secret and then the right one.
func (t *Tour) connect(ctx context.Context) error {
	for i, err := range t.Client.AllIntegrations(ctx, api.ListIntegrationsOptions{}) {
		if err != nil {
			return err
		}
		if i.Credentials.TenantID == t.DirectoryID {
			t.integration = &i
			return t.reconnect(ctx)
		}
	}
	if err := t.wrongSecret(ctx); err != nil {
		return err
	}
	return t.rightSecret(ctx)
}

func (t *Tour) request(secret string) api.ConnectRequest {
	return api.ConnectRequest{
		Type:        api.TypeMicrosoftDefender,
		Credentials: api.CredentialsInput{ClientID: t.ClientID, ClientSecret: api.Secret(secret), TenantID: t.DirectoryID},
	}
}

func (t *Tour) wrongSecret(ctx context.Context) error {
	w := t.Writer
	w.Step("A wrong secret is refused, with a reason")
	wrong := t.Secret[:len(t.Secret)-4] + "oops"
	_, err := t.Client.ConnectIntegration(ctx, t.request(wrong))
	problem, ok := errors.AsType[*api.Problem](err)
	if !ok {
		return fmt.Errorf("a wrong secret was not refused as it should be: %w", err)
	}
	w.Line("The answer is %d, %s: %s\n", problem.Status, problem.Code, problem.Title)
	for _, c := range problem.Checks {
		if !c.OK && c.Cause != "" {
			w.Line("  Cause:\n%s", wrap(c.Cause, "    ", 96))
			w.Line("  Remedy:\n%s", wrap(c.Remedy, "    ", 96))
		}
	}
	return nil
}

func (t *Tour) rightSecret(ctx context.Context) error {
	w := t.Writer
	w.Step("The right one connects")
	i, err := t.Client.ConnectIntegration(ctx, t.request(t.Secret))
	if err != nil {
		return err
	}
	t.integration = i
	if i.Validation != nil {
		t.checks(i.Validation.Checks)
	}
	w.Line("\nConnected as %s. The secret is sealed; all the API ever shows of it is %q.", i.ID, i.Credentials.SecretHint)
	w.Step("The first import")
	if i.LastRun == nil {
		return errors.New("connecting did not queue an import")
	}
	t.imported, err = t.follow(ctx, i.LastRun.ID)
	return err
}

func (t *Tour) checks(checks []api.Check) {
	var rows [][]string
	for _, c := range checks {
		outcome := "ok"
		if !c.OK {
			outcome = c.Code
		}
		rows = append(rows, []string{outcome, c.Name, c.Title, fmt.Sprintf("%d ms", c.DurationMS)})
	}
	t.Writer.Table([]string{"", "CHECK", "", "TOOK"}, rows)
}

// reconnect goes on with the integration of an earlier walk: what it holds is checked and read anew.
func (t *Tour) reconnect(ctx context.Context) error {
	w := t.Writer
	w.Step("The integration exists from an earlier start")
	w.Line("%s, connected %s. Its stored secret is checked against Microsoft:\n", t.integration.ID, t.integration.CreatedAt.Local().Format(time.DateTime))
	validation, err := t.Client.ValidateIntegration(ctx, t.integration.ID)
	if err != nil {
		return err
	}
	t.checks(validation.Checks)
	w.Step("A full import")
	t.imported, err = t.run(ctx, api.ModeFull)
	return err
}

// run starts an import and follows it. One that is under way is followed to its end first.
func (t *Tour) run(ctx context.Context, mode api.RunMode) (*api.Run, error) {
	for {
		run, err := t.Client.StartRun(ctx, t.integration.ID, api.StartRunRequest{Mode: &mode})
		if err == nil {
			return t.follow(ctx, run.ID)
		}
		problem, ok := errors.AsType[*api.Problem](err)
		if !ok || problem.Code != api.CodeRunInProgress || problem.RunID == "" {
			return nil, err
		}
		if _, err := t.follow(ctx, problem.RunID); err != nil {
			return nil, err
		}
	}
}

const lookEvery = 200 * time.Millisecond

// follow shows a run's progress until it has ended well.
func (t *Tour) follow(ctx context.Context, id string) (*api.Run, error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for last := ""; ; {
		run, err := t.Client.GetRun(ctx, id)
		if err != nil {
			return nil, err
		}
		if text := progress(run); text != last {
			t.Writer.Progress(text)
			last = text
		}
		if run.State.Finished() {
			t.Writer.ProgressDone()
			return run, ended(t.Writer, run)
		}
		select {
		case <-ctx.Done():
			t.Writer.ProgressDone()
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

func ended(w *Writer, run *api.Run) error {
	if run.State == api.RunSucceeded {
		w.Line("Ended %s after %s.\n%s", run.State, run.FinishedAt.Sub(run.StartedAt).Round(10*time.Millisecond), wrap(run.Summary, "", 100))
		return nil
	}
	if run.Error != nil {
		return fmt.Errorf("the import ended %s: %s: %s %s", run.State, run.Error.Code, run.Error.Detail, run.Error.Remedy)
	}
	return fmt.Errorf("the import ended %s", run.State)
}

// progress is one line: the stages so far with what they read.
func progress(run *api.Run) string {
	parts := []string{}
	for _, s := range run.Stages {
		switch {
		case s.State == api.StagePending || s.State == api.StageSkipped:
		case s.Progress.Fetched > 0:
			parts = append(parts, fmt.Sprintf("%s %d", s.Name, s.Progress.Fetched))
		default:
			parts = append(parts, string(s.Name))
		}
	}
	if len(parts) == 0 {
		return fmt.Sprintf("  %s", run.State)
	}
	return fmt.Sprintf("  %s: %s", run.State, strings.Join(parts, ", "))
}
