package httpapi_test

import (
	"context"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
)

// TestAnIntegrationShowsWhatItsCheckTold holds what an integration says of its state against what the check said.
func TestAnIntegrationShowsWhatItsCheckTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c, i := h.admin(), h.connect(h.mine)
	f := fault.New(fault.CodeCredentialsInvalid, "Defender did not take the token. Trace 1.")
	f.Cause, f.Remedy, f.Acts = "Entra issues a token, and Defender refuses it.", "Choose the right cloud.", fault.Operator
	h.cloud.mu.Lock()
	h.cloud.outcome = func(connector.Credentials) []connector.Check {
		return []connector.Check{connector.FailedCheck("token", f, 0)}
	}
	h.cloud.mu.Unlock()
	_, err := c.ValidateIntegration(context.Background(), i.ID)
	must(t, err)
	got, err := c.GetIntegration(context.Background(), i.ID)
	must(t, err)
	want := api.Explanation{
		Code: f.Code, Title: f.Title(), Detail: f.Detail, Cause: f.Cause, Remedy: f.Remedy, Acts: api.ActorPGPOperator,
	}
	if got.State != api.IntegrationActionRequired || got.StateReason == nil || *got.StateReason != want {
		t.Errorf("%s, %+v, want %+v", got.State, got.StateReason, want)
	}
}
