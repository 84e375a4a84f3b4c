// Package report is what a benchmark found: the figures, what they are held against, and how both are written down.
package report

import (
	"time"

	"pgp.internal/defender/cmd/defenderbench/internal/proc"
)

// Report is everything a benchmark found. What was not measured is nil.
type Report struct {
	Date     time.Time    `json:"date"`
	Command  string       `json:"command"`
	Build    string       `json:"build"` // as git describes it
	Go       string       `json:"go"`
	Database string       `json:"database"` // version of the server
	Machine  proc.Machine `json:"machine"`
	Settings []Setting    `json:"database_settings"`
	Setup    Setup        `json:"setup"`
	Sizes    []Size       `json:"sizes"` // in the order of their targets
	Fairness *Fairness    `json:"fairness,omitempty"`
	Reach    []Reach      `json:"reach"`
	Failures []string     `json:"failures"`
	Seconds  float64      `json:"seconds"`
}

// Setting is one of the database server's.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Setup is how it was measured.
type Setup struct {
	PageRows       int     `json:"page_rows"` // rows asked for per page of the vulnerability report
	Catalogue      int     `json:"catalogue"`
	RowsPerMachine int     `json:"rows_per_machine"`
	Connections    int     `json:"connections"`  // that read at once
	Seconds        float64 `json:"seconds"`      // that each page is read for
	WalkedPages    int     `json:"walked_pages"` // of a list under a filter
}

// Size is what was found with a directory of one size.
type Size struct {
	Target    int64      `json:"target_findings"`
	Machines  int        `json:"machines"`
	Findings  int64      `json:"findings"`
	Decode    *Decode    `json:"decode,omitempty"`
	Phases    []Phase    `json:"phases"`
	Copy      *Copy      `json:"copy,omitempty"`
	Reads     []Read     `json:"reads"`
	Walks     []Walk     `json:"walks,omitempty"`
	Export    *Export    `json:"export,omitempty"`
	Together  []Together `json:"together,omitempty"`
	Relations []Relation `json:"relations"`
}

// Together is what several first imports at once took, of a tenant each.
type Together struct {
	Imports    int     `json:"imports"`
	Seconds    float64 `json:"seconds"`     // from the first order to the last end
	CPUSeconds float64 `json:"cpu_seconds"` // of the service
	PeakBytes  int64   `json:"peak_bytes"`  // of the service's resident memory
}

// CPU is processor time in seconds.
type CPU struct {
	Service   float64 `json:"service_seconds"`
	Database  float64 `json:"database_seconds"`
	Simulator float64 `json:"simulator_seconds"`
}

// Decode is reading the report alone: over HTTPS, inflated, decoded, thrown away.
type Decode struct {
	Rows       int64   `json:"rows"`
	Bytes      int64   `json:"bytes"` // of JSON, inflated
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"`
	PeakBytes  int64   `json:"peak_bytes"`
}

// Names of phases.
const (
	First     = "first sync"
	Unchanged = "unchanged"
	Clustered = "1 % clustered"
	Scattered = "1 % scattered"
	Turnover  = "1 % turned over"
	Full      = "unchanged, all compared"

	// What the re-syncs with changes are held against, besides the unchanged one before them: the machine's speed drifts.
	UnchangedBehindClustered = "unchanged, behind clustered"
	UnchangedBehindScattered = "unchanged, behind scattered"

	FirstByFiles     = "first sync by files"
	UnchangedByFiles = "unchanged by files"
)

// Phase is one import.
type Phase struct {
	Name        string  `json:"name"`
	Seconds     float64 `json:"seconds"` // from the order to the end, as the API tells
	RowsRead    int64   `json:"rows_read"`
	Accepted    int64   `json:"rows_accepted"`
	Findings    int64   `json:"findings"` // open ones
	Created     int64   `json:"findings_created"`
	Fixed       int64   `json:"findings_fixed"`
	CPU         CPU     `json:"cpu"`
	PeakBytes   int64   `json:"peak_bytes"`
	WAL         int64   `json:"wal_bytes"`
	RowsWritten int64   `json:"finding_rows_written"` // rows of the finding table that are newer than the phase's start
	Throttled   float64 `json:"throttled_seconds"`
	Stages      []Stage `json:"stages"`
	Check       *Check  `json:"check,omitempty"`

	Profile *Profile `json:"profile,omitempty"`
}

// Stage is a part of an import.
type Stage struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Check tells that the tables hold what the simulator says, and counters what they sum up.
type Check struct {
	Findings int64   `json:"findings"` // compared one by one
	Assets   int64   `json:"assets"`
	Seconds  float64 `json:"seconds"`
}

// Copy is the limit of imports: psql's \copy of the accepted rows, in their narrowest form, into a table without index.
type Copy struct {
	Rows    int64     `json:"rows"`
	Bytes   int64     `json:"bytes"`
	Seconds float64   `json:"seconds"` // the median of Each
	Each    []float64 `json:"each"`    // after one import and another
	WAL     int64     `json:"wal_bytes"`
}

// Read is one kind of request, repeated, and its limit: pgbench with the statements behind it. Without a limit TPS is 0. AlikeTPS is that of
// the same limit with the service's own settings of how statements are planned; 0 where they are not the same for all of its statements.
type Read struct {
	Name     string  `json:"name"`
	Page     int     `json:"page"`
	Requests int64   `json:"requests"`
	Rate     float64 `json:"requests_per_second"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
	Bytes    int64   `json:"bytes"` // of one answer
	TPS      float64 `json:"pgbench_tps"`
	AlikeTPS float64 `json:"pgbench_planned_alike_tps"`
	CPU      ReadCPU `json:"cpu"`
}

// ReadCPU is the processor time of one request, in milliseconds, of all cores.
type ReadCPU struct {
	Service  float64 `json:"service_ms"`
	Database float64 `json:"database_ms"`
	Reader   float64 `json:"reader_ms"`
}

// Walk is the first pages of findings under a filter, one after another.
type Walk struct {
	Filter   string  `json:"filter"`
	Pages    int     `json:"pages"`
	Findings int     `json:"findings"` // on these pages
	Ended    bool    `json:"ended"`    // there are no more
	Median   float64 `json:"median_ms"`
	Longest  float64 `json:"longest_ms"`
}

// Export is all findings in one answer, and its limit: \copy of the same to stdout.
type Export struct {
	Findings     int64   `json:"findings"`
	Bytes        int64   `json:"bytes"`
	Seconds      float64 `json:"seconds"`
	CPU          CPU     `json:"cpu"`
	PeakBytes    int64   `json:"peak_bytes"`
	LimitRows    int64   `json:"limit_rows"` // a line for each piece of software of a finding
	LimitSeconds float64 `json:"limit_seconds"`
}

// Relation is a table with its place on disk.
type Relation struct {
	Name       string `json:"name"`
	TableBytes int64  `json:"table_bytes"`
	IndexBytes int64  `json:"index_bytes"`
}

// Fairness is the first imports of many small tenants, by themselves and beside that of a large one.
type Fairness struct {
	Tenants   int     `json:"tenants"`
	Machines  int     `json:"machines"` // of each
	Rows      int     `json:"rows_per_machine"`
	LargeSize int64   `json:"large_findings"`
	Alone     Group   `json:"alone"`
	Beside    Group   `json:"beside"`               // the worst of each figure
	Groups    []Group `json:"groups_beside"`        // one after the other
	LargeRuns int     `json:"large_runs"`           // first imports of the large directory that it took to cover the groups
	LargeRows *int64  `json:"large_rows,omitempty"` // that the service took such an import to have; 0 when it did not count as large, nil when that was not seen
}

// Group is how long the imports of a group took, from the order of each to its end.
type Group struct {
	Median   float64 `json:"median_seconds"`
	Longest  float64 `json:"longest_seconds"`
	Makespan float64 `json:"makespan_seconds"`
	After    float64 `json:"after_seconds"` // that the large import had begun to read rows
}

// Worst has the largest of each figure.
func Worst(groups []Group) (w Group) {
	for _, g := range groups {
		w.Median, w.Longest, w.Makespan = max(w.Median, g.Median), max(w.Longest, g.Longest), max(w.Makespan, g.Makespan)
	}
	return w
}

// Phase finds a phase by its name; nil when it was not measured.
func (s *Size) Phase(name string) *Phase {
	for i := range s.Phases {
		if s.Phases[i].Name == name {
			return &s.Phases[i]
		}
	}
	return nil
}

// UnchangedAround is how long the unchanged re-syncs next to a phase took, one before it and one behind it: their mean, in seconds; 0 if there is neither.
func (s *Size) UnchangedAround(name string) float64 {
	var around [2]float64 // before and behind
	side := 0
	for _, p := range s.Phases {
		switch p.Name {
		case name:
			side = 1
		case Unchanged, UnchangedBehindClustered, UnchangedBehindScattered:
			if side == 0 || around[1] == 0 {
				around[side] = p.Seconds
			}
		}
	}
	if around[0] == 0 || around[1] == 0 {
		return around[0] + around[1]
	}
	return (around[0] + around[1]) / 2
}

// Read finds a read; nil when it was not measured.
func (s *Size) Read(name string, first bool) *Read {
	for i := range s.Reads {
		if s.Reads[i].Name == name && (s.Reads[i].Page == 1) == first {
			return &s.Reads[i]
		}
	}
	return nil
}
