package report

import "fmt"

// Reach is a figure held against what it should reach.
type Reach struct {
	What     string  `json:"what"`
	Measured string  `json:"measured"`
	Limit    string  `json:"limit"`
	Value    float64 `json:"value"`
	Bound    float64 `json:"bound"`
	AtLeast  bool    `json:"at_least"` // else at most
	Unit     string  `json:"unit,omitempty"`
	Known    bool    `json:"known"` // false: the run did not measure it
	Met      bool    `json:"met"`
}

// table collects the lines.
type table struct{ lines []Reach }

func (t *table) add(r Reach) {
	if r.Known {
		r.Met = r.Value <= r.Bound
		if r.AtLeast {
			r.Met = r.Value >= r.Bound
		}
	}
	t.lines = append(t.lines, r)
}

// HoldUp computes what was reached. The imports are judged at the largest size, what should be flat against a smaller one.
func (r *Report) HoldUp() {
	large, middle, small, million := r.pick()
	t := &table{}
	t.imports(large)
	t.flat(large, middle)
	t.reads(large, small)
	t.export(million)
	t.fairness(r.Fairness)
	r.Reach = t.lines
}

// pick chooses the largest size, the one closest to a million among the others, the smallest, and the one closest to a
// million of all. A run with few sizes gives the same more than once.
func (r *Report) pick() (large, middle, small, million *Size) {
	nothing := &Size{}
	large, middle, small, million = nothing, nothing, nothing, nothing
	closer := func(a, b *Size) bool { return b == nothing || off(a.Target) < off(b.Target) }
	for i := range r.Sizes {
		s := &r.Sizes[i]
		if large == nothing || s.Target > large.Target {
			large = s
		}
		if small == nothing || s.Target < small.Target {
			small = s
		}
		if closer(s, million) {
			million = s
		}
	}
	for i := range r.Sizes {
		if s := &r.Sizes[i]; s != large && closer(s, middle) {
			middle = s
		}
	}
	if small == large {
		small = nothing
	}
	return large, middle, small, million
}

// off is the factor between a size and a million.
func off(n int64) float64 {
	const million = 1_000_000
	if n < million {
		return million / float64(max(n, 1))
	}
	return float64(n) / million
}

func (t *table) imports(s *Size) {
	first, unchanged := s.Phase(First), s.Phase(Unchanged)
	for _, line := range []struct {
		phase *Phase
		name  string
		bound float64
	}{{first, First, 0.18}, {unchanged, Unchanged + " re-sync", 0.30}, {s.Phase(FirstByFiles), FirstByFiles, 0.18}, {s.Phase(UnchangedByFiles), UnchangedByFiles, 0.30}} {
		for _, all := range []bool{true, false} {
			t.againstCopy(s, line.phase, line.name, line.bound, all)
		}
	}
	written := Reach{What: Unchanged + " re-sync, " + Count(s.Findings) + ": finding rows written", Bound: 0}
	wal := Reach{What: Unchanged + " re-sync, " + Count(s.Findings) + ": WAL", Bound: 10, Unit: "MB"}
	if unchanged != nil {
		written.Known, written.Value, written.Measured = true, float64(unchanged.RowsWritten), fmt.Sprint(unchanged.RowsWritten)
		wal.Known, wal.Value, wal.Measured = true, float64(unchanged.WAL)/1e6, megabytes(unchanged.WAL)
	}
	t.add(written)
	t.add(wal)
	for _, c := range []struct {
		name  string
		bound float64
	}{{Clustered, 1.2}, {Scattered, 2}} {
		line := Reach{What: c.name + " re-sync against unchanged, " + Count(s.Findings), Bound: c.bound}
		if p, around := s.Phase(c.name), s.UnchangedAround(c.name); p != nil && around > 0 {
			line.Known, line.Value = true, ratio(p.Seconds, around)
			line.Measured, line.Limit = seconds(p.Seconds), seconds(around)
		}
		t.add(line)
	}
}

// againstCopy compares rates: of all rows of the report, or of the accepted ones alone, which is what \copy loads.
func (t *table) againstCopy(s *Size, p *Phase, name string, bound float64, all bool) {
	line := Reach{What: name + ", " + Count(s.Findings) + ": rows of the report against \\copy", Bound: bound, AtLeast: true}
	if !all {
		line.What = name + ", " + Count(s.Findings) + ": accepted rows only against \\copy"
	}
	if p != nil && s.Copy != nil {
		rows := p.RowsRead
		if !all {
			rows = p.Accepted
		}
		line.Known = true
		line.Value = ratio(ratio(float64(rows), p.Seconds), ratio(float64(s.Copy.Rows), s.Copy.Seconds))
		line.Measured, line.Limit = rate(rows, p.Seconds, "rows/s"), rate(s.Copy.Rows, s.Copy.Seconds, "rows/s")
	}
	t.add(line)
}

const mib = 1 << 20

// flat compares two sizes: memory and the time for a row must not grow.
func (t *table) flat(large, middle *Size) {
	for _, name := range []string{First, Unchanged, Clustered, Scattered, Full, FirstByFiles, UnchangedByFiles} {
		a, b := middle.Phase(name), large.Phase(name)
		peak := Reach{What: "peak memory of the service, " + name, Bound: 128, Unit: "MiB"}
		growth := Reach{What: "growth of that peak, " + Count(middle.Findings) + " to " + Count(large.Findings), Bound: 15, Unit: "%"}
		if b != nil {
			peak.Known, peak.Value, peak.Measured = true, float64(b.PeakBytes)/mib, mebibytes(b.PeakBytes)
		}
		if a != nil && b != nil {
			peak.Value = float64(max(a.PeakBytes, b.PeakBytes)) / mib
			peak.Measured = mebibytes(a.PeakBytes) + " and " + mebibytes(b.PeakBytes)
			growth.Known, growth.Value = true, 100*(ratio(float64(b.PeakBytes), float64(a.PeakBytes))-1)
			growth.Measured, growth.Limit = mebibytes(b.PeakBytes), mebibytes(a.PeakBytes)
		}
		t.add(peak)
		t.add(growth)
	}
	for _, name := range []string{First, Unchanged, FirstByFiles, UnchangedByFiles} {
		a, b := middle.Phase(name), large.Phase(name)
		line := Reach{What: "time for a row, " + name + ", " + Count(large.Findings) + " against " + Count(middle.Findings), Bound: 1.25}
		if a != nil && b != nil {
			one, other := ratio(b.Seconds, float64(b.RowsRead)), ratio(a.Seconds, float64(a.RowsRead))
			line.Known, line.Value = true, ratio(one, other)
			line.Measured, line.Limit = fmt.Sprintf("%.2f µs", one*1e6), fmt.Sprintf("%.2f µs", other*1e6)
		}
		t.add(line)
	}
}

// Names of reads that the table looks for.
const (
	FindingsBySeverity  = "findings, by severity"
	FindingsByFirstSeen = "findings, by first seen"
	Assets              = "assets"
	Vulnerabilities     = "vulnerabilities"
)

func (t *table) reads(large, small *Size) {
	for _, name := range []string{FindingsBySeverity, FindingsByFirstSeen, Assets, Vulnerabilities} {
		one, far, little := large.Read(name, true), large.Read(name, false), small.Read(name, true)
		line := Reach{What: "page 1 of " + name + ", " + Count(large.Findings) + ", against pgbench", Bound: 0.40, AtLeast: true}
		if one != nil && one.TPS > 0 {
			line.Known, line.Value = true, ratio(one.Rate, one.TPS)
			line.Measured, line.Limit = perSecond(one.Rate), perSecond(one.TPS)
		}
		t.add(line)
		deep := Reach{What: "last page read of " + name + " against page 1, " + Count(large.Findings) + ": time", Bound: 1.2}
		if far != nil {
			deep.What = fmt.Sprintf("page %d of %s against page 1, %s: time", far.Page, name, Count(large.Findings))
		}
		t.slower(deep, one, far)
		t.slower(Reach{What: "page 1 of " + name + ", " + Count(large.Findings) + " against " + Count(small.Findings) + ": time", Bound: 1.2}, little, one)
	}
}

// slower compares how long two reads take; the first is the limit.
func (t *table) slower(line Reach, limit, r *Read) {
	if limit != nil && r != nil {
		line.Known, line.Value = true, ratio(limit.Rate, r.Rate)
		line.Measured, line.Limit = perSecond(r.Rate), perSecond(limit.Rate)
	}
	t.add(line)
}

func (t *table) export(s *Size) {
	line := Reach{What: "export of " + Count(s.Findings) + " findings as NDJSON against \\copy to stdout", Bound: 0.35, AtLeast: true}
	if e := s.Export; e != nil && e.LimitSeconds > 0 {
		line.Known, line.Value = true, ratio(e.LimitSeconds, e.Seconds)
		line.Measured, line.Limit = rate(e.Findings, e.Seconds, "findings/s"), rate(e.Findings, e.LimitSeconds, "findings/s")
	}
	t.add(line)
}

func (t *table) fairness(f *Fairness) {
	if f == nil {
		f = &Fairness{}
	}
	for _, c := range []struct {
		what          string
		alone, beside float64
	}{
		{"median", f.Alone.Median, f.Beside.Median},
		{"longest", f.Alone.Longest, f.Beside.Longest},
		{"all of them", f.Alone.Makespan, f.Beside.Makespan},
	} {
		line := Reach{What: "first sync of a small tenant beside one of " + Count(f.LargeSize) + " findings against alone, " + c.what, Bound: 2}
		if c.alone > 0 {
			line.Known, line.Value = true, ratio(c.beside, c.alone)
			line.Measured, line.Limit = seconds(c.beside), seconds(c.alone)
		}
		t.add(line)
	}
}

// ratio is 0 when there is nothing to divide by.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
