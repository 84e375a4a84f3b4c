package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// size makes a size whose figures meet everything when slow is 1.
func size(target int64, slow float64) Size {
	phase := func(name string, rowsPerSecond, wal float64) Phase {
		rows := target * 3 / 2
		return Phase{Name: name, RowsRead: rows, Accepted: target, Findings: target, Seconds: slow * float64(rows) / rowsPerSecond,
			PeakBytes: 100 << 20, WAL: int64(wal), Check: &Check{Findings: target}}
	}
	return Size{
		Target: target, Machines: int(target / 100), Findings: target, Copy: &Copy{Rows: target, Seconds: float64(target) / 1e6, Each: []float64{float64(target) / 1e6}},
		Phases: []Phase{phase(First, 300_000, 1e8), phase(Unchanged, 500_000, 1e6), phase(Clustered, 480_000, 1e7), phase(Scattered, 300_000, 1e8), phase(Turnover, 100_000, 1e9), phase(Full, 100_000, 1e8),
			phase(FirstByFiles, 300_000, 1e8), phase(UnchangedByFiles, 500_000, 1e6)},
		Reads: []Read{
			{Name: FindingsBySeverity, Page: 1, Rate: 1000 / slow, TPS: 2000}, {Name: FindingsBySeverity, Page: 1000, Rate: 950 / slow},
			{Name: FindingsByFirstSeen, Page: 1, Rate: 1000 / slow, TPS: 2000}, {Name: FindingsByFirstSeen, Page: 1000, Rate: 900 / slow},
			{Name: Assets, Page: 1, Rate: 1000 / slow, TPS: 2000}, {Name: Assets, Page: 199, Rate: 900 / slow},
			{Name: Vulnerabilities, Page: 1, Rate: 1000 / slow, TPS: 2000}, {Name: Vulnerabilities, Page: 221, Rate: 900 / slow},
		},
		Export: &Export{Findings: target, Seconds: slow * float64(target) / 1e5, LimitSeconds: float64(target) / 2e5},
	}
}

var besides = []Group{{Median: 3, Longest: 6, Makespan: 9, After: 0.1}, {Median: 2, Longest: 7, Makespan: 8, After: 9.5}}

func full() *Report {
	return &Report{
		Sizes: []Size{size(100_000, 1), size(1_000_000, 1), size(10_000_000, 1)},
		Fairness: &Fairness{Tenants: 49, LargeSize: 10_000_000, Alone: Group{Median: 2, Longest: 4, Makespan: 5},
			Beside: Worst(besides), Groups: besides},
	}
}

func missed(r *Report) (list []string) {
	r.HoldUp()
	for _, line := range r.Reach {
		if !line.Known || !line.Met {
			list = append(list, line.What)
		}
	}
	return list
}

func TestEverythingIsReached(t *testing.T) {
	t.Parallel()
	if list := missed(full()); len(list) > 0 {
		t.Errorf("not met: %v", list)
	}
}

// TestEachMissIsSeen makes one figure bad at a time.
func TestEachMissIsSeen(t *testing.T) {
	t.Parallel()
	large := func(r *Report) *Size { return &r.Sizes[2] }
	for want, spoil := range map[string]func(*Report){
		"first sync, 10.0 M: rows of the report":                  func(r *Report) { large(r).Copy.Seconds /= 2 },
		"unchanged re-sync, 10.0 M: accepted rows only":           func(r *Report) { large(r).Phase(Unchanged).Accepted /= 2 },
		"unchanged re-sync, 10.0 M: finding rows written":         func(r *Report) { large(r).Phase(Unchanged).RowsWritten = 1 },
		"unchanged re-sync, 10.0 M: WAL":                          func(r *Report) { large(r).Phase(Unchanged).WAL = 11e6 },
		"1 % clustered re-sync against unchanged":                 func(r *Report) { large(r).Phase(Clustered).Seconds *= 1.3 },
		"1 % scattered re-sync against unchanged":                 func(r *Report) { large(r).Phase(Scattered).Seconds *= 1.3 },
		"peak memory of the service, first sync":                  func(r *Report) { r.Sizes[1].Phase(First).PeakBytes = 129 << 20 },
		"peak memory of the service, unchanged by files":          func(r *Report) { r.Sizes[1].Phase(UnchangedByFiles).PeakBytes = 129 << 20 },
		"first sync by files, 10.0 M: rows of the report":         func(r *Report) { large(r).Phase(FirstByFiles).Seconds *= 2 },
		"growth of that peak, 1.00 M to 10.0 M":                   func(r *Report) { large(r).Phase(Scattered).PeakBytes = 120 << 20 },
		"time for a row, first sync, 10.0 M against 1.00 M":       func(r *Report) { r.Sizes[1].Phase(First).Seconds /= 1.3 },
		"page 1 of findings, by severity, 10.0 M, against":        func(r *Report) { large(r).Reads[0].TPS *= 2 },
		"page 1000 of findings, by severity against page 1":       func(r *Report) { large(r).Reads[1].Rate /= 1.3 },
		"page 1 of findings, by first seen, 10.0 M against 100 k": func(r *Report) { r.Sizes[0].Reads[2].Rate *= 1.3 },
		"page 199 of assets against page 1, 10.0 M":               func(r *Report) { large(r).Read(Assets, false).Rate /= 1.3 },
		"page 221 of vulnerabilities against page 1, 10.0 M":      func(r *Report) { large(r).Read(Vulnerabilities, false).Rate /= 1.3 },
		"page 1 of assets, 10.0 M against 100 k":                  func(r *Report) { r.Sizes[0].Read(Assets, true).Rate *= 1.3 },
		"page 1 of vulnerabilities, 10.0 M against 100 k":         func(r *Report) { r.Sizes[0].Read(Vulnerabilities, true).Rate *= 1.3 },
		"export of 1.00 M findings":                               func(r *Report) { r.Sizes[1].Export.LimitSeconds /= 2 },
		"beside one of 10.0 M findings against alone, longest":    func(r *Report) { r.Fairness.Beside.Longest = 8.1 },
	} {
		r := full()
		spoil(r)
		if list := missed(r); !strings.Contains(strings.Join(list, "\n"), want) {
			t.Errorf("%s: only %q are seen", want, list)
		}
	}
}

func TestNothingMeasuredIsNothingMet(t *testing.T) {
	t.Parallel()
	for _, r := range []*Report{{}, {Sizes: []Size{{Target: 5000}}}, {Sizes: []Size{{Target: 1}, {Target: 2}}}} {
		if list := missed(r); len(list) != len(r.Reach) || len(list) < 20 {
			t.Errorf("%d lines of %d are without a figure", len(list), len(r.Reach))
		}
		if text := r.Markdown(); strings.Contains(text, "| met |") || strings.Contains(text, "NaN") || !strings.Contains(text, "not measured") {
			t.Error(text)
		}
	}
}

func TestReportIsWritten(t *testing.T) {
	t.Parallel()
	r := full()
	r.Command, r.Build, r.Failures = "defenderbench --sizes 1M", "v1.2.3", []string{"1.00 M findings, copy: no psql\nanywhere"}
	r.HoldUp()
	path := filepath.Join(t.TempDir(), "docs", "benchmark")
	if err := r.Write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path + ".md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"`defenderbench --sizes 1M`", "v1.2.3", "**This run is not complete.**", "no psql anywhere",
		"| first sync, 10.0 M: rows of the report against \\copy | 300,000 rows/s | 1,000,000 rows/s | 0.30 | ≥ 0.18 | met |",
		"| first sync | 50.0 s | 300,000 /s | 200,000 /s |", "10,000,000 findings, equal", "| beside, 0.10 s after the large one began to read rows | 3.00 s | 6.00 s | 9.00 s |", "| beside, 9.50 s after the large one began to read rows | 2.00 s | 7.00 s | 8.00 s |",
		"| findings, by severity | 1,000 | 950/s |",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	figures, err := os.ReadFile(path + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(figures, &back); err != nil || len(back.Sizes) != 3 || len(back.Reach) != len(r.Reach) || back.Sizes[2].Phase(First) == nil {
		t.Errorf("%v %+v", err, back)
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		Count(999): "999", Count(94_887): "95 k", Count(1_090_000): "1.09 M", Count(10_016_474): "10.0 M",
		whole(0): "0", whole(999): "999", whole(1000): "1,000", whole(-1234567): "-1,234,567",
		seconds(0.126): "0.13 s", seconds(12.34): "12.3 s", seconds(123.4): "123 s",
		rate(10, 0, "rows/s"): "0 rows/s",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestImportsAtOnceTellWhatEachFurtherOneTakes(t *testing.T) {
	t.Parallel()
	r := full()
	r.Sizes[0].Together = []Together{{1, 10, 5, 100 << 20}, {2, 20, 10, 130 << 20}, {4, 40, 21, 210 << 20}}
	text := r.Markdown()
	for _, want := range []string{"| 1 | 10.0 s | 5.00 s | 100 MiB |  |", "| 2 | 20.0 s | 10.0 s | 130 MiB | 30 MiB |", "| 4 | 40.0 s | 21.0 s | 210 MiB | 40 MiB |"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestWalksTellWhereTheyEnded(t *testing.T) {
	t.Parallel()
	r := full()
	r.Sizes[0].Walks = []Walk{{Filter: "fixed", Pages: 1, Ended: true, Median: 3, Longest: 3}, {Filter: "critical", Pages: 20, Findings: 1000, Median: 8.25, Longest: 20.6}}
	text := r.Markdown()
	for _, want := range []string{"| fixed | 1 | 0 | 3.0 ms | 3.0 ms | no |", "| critical | 20 | 1,000 | 8.2 ms | 20.6 ms | yes |"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestFairnessTellsWhetherTheLargeImportCounted(t *testing.T) {
	t.Parallel()
	r := full()
	for rows, want := range map[int64]string{0: "did not count as large", 9_980_000: "counted as large, with 9.98 M rows"} {
		r.Fairness.LargeRows = &rows
		if text := r.Markdown(); !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

// TestChangesAreHeldAgainstTheirNeighbours measures a machine that gets slower from phase to phase.
func TestChangesAreHeldAgainstTheirNeighbours(t *testing.T) {
	t.Parallel()
	phase := func(name string, seconds float64) Phase { return Phase{Name: name, Seconds: seconds} }
	all := []Phase{
		phase(First, 150), phase(Unchanged, 50), phase(Clustered, 70), phase(UnchangedBehindClustered, 60), phase(Scattered, 120), phase(UnchangedBehindScattered, 80),
		phase(Full, 200), phase(UnchangedByFiles, 40),
	}
	for _, c := range []struct {
		phases []Phase
		name   string
		want   float64
	}{
		{all, Clustered, 55}, {all, Scattered, 70}, {all[:5], Scattered, 60}, {all[:3], Clustered, 50}, {all[2:4], Clustered, 60}, {all[:1], Clustered, 0},
	} {
		if got := (&Size{Phases: c.phases}).UnchangedAround(c.name); got != c.want {
			t.Errorf("%s of %d phases is held against %v instead of %v", c.name, len(c.phases), got, c.want)
		}
	}
}
