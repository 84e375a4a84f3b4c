package syncer

import (
	"cmp"
	"slices"
	"time"
)

// grouping turns the sorted rows of one machine into what is stored of it.
type grouping struct {
	asset     StagedAsset
	findings  []StagedFinding
	arena     []int32 // backs the findings' software
	installed []softwareAt
	taken     int64 // rows that the findings are made of
}

type softwareAt struct {
	software int32
	location int64
}

// begin starts an asset; what was handed out for the one before is used again.
func (g *grouping) begin(asset StagedAsset) {
	g.asset = asset
	g.findings, g.arena, g.installed = g.findings[:0], g.arena[:0], g.installed[:0]
	g.taken = 0
}

// take groups rows, which are in order, by vulnerability. A vulnerability all of whose rows are refused becomes a
// rejection, so that a finding stored for it ends for that reason.
func (g *grouping) take(rows []spooledRow) {
	g.arena = slices.Grow(g.arena, len(rows)) // so that it stays in one place
	for from := 0; from < len(rows); {
		to, vulnerability := from+1, rows[from].vulnerability
		for to < len(rows) && rows[to].vulnerability == vulnerability {
			to++
		}
		g.finding(rows[from:to])
		from = to
	}
	g.install()
}

// finding merges the rows of one vulnerability. The severity of the strongest source wins; among rows of one source, the
// worst. See [inventory.SeveritySource].
func (g *grouping) finding(rows []spooledRow) {
	f := StagedFinding{AssetID: g.asset.AssetID, Vulnerability: rows[0].vulnerability}
	start := len(g.arena)
	for i := range rows {
		r := &rows[i]
		if r.reason != 0 {
			if len(g.arena) == start && (f.Reason == 0 || r.reason < f.Reason) {
				f.Reason = r.reason
			}
			continue
		}
		g.taken++
		if len(g.arena) == start {
			f.Reason, f.Severity, f.Source, f.Vector, f.FirstSeen = 0, r.severity, r.source, r.vector, r.firstSeen
		} else {
			f.merge(r)
		}
		if len(g.arena) == start || g.arena[len(g.arena)-1] != r.software {
			g.arena = append(g.arena, r.software)
		}
		if r.location != 0 {
			g.installed = append(g.installed, softwareAt{r.software, r.location})
		}
	}
	f.Software = g.arena[start:len(g.arena):len(g.arena)]
	if f.Reason == 0 {
		g.asset.Open[f.Severity]++
	}
	g.findings = append(g.findings, f)
}

// merge takes in a further accepted row.
func (f *StagedFinding) merge(r *spooledRow) {
	if r.source > f.Source || (r.source == f.Source && r.severity > f.Severity) {
		f.Severity, f.Source = r.severity, r.source
	}
	f.Vector = min(f.Vector, r.vector)
	if f.FirstSeen == 0 || (r.firstSeen != 0 && r.firstSeen < f.FirstSeen) {
		f.FirstSeen = r.firstSeen
	}
}

// install lists each software with a place once; of several sets of paths the one with the smallest number counts.
func (g *grouping) install() {
	slices.SortFunc(g.installed, func(a, b softwareAt) int {
		return cmp.Or(cmp.Compare(a.software, b.software), cmp.Compare(a.location, b.location))
	})
	g.installed = slices.CompactFunc(g.installed, func(a, b softwareAt) bool { return a.software == b.software })
}

// tally sums findings up by vulnerability.
type tally map[int32]StagedExposure

func (t tally) add(findings []StagedFinding, now time.Time) {
	for i := range findings {
		f := &findings[i]
		if f.Reason != 0 {
			continue
		}
		seen := f.FirstSeen
		if seen == 0 {
			seen = unix32(now)
		}
		e, known := t[f.Vulnerability]
		if !known {
			e = StagedExposure{Vulnerability: f.Vulnerability, FirstSeen: seen}
		}
		e.OpenAssets++
		e.Severity = max(e.Severity, f.Severity)
		e.FirstSeen = min(e.FirstSeen, seen)
		t[f.Vulnerability] = e
	}
}
