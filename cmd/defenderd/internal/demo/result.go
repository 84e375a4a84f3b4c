package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"pgp.internal/defender/api"
)

func (t *Tour) result(ctx context.Context) error {
	w := t.Writer
	w.Step("What is there now")
	s, err := t.Client.GetSummary(ctx)
	if err != nil {
		return err
	}
	os := s.Assets.ByOSFamily
	w.Line("%d assets: %d Windows, %d Linux, %d macOS, %d other", s.Assets.ByState.Active+s.Assets.ByState.Inactive, os.Windows, os.Linux, os.MacOS, os.Other)
	open := s.Findings.OpenBySeverity
	w.Line("%d open findings of %d vulnerabilities:\n", open.Total, s.Vulnerabilities.Total)
	var rows [][]string
	for _, line := range severities(open) {
		rows = append(rows, []string{line.name, fmt.Sprintf("%7d", line.n), bar(line.n, open.Total)})
	}
	w.Table([]string{"SEVERITY", "  COUNT", ""}, rows)
	return nil
}

type severityCount struct {
	name string
	n    int64
}

func severities(c api.SeverityCounts) []severityCount {
	return []severityCount{{"critical", c.Critical}, {"high", c.High}, {"medium", c.Medium}, {"low", c.Low}, {"unknown", c.Unknown}}
}

func bar(n, total int64) string {
	const width = 40
	if total == 0 {
		return ""
	}
	return strings.Repeat("#", int((n*width+total-1)/total))
}

// skipped tells what was left out and why, the most frequent first.
func (t *Tour) skipped(ctx context.Context) error {
	w := t.Writer
	w.Step("What was left out, and why")
	d, err := t.Client.GetRunDiagnostics(ctx, t.imported.ID)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, s := range d.Stages {
		unit := map[api.RunStageName]string{api.StageAssets: "machine", api.StageVulnerabilities: "software row"}[s.Name]
		reasons := slices.SortedFunc(maps.Keys(s.Skipped), func(a, b string) int {
			return cmp.Or(cmp.Compare(s.Skipped[b], s.Skipped[a]), cmp.Compare(a, b))
		})
		for _, reason := range reasons {
			rows = append(rows, []string{unit, reason, fmt.Sprintf("%6d", s.Skipped[reason]), example(s.Samples[reason])})
		}
	}
	w.Table([]string{"RECORD", "REASON", " COUNT", "EXAMPLE"}, rows)
	return nil
}

// example names one of the records, and what was wrong with it unless the name says so.
func example(samples []api.SkipSample) string {
	if len(samples) == 0 {
		return ""
	}
	s := samples[0]
	name := clip(cmp.Or(s.Name, s.SourceID), 40)
	if s.Detail == "" || s.Detail == s.Name {
		return name
	}
	return name + " (" + clip(s.Detail, 40) + ")"
}

// examples shows one record of each sort.
func (t *Tour) examples(ctx context.Context) error {
	w := t.Writer
	w.Step("Three records")
	findings, err := t.Client.ListFindings(ctx, api.ListFindingsOptions{State: []api.FindingState{api.FindingOpen}, PageOptions: api.PageOptions{Limit: 1}})
	if err != nil {
		return err
	}
	if len(findings.Items) == 0 {
		w.Line("There is no open finding.")
		return nil
	}
	f := findings.Items[0]
	asset, err := t.Client.GetAsset(ctx, f.AssetID)
	if err != nil {
		return err
	}
	v, err := t.Client.GetVulnerability(ctx, f.VulnerabilityID)
	if err != nil {
		return err
	}
	t.showAsset(asset)
	t.showFinding(f)
	t.showVulnerability(v)
	return nil
}

func (t *Tour) showAsset(a *api.Asset) {
	t.Writer.Line("Asset")
	t.Writer.Table([]string{"", ""}, [][]string{
		{"host name", a.Hostname}, {"address", a.PrimaryIP}, {"system", strings.TrimSpace(a.OS.Platform + " " + a.OS.Version)},
		{"last seen", a.LastSeenAt.Local().Format("2006-01-02 15:04")},
		{"open findings", fmt.Sprintf("%d, of these %d critical and %d high", a.FindingCounts.Total, a.FindingCounts.Critical, a.FindingCounts.High)},
		{"in PGP", a.PGP.Key},
	})
}

func (t *Tour) showFinding(f api.Finding) {
	rows := [][]string{{"vulnerability", f.VulnerabilityID}, {"severity", string(f.Severity)}, {"attack vector", string(f.AttackVector)},
		{"first seen", f.FirstSeenAt.Local().Format("2006-01-02 15:04")}}
	for _, i := range f.Instances[:min(2, len(f.Instances))] {
		software := clip(strings.Join([]string{i.Vendor, i.Product, i.Version}, " "), 60)
		if i.KB != nil {
			software += ", fixed by " + i.KB.ID
		}
		rows = append(rows, []string{"found in", software})
	}
	if f.PGP != nil {
		rows = append(rows, []string{"in PGP", f.PGP.Key + "  status " + f.PGP.Status})
	}
	t.Writer.Line("\nFinding")
	t.Writer.Table([]string{"", ""}, rows)
}

func (t *Tour) showVulnerability(v *api.Vulnerability) {
	rows := [][]string{{"name", v.ID}, {"title", clip(v.Title, 90)}, {"exposed assets", strconv.FormatInt(v.ExposedAssets, 10)}}
	if v.CVSS != nil {
		rows = append(rows, []string{"CVSS", fmt.Sprintf("%.1f  %s", v.CVSS.Score, v.CVSS.Vector)})
	}
	if v.Definition != nil {
		rows = append(rows, []string{"what to do", clip(v.Definition.Recommendation, 90)})
	}
	t.Writer.Line("\nVulnerability")
	t.Writer.Table([]string{"", ""}, rows)
}

// again shows that a second import of the same data writes nothing.
func (t *Tour) again(ctx context.Context) error {
	t.Writer.Step("A second import finds nothing new")
	run, err := t.run(ctx, api.ModeIncremental)
	if err != nil {
		return err
	}
	if !run.NoChanges {
		return errors.New("the second import should have found nothing new, but: " + run.Summary)
	}
	return nil
}
