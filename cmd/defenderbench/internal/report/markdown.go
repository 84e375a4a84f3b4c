package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Markdown is the report for people.
func (r *Report) Markdown() string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "# Benchmark\n\nWritten by `%s` on %s; it took %s. ", r.Command, r.Date.UTC().Format(time.DateOnly), time.Duration(r.Seconds*1e9).Round(time.Second))
	b.WriteString("The same figures are in the JSON file beside this one.\n")
	if len(r.Failures) > 0 {
		b.WriteString("\n**This run is not complete.**\n\n")
		for _, f := range r.Failures {
			fmt.Fprintf(b, "* %s\n", strings.ReplaceAll(f, "\n", " "))
		}
	}
	r.writeReach(b)
	for i := range r.Sizes {
		r.Sizes[i].write(b)
	}
	r.Fairness.write(b)
	r.writeMachine(b)
	r.writeMethod(b)
	return b.String()
}

func (r *Report) writeReach(b *strings.Builder) {
	b.WriteString("\n## What was reached\n\n")
	g := newGrid(b, "What", "Measured:", "Held against:", "Result:", "Reach:", "")
	for _, line := range r.Reach {
		sign, verdict, value := "≤", "not measured", ""
		if line.AtLeast {
			sign = "≥"
		}
		if line.Known {
			value, verdict = figure(line.Value, line.Unit), "**not met**"
			if line.Met {
				verdict = "met"
			}
		}
		g.row(line.What, line.Measured, line.Limit, value, sign+" "+figure(line.Bound, line.Unit), verdict)
	}
}

// figure writes a ratio with two decimals, and a figure with a unit with one.
func figure(v float64, unit string) string {
	switch {
	case unit != "":
		return fmt.Sprintf("%.1f %s", v, unit)
	case v == float64(int64(v)):
		return fmt.Sprintf("%d", int64(v))
	}
	return fmt.Sprintf("%.2f", v)
}

func (s *Size) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s findings\n\n%s machines", Count(s.Target), whole(int64(s.Machines)))
	if first := s.Phase(First); first != nil {
		fmt.Fprintf(b, ", %s rows in the report, %s of them accepted, %s findings", whole(first.RowsRead), whole(first.Accepted), whole(first.Findings))
	}
	b.WriteString(".\n")
	if d := s.Decode; d != nil {
		fmt.Fprintf(b, "\nDecode alone: %s rows in %s, %s, %.0f MB/s of JSON; %s of processor time, peak memory %s.\n",
			whole(d.Rows), seconds(d.Seconds), rate(d.Rows, d.Seconds, "rows/s"), ratio(float64(d.Bytes)/1e6, d.Seconds), seconds(d.CPUSeconds), mebibytes(d.PeakBytes))
	}
	s.writePhases(b)
	if c := s.Copy; c != nil && len(c.Each) > 0 {
		fmt.Fprintf(b, "\nLimit of imports: `\\copy` of the %s accepted rows (%s of CSV) in %s, %s, %s of WAL; the median of %d, from %s to %s.\n",
			whole(c.Rows), megabytes(c.Bytes), seconds(c.Seconds), rate(c.Rows, c.Seconds, "rows/s"), megabytes(c.WAL),
			len(c.Each), seconds(slices.Min(c.Each)), seconds(slices.Max(c.Each)))
	}
	s.writeReads(b)
	s.writeWalks(b)
	if e := s.Export; e != nil {
		fmt.Fprintf(b, "\nExport: %s findings (%s of NDJSON) in %s, %s; processor time %s of the service and %s of the database, peak memory of the service %s.",
			whole(e.Findings), megabytes(e.Bytes), seconds(e.Seconds), rate(e.Findings, e.Seconds, "findings/s"), seconds(e.CPU.Service), seconds(e.CPU.Database), mebibytes(e.PeakBytes))
		fmt.Fprintf(b, " Limit: `\\copy` of the same join to stdout, %s lines in %s.\n", whole(e.LimitRows), seconds(e.LimitSeconds))
	}
	s.writeTogether(b)
	s.writeRelations(b)
}

// writeTogether tells of each number of imports what it took beyond the one before.
func (s *Size) writeTogether(b *strings.Builder) {
	if len(s.Together) == 0 {
		return
	}
	b.WriteString("\n")
	g := newGrid(b, "First imports at once:", "Time:", "CPU service:", "Peak memory:", "Each further one:")
	for i, now := range s.Together {
		each := ""
		if i > 0 {
			before := s.Together[i-1]
			each = mebibytes((now.PeakBytes - before.PeakBytes) / int64(now.Imports-before.Imports))
		}
		g.row(whole(int64(now.Imports)), seconds(now.Seconds), seconds(now.CPUSeconds), mebibytes(now.PeakBytes), each)
	}
}

func (s *Size) writePhases(b *strings.Builder) {
	if len(s.Phases) == 0 {
		return
	}
	b.WriteString("\n")
	g := newGrid(b, "Import", "Time:", "Rows of the report:", "Findings:", "CPU service:", "CPU database:", "CPU simulator:",
		"Peak memory:", "WAL:", "New:", "Fixed:", "Finding rows written:", "Compared with the truth")
	for i := range s.Phases {
		p := &s.Phases[i]
		check := "**no**"
		if p.Check != nil {
			check = whole(p.Check.Findings) + " findings, equal"
		}
		g.row(p.Name, seconds(p.Seconds), rate(p.RowsRead, p.Seconds, "/s"), rate(p.Findings, p.Seconds, "/s"), seconds(p.CPU.Service),
			seconds(p.CPU.Database), seconds(p.CPU.Simulator), mebibytes(p.PeakBytes), megabytes(p.WAL), whole(p.Created), whole(p.Fixed), whole(p.RowsWritten), check)
	}
	b.WriteString("\nStages, in seconds: ")
	for i := range s.Phases {
		p := &s.Phases[i]
		parts := make([]string, len(p.Stages))
		for j, stage := range p.Stages {
			parts[j] = fmt.Sprintf("%s %.2f", stage.Name, stage.Seconds)
		}
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(b, "%s: %s", p.Name, strings.Join(parts, ", "))
		if p.Throttled > 0 {
			fmt.Fprintf(b, " (%.2f of it waiting for the simulator's limits)", p.Throttled)
		}
	}
	b.WriteString(".\n")
	s.writeProfiles(b)
}

func (s *Size) writeReads(b *strings.Builder) {
	if len(s.Reads) == 0 {
		return
	}
	b.WriteString("\n")
	g := newGrid(b, "Read", "Page:", "Requests:", "p50:", "p99:", "Answer:", "pgbench:", "Ratio:", "Planned alike:", "Ratio:", "Service:", "Database:", "Reader:")
	for _, r := range s.Reads {
		limit, part := limitOf(r.Rate, r.TPS)
		alike, ofAlike := limitOf(r.Rate, r.AlikeTPS)
		g.row(r.Name, whole(int64(r.Page)), perSecond(r.Rate), fmt.Sprintf("%.2f ms", r.P50), fmt.Sprintf("%.2f ms", r.P99),
			fmt.Sprintf("%.1f kB", float64(r.Bytes)/1e3), limit, part, alike, ofAlike,
			fmt.Sprintf("%.2f ms", r.CPU.Service), fmt.Sprintf("%.2f ms", r.CPU.Database), fmt.Sprintf("%.2f ms", r.CPU.Reader))
	}
	b.WriteString("\n\"Planned alike\" is pgbench with the settings by which the service has its statements planned, where all of them have the same. " +
		"The last three are the processor time of one request, in the service, the database and the program that asks.\n")
}

func limitOf(rate, tps float64) (limit, part string) {
	if tps == 0 {
		return "", ""
	}
	return perSecond(tps), fmt.Sprintf("%.2f", rate/tps)
}

func (s *Size) writeWalks(b *strings.Builder) {
	if len(s.Walks) == 0 {
		return
	}
	b.WriteString("\n")
	g := newGrid(b, "Findings by filter", "Pages:", "Findings:", "Median:", "Longest:", "Further pages")
	for _, w := range s.Walks {
		further := "yes"
		if w.Ended {
			further = "no"
		}
		g.row(w.Filter, whole(int64(w.Pages)), whole(int64(w.Findings)), fmt.Sprintf("%.1f ms", w.Median), fmt.Sprintf("%.1f ms", w.Longest), further)
	}
}

func (s *Size) writeRelations(b *strings.Builder) {
	if len(s.Relations) == 0 {
		return
	}
	b.WriteString("\n")
	g := newGrid(b, "Table", "Rows and toast:", "Indexes:")
	for _, r := range s.Relations {
		g.row(r.Name, megabytes(r.TableBytes), megabytes(r.IndexBytes))
	}
}

func (f *Fairness) write(b *strings.Builder) {
	if f == nil {
		return
	}
	fmt.Fprintf(b, "\n## Fairness\n\nFirst imports of %d tenants with %d machines of about %d rows each: by themselves, and while the directory of %s findings is imported"+
		" for the first time", f.Tenants, f.Machines, f.Rows, Count(f.LargeSize))
	if f.LargeRuns > 1 {
		fmt.Fprintf(b, " (%d times in a row, for another tenant each time, because once did not take long enough)", f.LargeRuns)
	}
	held := ""
	switch rows := f.LargeRows; {
	case rows == nil:
	case *rows == 0:
		held = " That import did not count as large, so it left no worker free."
	default:
		held = fmt.Sprintf(" That import counted as large, with %s rows by its machines: such ones leave one of the workers to others.", Count(*rows))
	}
	b.WriteString("." + held + "\n\n")
	g := newGrid(b, "", "Median:", "Longest:", "All of them:")
	g.row("alone", seconds(f.Alone.Median), seconds(f.Alone.Longest), seconds(f.Alone.Makespan))
	for _, beside := range f.Groups {
		g.row("beside, "+seconds(beside.After)+" after the large one began to read rows", seconds(beside.Median), seconds(beside.Longest), seconds(beside.Makespan))
	}
}

func (r *Report) writeMachine(b *strings.Builder) {
	b.WriteString("\n## Machine\n\n")
	g := newGrid(b, "", "")
	g.row("Processor", fmt.Sprintf("%s, %d cores, shared by service, database, simulator and this program", r.Machine.CPU, r.Machine.Cores))
	g.row("Memory", fmt.Sprintf("%s MiB", whole(r.Machine.MemoryMiB)))
	g.row("System", r.Machine.Kernel)
	g.row("Build", r.Build+", "+r.Go)
	g.row("PostgreSQL", r.Database)
	parts := make([]string, len(r.Settings))
	for i, s := range r.Settings {
		parts[i] = s.Name + " = " + s.Value
	}
	g.row("Its settings", strings.Join(parts, ", "))
}
