package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"pgp.internal/defender/api"
)

// truth is what the simulator says a correct import holds.
type truth struct {
	Machines tally `json:"machines"`
	Rows     tally `json:"rows"`
	Findings struct {
		Total      int64            `json:"total"`
		BySeverity map[string]int64 `json:"by_severity"`
	} `json:"findings"`
	Vulnerabilities int64 `json:"vulnerabilities"`
}

type tally struct {
	Fetched  int64            `json:"fetched"`
	Accepted int64            `json:"accepted"`
	Skipped  map[string]int64 `json:"skipped"`
}

// comparison collects figures that should be equal.
type comparison struct {
	equal       int
	differences [][]string
}

func (c *comparison) figure(what string, want, got int64) {
	if want == got {
		c.equal++
		return
	}
	c.differences = append(c.differences, []string{what, fmt.Sprint(want), fmt.Sprint(got)})
}

func (c *comparison) figures(what string, want, got map[string]int64) {
	names := map[string]bool{}
	for _, m := range []map[string]int64{want, got} {
		for name := range m {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c.figure(what+" "+name, want[name], got[name])
	}
}

// Compare holds what the API shows against what the simulator knows, and fails with a table of the differences.
func (t *Tour) Compare(ctx context.Context) error {
	w := t.Writer
	w.Step("The import against the simulator's truth")
	want, err := t.truth(ctx)
	if err != nil {
		return err
	}
	summary, err := t.Client.GetSummary(ctx)
	if err != nil {
		return err
	}
	d, err := t.Client.GetRunDiagnostics(ctx, t.imported.ID)
	if err != nil {
		return err
	}
	c := &comparison{}
	c.figure("assets", want.Machines.Accepted, summary.Assets.ByState.Active+summary.Assets.ByState.Inactive)
	for _, s := range d.Stages {
		switch s.Name {
		case api.StageAssets:
			c.stage("machines", want.Machines, s)
		case api.StageVulnerabilities:
			c.stage("rows", want.Rows, s)
		}
	}
	c.figure("findings", want.Findings.Total, summary.Findings.ByState.Open)
	got := map[string]int64{}
	for _, s := range severities(summary.Findings.OpenBySeverity) {
		got[s.name] = s.n
	}
	c.figures("findings", want.Findings.BySeverity, got)
	c.figure("vulnerabilities", want.Vulnerabilities, summary.Vulnerabilities.Total)
	if len(c.differences) > 0 {
		w.Table([]string{"FIGURE", "SIMULATOR", "IMPORT"}, c.differences)
		return fmt.Errorf("%d figures of the import differ from the simulator's", len(c.differences))
	}
	w.Line("All %d figures are equal: machines and rows read, accepted and left out by reason, findings by severity, vulnerabilities.", c.equal)
	return nil
}

func (c *comparison) stage(what string, want tally, got api.StageDiagnostics) {
	c.figure(what+" fetched", want.Fetched, got.Fetched)
	c.figure(what+" accepted", want.Accepted, got.Accepted)
	c.figures(what+" left out:", want.Skipped, got.Skipped)
}

func (t *Tour) truth(ctx context.Context) (*truth, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.Control+"/directories/"+t.DirectoryID+"/truth", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is written
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the simulator answers %s", resp.Status)
	}
	var out truth
	return &out, json.NewDecoder(resp.Body).Decode(&out)
}
