package report

import (
	"fmt"
	"strings"
)

// Profile is where the service's time and memory went in a phase, and the database's time.
type Profile struct {
	CPU        []Share     `json:"cpu"`  // seconds of processor time, by package
	Heap       []Share     `json:"heap"` // bytes in use at the end, by package
	Statements []Statement `json:"statements,omitempty"`
}

// Share is what belongs to one package: the nearest caller that is neither of the runtime nor of the standard library's small change.
type Share struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Statement is a costly one, as pg_stat_statements tells it, with values left out.
type Statement struct {
	Text         string  `json:"text"`
	Milliseconds float64 `json:"ms"`
	Calls        int64   `json:"calls"`
	Rows         int64   `json:"rows"`
	WAL          int64   `json:"wal_bytes"`
}

// How much of a profile is shown.
const (
	shownShares     = 8
	shownStatements = 6
	shownText       = 110
)

// writeProfiles shows where the time of each phase went that was profiled.
func (s *Size) writeProfiles(b *strings.Builder) {
	for i := range s.Phases {
		p := &s.Phases[i]
		if p.Profile == nil {
			continue
		}
		fmt.Fprintf(b, "\nProfile of %s. Processor time of the service: %s. Heap at its end: %s.\n", p.Name,
			shares(p.Profile.CPU, func(v float64) string { return seconds(v) }), shares(p.Profile.Heap, func(v float64) string { return mebibytes(int64(v)) }))
		if len(p.Profile.Statements) == 0 {
			continue
		}
		b.WriteString("\n")
		g := newGrid(b, "Statement", "Time:", "Calls:", "Rows:", "WAL:")
		for _, st := range p.Profile.Statements[:min(shownStatements, len(p.Profile.Statements))] {
			text := strings.ReplaceAll(st.Text, "|", "\\|")
			if len(text) > shownText {
				text = strings.ToValidUTF8(text[:shownText], "") + "…"
			}
			g.row("`"+strings.ReplaceAll(text, "`", "'")+"`", seconds(st.Milliseconds/1e3), whole(st.Calls), whole(st.Rows), megabytes(st.WAL))
		}
	}
}

// shares writes the largest, with what is left of the sum.
func shares(all []Share, show func(float64) string) string {
	sum := 0.0
	for _, s := range all {
		sum += s.Value
	}
	if sum == 0 {
		return "nothing"
	}
	var parts []string
	rest := sum
	for _, s := range all[:min(shownShares, len(all))] {
		parts = append(parts, fmt.Sprintf("`%s` %s (%.0f %%)", s.Name, show(s.Value), 100*s.Value/sum))
		rest -= s.Value
	}
	if len(all) > shownShares {
		parts = append(parts, fmt.Sprintf("others %s (%.0f %%)", show(rest), 100*rest/sum))
	}
	return strings.Join(parts, ", ")
}
