package httpapi_test

import (
	"strings"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector/defender/defendersim"
)

// TestAnIntegrationWarnsThatItIsIncomplete has Microsoft offer none of its reports, and then all of them again.
func TestAnIntegrationWarnsThatItIsIncomplete(t *testing.T) {
	t.Parallel()
	a := newAnswers(t)
	ctx, c := t.Context(), a.client(t)
	directory, i := a.connectDirectory(t, 5)
	fault, err := a.sim.AddFault(defendersim.Fault{Route: "software_vulnerabilities", Directory: directory.String(), Status: 404})
	must(t, err)
	a.work(t, 1)
	i, err = c.GetIntegration(ctx, i.ID)
	must(t, err)
	if w := i.Warnings; i.State != api.IntegrationDegraded || len(w) != 1 || w[0].Code != "report_incomplete" || w[0].Title == "" || w[0].Detail == "" || w[0].Remedy == "" {
		t.Errorf("%s, told of the integration: %+v", i.State, w)
	}
	must(t, second(c.ValidateIntegration(ctx, i.ID)))
	if checked, err := c.GetIntegration(ctx, i.ID); err != nil || checked.State != api.IntegrationDegraded || len(checked.Warnings) != 1 {
		t.Errorf("%s with the warnings %+v once its credentials were found to work: %v", checked.State, checked.Warnings, err)
	}
	run, err := c.GetRun(ctx, i.LastRun.ID)
	must(t, err)
	if w := run.Warnings; len(w) != 1 || w[0].Detail == "" || !strings.Contains(run.Summary, "the vulnerability report was not to be had") {
		t.Errorf("told of the run: %+v, %s", w, run.Summary)
	}
	a.sim.RemoveFault(fault)
	must(t, second(c.StartRun(ctx, i.ID, api.StartRunRequest{})))
	a.work(t, 1)
	i, err = c.GetIntegration(ctx, i.ID)
	must(t, err)
	if i.State != api.IntegrationActive || len(i.Warnings) != 0 {
		t.Errorf("%s, told once all was read: %+v", i.State, i.Warnings)
	}
}
