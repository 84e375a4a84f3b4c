package world

import (
	"slices"
	"strings"
)

// Tally counts records of one kind: delivered, accepted, and left out by reason.
type Tally struct {
	Fetched  int            `json:"fetched"`
	Accepted int            `json:"accepted"`
	Skipped  map[string]int `json:"skipped"`
}

func (t *Tally) count(reason string) {
	t.Fetched++
	if reason == "" {
		t.Accepted++
		return
	}
	if t.Skipped == nil {
		t.Skipped = map[string]int{}
	}
	t.Skipped[reason]++
}

// FindingTally counts distinct pairs of asset and vulnerability.
type FindingTally struct {
	Total      int            `json:"total"`
	BySeverity map[string]int `json:"by_severity"`
}

// Truth is what a fresh import with default settings holds after a complete pass over a State.
type Truth struct {
	Machines        Tally        `json:"machines"`
	Rows            Tally        `json:"rows"`
	Findings        FindingTally `json:"findings"`
	Vulnerabilities int          `json:"vulnerabilities"` // distinct ones among the findings
}

// Asset is one accepted machine as the importer should hold it.
type Asset struct {
	SourceID  string `json:"source_id"`
	Hostname  string `json:"hostname"`
	PrimaryIP string `json:"primary_ip"`
	NameKind  string `json:"name_kind"`
	OSFamily  string `json:"os_family"`
}

// Finding is one pair of asset and vulnerability as the importer should hold it.
type Finding struct {
	SourceID     string   `json:"source_id"`
	CVE          string   `json:"cve"`
	Severity     string   `json:"severity"`
	AttackVector string   `json:"attack_vector"`
	Software     []string `json:"software"` // vendor/product/version, sorted, distinct
}

// Truth sums the labels up once; later calls return the same value, which must not be changed.
func (s *State) Truth() *Truth {
	s.truthOnce.Do(func() { s.truth = s.sumUp() })
	return s.truth
}

// Assets yields the accepted machines in the order of their ids.
func (s *State) Assets() func(yield func(Asset) bool) {
	return func(yield func(Asset) bool) {
		for place := range s.places() {
			pos := s.at(place)
			if s.removed[pos] || s.outcome(pos) != "" {
				continue
			}
			m := s.machine(pos)
			if !yield(Asset{m.ID, m.Want.Hostname, m.Want.PrimaryIP, m.Want.NameKind, m.Want.OSFamily}) {
				return
			}
		}
	}
}

// outcome is the label of the record at a position without composing a plain machine.
func (s *State) outcome(pos int) string {
	base := ""
	if !s.listed(pos) {
		return base
	}
	if n := s.newcomer(pos); n == nil && s.w.edgeOf(pos) >= 0 {
		j := s.w.edgeOf(pos)
		base = s.w.edgeBases[j].Want.Skip
	}
	if o, ok := s.over[pos]; ok {
		return o.outcome(base)
	}
	return base
}

// winner is the position whose record stands for the id at pos when the id is delivered twice.
func (s *State) winner(pos int) int {
	if s.outcome(pos) == duplicate {
		return pos + 1
	}
	return pos
}

// survivors maps each merged record, by position, to the position its rows count for, -1 when there is none.
func (s *State) survivors() map[int]int {
	next := map[int]string{}
	for _, pos := range s.w.edgeAt {
		if s.outcome(int(pos)) == merged && !s.removed[int(pos)] {
			next[int(pos)] = s.machine(int(pos)).MergedInto
		}
	}
	for pos := range s.over {
		if s.outcome(pos) == merged && !s.removed[pos] {
			next[pos] = s.machine(pos).MergedInto
		}
	}
	out := make(map[int]int, len(next))
	for pos := range next {
		out[pos] = s.follow(pos, next)
	}
	return out
}

func (s *State) follow(pos int, next map[int]string) int {
	for range len(next) + 1 {
		id, isMerged := next[pos]
		if !isMerged {
			return pos
		}
		target, ok := s.locate(strings.ToLower(id))
		if !ok || s.removed[target] {
			return -1
		}
		pos = target
	}
	return -1
}

func (s *State) sumUp() *Truth {
	t := &Truth{Findings: FindingTally{BySeverity: map[string]int{"critical": 0, "high": 0, "medium": 0, "low": 0, "unknown": 0}}}
	t.Machines.Skipped, t.Rows.Skipped = map[string]int{}, map[string]int{}
	for place := range s.places() {
		if pos := s.at(place); !s.removed[pos] {
			t.Machines.count(s.outcome(pos))
		}
	}
	seen := make([]bool, s.cat.Len())
	s.walkAssets(t, func(_ int, group []row) bool {
		cve := group[0].cve
		t.Findings.Total++
		t.Findings.BySeverity[s.cat.want(cve).Severity]++
		if !seen[cve] {
			seen[cve] = true
			t.Vulnerabilities++
		}
		return true
	})
	return t
}

// walkAssets visits each finding with its rows, asset by asset, and counts all rows into t unless it is nil.
func (s *State) walkAssets(t *Truth, visit func(pos int, group []row) bool) {
	survivors := s.survivors()
	joined := map[int][]int{}
	for from, to := range survivors {
		joined[to] = append(joined[to], from)
	}
	var rows, accepted []row
	for place := range s.rowPlaces() {
		pos := s.at(place)
		if _, isMerged := survivors[pos]; isMerged && survivors[pos] >= 0 {
			continue // counted with the survivor
		}
		rows = s.rows(pos, rows[:0])
		for _, from := range joined[pos] {
			rows = s.rows(from, rows)
		}
		imported := s.listed(pos) && !s.removed[pos] && s.outcome(s.winner(pos)) == ""
		accepted = accepted[:0]
		for _, r := range rows {
			reason := s.rowOutcome(r, imported)
			if t != nil {
				t.Rows.count(reason)
			}
			if reason == "" {
				accepted = append(accepted, r)
			}
		}
		if !visitGroups(pos, accepted, visit) {
			return
		}
	}
}

func (s *State) rowOutcome(r row, imported bool) string {
	switch {
	case r.cve == noCVE:
		return cveMissing
	case !imported:
		return assetNotImported
	}
	return s.cat.want(r.cve).Skip
}

func visitGroups(pos int, rows []row, visit func(int, []row) bool) bool {
	slices.SortStableFunc(rows, func(a, b row) int { return int(a.cve) - int(b.cve) })
	for start := 0; start < len(rows); {
		end := start + 1
		for end < len(rows) && rows[end].cve == rows[start].cve {
			end++
		}
		if !visit(pos, rows[start:end]) {
			return false
		}
		start = end
	}
	return true
}

// Findings yields the expected findings, asset by asset in the order of their ids.
func (s *State) Findings() func(yield func(Finding) bool) {
	return func(yield func(Finding) bool) {
		s.walkAssets(nil, func(pos int, group []row) bool {
			want := s.cat.want(group[0].cve)
			f := Finding{SourceID: s.idOf(pos), CVE: s.cat.ids[group[0].cve], Severity: want.Severity, AttackVector: want.AttackVector}
			for _, r := range group {
				f.Software = append(f.Software, s.cat.software[r.software].label())
			}
			slices.Sort(f.Software)
			f.Software = slices.Compact(f.Software)
			return yield(f)
		})
	}
}
