package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"pgp.internal/defender/api"
)

// answers serves fixed documents by path.
func answers(t *testing.T, documents map[string]any) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(documents[r.URL.Path]); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func compare(t *testing.T, skipped map[string]int64, open int64) (string, error) {
	t.Helper()
	url := answers(t, map[string]any{
		"/directories/d/truth": map[string]any{
			"machines":        map[string]any{"fetched": 5, "accepted": 3, "skipped": map[string]int{"stale": 2}},
			"findings":        map[string]any{"total": 4, "by_severity": map[string]int{"high": 4}},
			"vulnerabilities": 2,
		},
		"/v1/summary": api.Summary{
			Assets:          api.AssetSummary{ByState: api.AssetStateCounts{Active: 2, Inactive: 1, Removed: 9}},
			Findings:        api.FindingSummary{ByState: api.FindingStateCounts{Open: open, Fixed: 8}, OpenBySeverity: api.SeverityCounts{High: 4}},
			Vulnerabilities: api.VulnerabilitySummary{Total: 2},
		},
		"/v1/runs/r/diagnostics": api.Diagnostics{Stages: []api.StageDiagnostics{
			{Name: api.StageAssets, Fetched: 5, Accepted: 3, Skipped: skipped}, {Name: api.StageVulnerabilities},
		}},
	})
	var out bytes.Buffer
	tour := Tour{Client: api.New(url, "k"), Writer: NewWriter(&out, false), Control: url, DirectoryID: "d", imported: &api.Run{ID: "r"}}
	err := tour.Compare(context.Background())
	return out.String(), err
}

func TestCompare(t *testing.T) {
	t.Parallel()
	if out, err := compare(t, map[string]int64{"stale": 2}, 4); err != nil {
		t.Errorf("equal figures: %v\n%s", err, out)
	}
	for name, tt := range map[string]struct {
		skipped map[string]int64
		open    int64
		line    string
	}{
		"another count of findings": {map[string]int64{"stale": 2}, 5, "findings  4          5"},
		"a reason less":             {nil, 4, "machines left out: stale  2          0"},
		"a reason more":             {map[string]int64{"stale": 2, "merged": 1}, 4, "machines left out: merged  0          1"},
	} {
		if out, err := compare(t, tt.skipped, tt.open); err == nil || !strings.Contains(out, tt.line) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestProgressIsRewrittenOnATerminalOnly(t *testing.T) {
	t.Parallel()
	for terminal, want := range map[bool]string{true: "\rlonger\rlong  \n", false: "longer\nlong\n"} {
		var out bytes.Buffer
		w := NewWriter(&out, terminal)
		w.Progress("longer")
		w.Progress("long")
		w.ProgressDone()
		if out.String() != want {
			t.Errorf("terminal %v: %q, want %q", terminal, &out, want)
		}
	}
}

func TestWrapAndClip(t *testing.T) {
	t.Parallel()
	text := "Der Anfang ist die Hälfte des Ganzen, und das Ende ist länger als man denkt"
	for line := range strings.Lines(wrap(text, "  ", 20)) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 22 || !strings.HasPrefix(line, "  ") {
			t.Errorf("%q has %d characters or no indent", line, n)
		}
	}
	if strings.Join(strings.Fields(wrap(text, "  ", 20)), " ") != text {
		t.Error("wrapping lost a word")
	}
	if got := clip("äöü  abc", 5); got != "äöü …" {
		t.Errorf("%q", got)
	}
}
