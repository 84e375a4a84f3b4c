package syncer

import (
	"context"
	"errors"
	"strings"

	"pgp.internal/defender/internal/inventory"
)

// pass is one reading of the vulnerability report. Row order does not matter: what an asset has is summed up in a hash
// that does not depend on it.
type pass struct {
	*execution
	report *StageReport
	census *census
	judge  *inventory.Judge

	rows   *spool
	places *locations

	sums     []rowSum // by machine index
	lastSeen []int64  // by machine index, Unix seconds
	carrying []bool   // by machine index: has an accepted row

	software     map[Software]int32
	vulns        map[string]knownVulnerability
	remediations map[uint64]struct{} // hashes of what was staged already
	pending      []StagedRemediation
	lastID       string // of the previous row: rows of one machine mostly come together
	lastIndex    int32
}

type knownVulnerability struct {
	id     int32
	traits inventory.Traits
}

func newPass(e *execution, r *StageReport, c *census) (*pass, error) {
	p := &pass{
		execution: e, report: r, census: c, judge: c.judge,
		sums: make([]rowSum, len(c.entries)), lastSeen: make([]int64, len(c.entries)), carrying: make([]bool, len(c.entries)),
		software: map[Software]int32{}, vulns: map[string]knownVulnerability{}, remediations: map[uint64]struct{}{}, lastIndex: -1,
	}
	var err error
	if p.rows, err = newSpool(e.options.SpoolDir, len(c.entries)); err != nil {
		return nil, err
	}
	if p.places, err = newLocations(e.options.SpoolDir); err != nil {
		return nil, errors.Join(err, p.rows.close())
	}
	return p, nil
}

func (p *pass) close() error { return errors.Join(p.rows.close(), p.places.close()) }

// take judges a batch of rows and spools those that may matter.
func (p *pass) take(ctx context.Context, rows []inventory.Row) error {
	if err := p.resolve(ctx, rows); err != nil {
		return err
	}
	for i := range rows {
		if err := p.row(&rows[i]); err != nil {
			return err
		}
	}
	p.report.publish()
	if len(p.pending) < stageBatch {
		return nil
	}
	return p.flushRemediations(ctx)
}

func (p *pass) row(r *inventory.Row) error {
	p.report.Counts.Fetched++
	if r.CVE == "" {
		p.skip(inventory.CVEMissing, r)
		return nil
	}
	if r.MachineID != p.lastID || p.lastIndex < 0 {
		p.lastID, p.lastIndex = strings.Clone(r.MachineID), p.census.find(r.MachineID)
	}
	machine := p.lastIndex
	if machine < 0 || (p.census.assets != nil && p.census.assets[machine] < 0) {
		p.skip(inventory.AssetNotImported, r)
		return nil
	}
	known := p.vulns[vulnerabilityName(r.CVE)]
	verdict, reason := p.judge.Row(known.traits, r)
	software := p.software[softwareOf(r)]
	row := spooledRow{
		machine: machine, software: software, vulnerability: known.id, severity: verdict.Severity, source: verdict.Source,
		vector: verdict.Vector, firstSeen: unix32(r.FirstSeen),
	}
	if at := r.LastSeen.Unix(); !r.LastSeen.IsZero() && at > p.lastSeen[machine] {
		p.lastSeen[machine] = at
	}
	if reason != inventory.Accepted {
		p.skip(reason, r)
		if !p.mayHaveFinding(machine) {
			return nil
		}
		// Remembered, so that an open finding ends as "no longer taken" and not as "fixed".
		row.reason = inventory.RowReasonCode(reason)
		return p.rows.add(&row)
	}
	p.report.Counts.Accepted++
	p.carrying[machine] = true
	p.recommend(&row, r)
	var err error
	if row.location, err = p.places.number(r); err != nil {
		return err
	}
	p.sums[machine].add(&row)
	return p.rows.add(&row)
}

// mayHaveFinding tells whether the machine's asset has findings stored that a refusal matters to. Before the assets are
// known it may.
func (p *pass) mayHaveFinding(machine int32) bool {
	if p.census.assets == nil {
		return true
	}
	asset := &p.census.known[p.census.assets[machine]]
	return asset.Findings > 0 || asset.Dormant
}

func (p *pass) skip(reason inventory.Reason, r *inventory.Row) {
	p.report.skip(reason, func() Sample {
		return Sample{SourceID: strings.Clone(r.MachineID), Name: strings.Clone(r.CVE), Detail: clip(r.Vendor + " " + r.Product + " " + r.Version)}
	})
}

// carriers lists the machines with at least one accepted row.
func (p *pass) carriers() []int32 {
	var list []int32
	for machine, carries := range p.carrying {
		if carries {
			list = append(list, int32(machine))
		}
	}
	return list
}

// resolve numbers the software and vulnerabilities of a batch that this run has not met yet.
func (p *pass) resolve(ctx context.Context, rows []inventory.Row) error {
	var software []Software
	var names []string
	for i := range rows {
		r := &rows[i]
		if r.CVE == "" {
			continue
		}
		if key := softwareOf(r); !has(p.software, key) {
			key = Software{strings.Clone(key.Vendor), strings.Clone(key.Product), strings.Clone(key.Version)}
			p.software[key] = 0
			software = append(software, key)
		}
		if name := vulnerabilityName(r.CVE); !has(p.vulns, name) {
			name = strings.Clone(name)
			p.vulns[name] = knownVulnerability{}
			names = append(names, name)
		}
	}
	if len(software) > 0 {
		ids, err := p.store.SoftwareIDs(ctx, software)
		if err != nil {
			return err
		}
		for i, id := range ids {
			p.software[software[i]] = id
		}
	}
	if len(names) == 0 {
		return nil
	}
	known, err := p.store.KnownVulnerabilities(ctx, names)
	if err != nil {
		return err
	}
	for i := range known {
		p.vulns[names[i]] = knownVulnerability{id: known[i].ID, traits: inventory.TraitsOf(&known[i])}
	}
	return nil
}

// recommend stages a recommendation once, however many machines repeat it.
func (p *pass) recommend(row *spooledRow, r *inventory.Row) {
	if r.UpdateText == "" && r.UpdateID == "" && r.UpdateURL == "" && r.UpdateReady == nil && r.Exploitability == "" {
		return
	}
	ready := "?"
	if r.UpdateReady != nil {
		ready = map[bool]string{true: "t", false: "f"}[*r.UpdateReady]
	}
	h := newFNV().int(row.software).int(row.vulnerability).text(r.UpdateText).text(r.UpdateID).text(r.UpdateURL).text(ready).text(r.Exploitability)
	if _, seen := p.remediations[uint64(h)]; seen {
		return
	}
	p.remediations[uint64(h)] = struct{}{}
	recommendation := StagedRemediation{
		Software: row.software, Vulnerability: row.vulnerability, Text: strings.Clone(r.UpdateText), ID: strings.Clone(r.UpdateID),
		URL: strings.Clone(r.UpdateURL), Exploitability: strings.Clone(r.Exploitability),
	}
	if r.UpdateReady != nil {
		value := *r.UpdateReady
		recommendation.Ready = &value
	}
	p.pending = append(p.pending, recommendation)
}

func (p *pass) flushRemediations(ctx context.Context) error {
	if len(p.pending) == 0 {
		return nil
	}
	err := p.stage.AddRemediations(ctx, p.pending)
	p.pending = p.pending[:0]
	return err
}

func softwareOf(r *inventory.Row) Software { return Software{r.Vendor, r.Product, r.Version} }

// vulnerabilityName is the canonical name. CVE ids are compared without case; most come in capitals already.
func vulnerabilityName(cve string) string { return strings.ToUpper(strings.TrimSpace(cve)) }

func has[K comparable, V any](m map[K]V, key K) bool {
	_, ok := m[key]
	return ok
}
